"""The area under the ROC curve with DeLong's interval and paired test, for cases that come in patients.

DeLong, DeLong and Clarke-Pearson (Biometrics 1988, 44:837) by the mid-ranks of Sun and Xu (IEEE Signal Processing Letters 2014,
21:1389); several cases of one patient after Obuchowski (Biometrics 1997, 53:567), which is DeLong's where every patient has one
case. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import place_in_groups
from voxloom.evaluation.statistics.interval import Estimate, Outcome

Numbers = NDArray[np.float64]
#: With fewer patients of either class there is neither an interval nor a test.
LEAST = 5


@dataclass(frozen=True)
class _Parts:
    """Structural components of one AUC: share of negatives below each positive, and of positives above each negative."""

    value: float
    positives: Numbers
    negatives: Numbers


def auc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Chance that a positive case scores above a negative one, ties counted half; NaN with one class only.

    Parameters
    ----------
    truth : (n,) whether a case is positive.
    scores : (n,) larger for more positive.
    """
    positive, values = _checked(truth, scores)
    return _parts(positive, values).value if 0 < positive.sum() < len(positive) else math.nan


def auc_interval(
    truth: ArrayLike, scores: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95
) -> Estimate:
    """The AUC with DeLong's interval on the logit scale, which stays between 0 and 1.

    Parameters
    ----------
    truth, scores : as in ``auc``.
    groups : patient per case.

    Returns
    -------
    Ends are NaN with one class only, or with fewer than ``LEAST`` patients of either class. Quantiles are Student's, with Welch's
    degrees of freedom from the patients of both classes. An AUC of exactly 0 or 1 has no variance to estimate; its interval is the
    exact one-sided bound of "all pairs right" by the rarer class (Clopper and Pearson 1934).
    """
    from scipy.stats import t

    positive, values = _checked(truth, scores)
    if not 0 < positive.sum() < len(positive):
        return Estimate(math.nan, math.nan, math.nan, level)
    parts, place = _parts(positive, values), place_in_groups(groups, len(positive))
    fewest = min(len(set(place[positive])), len(set(place[~positive])))
    if fewest < LEAST:
        return Estimate(parts.value, math.nan, math.nan, level)
    if parts.value in (0.0, 1.0):
        bound = ((1 - level) / 2) ** (1 / fewest)
        low, high = (bound, 1.0) if parts.value == 1.0 else (0.0, 1 - bound)
        return Estimate(parts.value, low, high, level)
    sd = math.sqrt(max(0.0, _covariance(parts, parts, positive, place)))
    z = float(t.ppf(0.5 + level / 2, _freedom(parts.positives, parts.negatives, positive, place)))
    logit, slope = math.log(parts.value / (1 - parts.value)), 1 / (parts.value * (1 - parts.value))
    low, high = (1 / (1 + math.exp(-(logit + s * z * sd * slope))) for s in (-1, 1))
    return Estimate(parts.value, low, high, level)


def compare_aucs(truth: ArrayLike, first: ArrayLike, second: ArrayLike, groups: Sequence[Any] | None = None) -> Outcome:
    """DeLong's test of two scores of the same cases; the effect is the AUC of the second minus that of the first.

    p is 1 where the scores rank all cases alike, NaN with fewer than ``LEAST`` patients of either class.
    """
    from scipy.stats import t

    difference, variance, freedom = _difference(truth, first, second, groups)
    patients = int(place_in_groups(groups, len(np.asarray(truth))).max()) + 1
    name, what = "DeLong's test of paired ROC curves", "difference of AUC"
    if math.isnan(difference):
        return Outcome(name, math.nan, math.nan, math.nan, what, patients)
    if not variance > 1e-15:
        p = 1.0 if abs(difference) < 1e-12 and variance == variance else math.nan
        return Outcome(name, math.nan, p, difference, what, patients)
    z = difference / math.sqrt(variance)
    return Outcome(name, z, float(2 * t.sf(abs(z), freedom)), difference, what, patients)


def auc_difference(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95
) -> Estimate:
    """AUC of the second minus that of the first with DeLong's interval; no ends with fewer than ``LEAST`` patients of a class."""
    from scipy.stats import t

    difference, variance, freedom = _difference(truth, first, second, groups)
    if not variance > 1e-15:
        return Estimate(difference, math.nan, math.nan, level)
    half = float(t.ppf(0.5 + level / 2, freedom)) * math.sqrt(variance)
    return Estimate(difference, difference - half, difference + half, level)


