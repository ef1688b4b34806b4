"""How good the results are on the cases that a model is surest of: risk against coverage (Geifman and El-Yaniv 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from voxloom.evaluation.statistics.arrays import Numbers, paired


@dataclass(frozen=True)
class RiskCoverage:
    """Mean error of the surest share of the cases.

    Parameters
    ----------
    coverage : shares 1/n, 2/n ... 1 of the cases, the surest first.
    risk : mean error of these cases.
    area : mean of ``risk`` over the coverages, 0 for a model that never errs.
    best : the area if the confidence ordered the cases perfectly.
    """

    coverage: Numbers
    risk: Numbers
    area: float
    best: float


def risk_coverage(confidence: ArrayLike, error: ArrayLike) -> RiskCoverage:
    """Risk-coverage curve of confidences (larger is surer) and errors (for example 1 - Dice) of the same cases.

    Cases of one confidence enter together: each counts with the mean error of all of them.
    """
    sure, wrong = paired(confidence, error, least=1)
    _, place = np.unique(-sure, return_inverse=True)
    shared = (np.bincount(place, weights=wrong) / np.bincount(place))[place]
    ordered = shared[np.argsort(-sure, kind="stable")]
    counts = np.arange(1, len(sure) + 1)
    risk, best = np.cumsum(ordered) / counts, np.cumsum(np.sort(wrong)) / counts
    return RiskCoverage(counts / len(sure), risk, float(risk.mean()), float(best.mean()))
