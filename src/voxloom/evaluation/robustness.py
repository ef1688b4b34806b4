"""Robustness: how far figures scatter over cases and over folds, beside their mean.

Knows the evaluations of the folds of one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from voxloom.evaluation.evaluation import TOTAL, Evaluation


def robustness(folds: Mapping[str, Evaluation], metric: str = "dice") -> dict[str, Any]:
    """Mean, SD over cases and SD over folds of one metric.

    Parameters
    ----------
    folds : at least two, by name, each with its own held-out cases.
    metric : one of the columns of ``metrics.csv``.

    Returns
    -------
    label (and, where there are several, ``mean``, the mean over labels, and of Dice ``total``, all labels pooled) -> ``mean`` and
    ``sd_cases`` over all cases,
    ``folds`` (mean of every fold) and ``sd_folds`` (SD of these means); both SDs have n - 1.
    """
    labels = next(iter(folds.values())).labels
    found = {label: _spread({name: e.values(metric, label) for name, e in folds.items()}) for label in labels}
    if len(labels) > 1:
        found["mean"] = _spread({name: list(e.case_means(metric).values()) for name, e in folds.items()})
    if metric == "dice" and len(labels) > 1 and TOTAL not in labels:
        found[TOTAL] = _spread({name: list(e.totals().values()) for name, e in folds.items()})
    return found


def _spread(values: Mapping[str, list[float]]) -> dict[str, Any]:
    pooled = [v for numbers in values.values() for v in numbers]
    means = {name: float(np.mean(numbers)) for name, numbers in values.items()}
    return {
        "mean": float(np.mean(pooled)),
        "sd_cases": float(np.std(pooled, ddof=1)),
        "folds": means,
        "sd_folds": float(np.std(list(means.values()), ddof=1)),
    }