def _difference(
    truth: ArrayLike, first: ArrayLike, second: ArrayLike, groups: Sequence[Any] | None
) -> tuple[float, float, float]:
    """Difference of two AUCs, its variance and degrees of freedom; NaN where they are not defined, or patients too few."""
    positive, one = _checked(truth, first)
    _, other = _checked(truth, second)
    if not 0 < positive.sum() < len(positive):
        return math.nan, math.nan, math.nan
    a, b, place = _parts(positive, one), _parts(positive, other), place_in_groups(groups, len(positive))
    if np.array_equal(a.positives, b.positives) and np.array_equal(a.negatives, b.negatives):
        return 0.0, 0.0, math.nan  # the scores rank all cases alike
    if min(len(set(place[positive])), len(set(place[~positive]))) < LEAST:
        return b.value - a.value, math.nan, math.nan
    own = _covariance(a, a, positive, place) + _covariance(b, b, positive, place)
    freedom = _freedom(b.positives - a.positives, b.negatives - a.negatives, positive, place)
    return b.value - a.value, own - 2 * _covariance(a, b, positive, place), freedom


@dataclass(frozen=True)
class RocCurve:
    """Points of a ROC and of a precision-recall curve, from the highest threshold down; ties are one point.

    Parameters
    ----------
    thresholds : scores at or above which a case counts as positive.
    sensitivity, fallout, precision : at each; fallout is 1 - specificity.
    """

    thresholds: Numbers
    sensitivity: Numbers
    fallout: Numbers
    precision: Numbers


def roc_curve(truth: ArrayLike, scores: ArrayLike) -> RocCurve:
    """The curve of scores whose classes both occur (BadInput otherwise)."""
    positive, values = _checked(truth, scores)
    if not 0 < positive.sum() < len(positive):
        raise BadInput("a ROC curve needs cases of both kinds", None, "Evaluate on cases with and without it")
    order = np.argsort(-values, kind="stable")
    hits, ends = positive[order], np.append(np.flatnonzero(np.diff(values[order])), len(order) - 1)
    tp, fp = np.cumsum(hits)[ends].astype(float), np.cumsum(~hits)[ends].astype(float)
    return RocCurve(values[order][ends], tp / hits.sum(), fp / (~hits).sum(), tp / (tp + fp))


def _checked(truth: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], Numbers]:
    positive, values = np.asarray(truth).astype(bool), np.asarray(scores, dtype=float)
    if positive.shape != values.shape or positive.ndim != 1 or not len(positive):
        raise BadInput(f"{positive.shape} truths and {values.shape} scores make no ROC curve")
    if not np.isfinite(values).all():
        raise BadInput(f"{int((~np.isfinite(values)).sum())} scores are not numbers", None, "Leave those cases out")
    return positive, values


def _parts(positive: NDArray[np.bool_], scores: Numbers) -> _Parts:
    from scipy.stats import rankdata

    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(scores)
    above = (ranks[positive] - rankdata(scores[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(scores[~positive])) / m
    return _Parts(float(above.mean()), above, below)


def _covariance(a: _Parts, b: _Parts, positive: NDArray[np.bool_], place: NDArray[np.intp]) -> float:
    """Covariance of two AUCs over patients (Obuchowski 1997, equations 5 to 8)."""
    count = int(place.max()) + 1
    sums = []
    for parts in (a, b):
        up = np.bincount(place[positive], parts.positives - parts.value, count)
        down = np.bincount(place[~positive], parts.negatives - parts.value, count)
        sums.append((up, down))
    m, n = int(positive.sum()), int((~positive).sum())
    with_up, with_down = len(set(place[positive])), len(set(place[~positive]))
    s10 = with_up / ((with_up - 1) * m) * float(sums[0][0] @ sums[1][0])
    s01 = with_down / ((with_down - 1) * n) * float(sums[0][1] @ sums[1][1])
    both = count / (count - 1) if count > 1 else 1.0
    s11 = both * float(sums[0][0] @ sums[1][1] + sums[0][1] @ sums[1][0]) / 2
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def _freedom(positives: Numbers, negatives: Numbers, positive: NDArray[np.bool_], place: NDArray[np.intp]) -> float:
    """Welch's degrees of freedom of a variance that is a sum over the patients of both classes."""
    parts = []
    for components, cases in ((positives, place[positive]), (negatives, place[~positive])):
        sums = np.bincount(cases, components - components.mean())
        patients = len(set(cases))
        parts.append((patients / (patients - 1) * float(sums @ sums) / len(cases) ** 2, patients - 1))
    total = sum(variance for variance, _ in parts)
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return total**2 / below if below > 0 else float(min(freedom for _, freedom in parts))
