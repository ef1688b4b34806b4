"""How good the results are on the cases that a model is surest of: risk against coverage (Geifman and El-Yaniv 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

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


#: Shares of the cases, the surest first, that summaries tell the risk of.
COVERAGES = (0.5, 0.7, 0.8, 0.9, 1.0)


def abstention(confidence: ArrayLike, error: ArrayLike) -> dict[str, Any]:
    """What is gained by leaving the least sure cases open: mean error of the surest ones, and the area under the whole curve."""
    found = risk_coverage(confidence, error)
    places = [max(0, math.ceil(share * len(found.risk) - 1e-9) - 1) for share in COVERAGES]
    at = [{"coverage": float(found.coverage[n]), "risk": float(found.risk[n])} for n in dict.fromkeys(places)]
    return {"at": at, "area": found.area, "best_area": found.best}
