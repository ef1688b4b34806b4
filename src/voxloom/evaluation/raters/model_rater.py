"""A model as one more rater of whole cases: Krippendorff's alpha among raters, with the model, and of the model with the truth.

As in the nodule study of the fastMONAI thesis (paper C): agreement on scores and on classes, and the raters' mean score by outcome.
Knows numbers and names only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.classification import as_dict
from voxloom.evaluation.statistics import Estimate, krippendorff_alpha

#: A score or class of one rater; None where there is none.
Rating = float | str | None


def rater_agreement(
    scores: Sequence[Sequence[Rating]],
    classes: Sequence[Sequence[str | None]],
    truth: Sequence[str],
    answers: Sequence[str],
    patients: Sequence[str],
) -> dict[str, Any]:
    """All agreements of a set of cases.

    Parameters
    ----------
    scores, classes : (cases, raters) as given, and the class that each means (None where no rule takes a score).
    truth, answers : class of every case, and the model's.
    patients : per case; intervals draw whole patients.

    Returns
    -------
    Alphas {value, ci}: ``scores`` (interval level; left out where they are not numbers), ``classes``, ``classes_with_model``,
    ``model_with_truth``; NaN where nobody differs. ``by_outcome``: truth, answer, cases, and the raters' mean score.
    """
    found: dict[str, Any] = {"raters": len(scores[0])}
    numeric = all(value is None or isinstance(value, (int, float)) for row in scores for value in row)
    if numeric:
        found["scores"] = as_dict(_alpha(scores, "interval", patients))
    found["classes"] = as_dict(_alpha(classes, "nominal", patients))
    with_model = [[*row, answer] for row, answer in zip(classes, answers, strict=True)]
    found["classes_with_model"] = as_dict(_alpha(with_model, "nominal", patients))
    found["model_with_truth"] = as_dict(_alpha(list(zip(truth, answers, strict=True)), "nominal", patients))
    found["by_outcome"] = _by_outcome(scores if numeric else None, truth, answers)
    return found


def _alpha(ratings: Sequence[Sequence[Rating]], level: Any, patients: Sequence[str]) -> Estimate:
    try:
        return krippendorff_alpha(ratings, level, groups=patients)
    except BadInput:  # nothing was rated twice
        return Estimate(math.nan, math.nan, math.nan)


def _by_outcome(
    scores: Sequence[Sequence[Rating]] | None, truth: Sequence[str], answers: Sequence[str]
) -> list[dict[str, Any]]:
    rows = []
    for pair in sorted(set(zip(truth, answers, strict=True)), key=lambda p: (p[0] != p[1], p)):
        places = [n for n, both in enumerate(zip(truth, answers, strict=True)) if both == pair]
        given = [float(v) for n in places for v in scores[n] if v is not None] if scores is not None else []
        mean = float(np.mean(given)) if given else None
        rows.append({"truth": pair[0], "answer": pair[1], "cases": len(places), "mean_score": mean})
    return rows
