"""Intervals of means and of shares for patients with several scans each, also few of them. Closed forms; nothing is drawn.

A mean over cases has Student's interval with a variance between patients (Liang and Zeger 1986) that is unbiased where the scans of
a patient are alike, degrees of freedom after Satterthwaite (1946), and Johnson's (1978) correction for skewness at the end on the
side of the tail, where scores near their limit make the plain interval too short. docs/trust.md has its simulated coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voxloom.evaluation.statistics.arrays import Numbers, numbers_of, place_in_groups
from voxloom.evaluation.statistics.interval import Estimate

#: With fewer patients no interval is given.
LEAST_PATIENTS = 5
#: With fewer degrees of freedom either: one patient holds so many of the cases that the others say little.
LEAST_FREEDOM = 2.0


def mean_ci(values: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of the mean over cases.

    It speaks of patients like those seen: where no patient failed, patients who fail are not in it (``share_ci`` says how many
    there may be).

    Parameters
    ----------
    values : finite, one per case.
    groups : patient per case.

    Returns
    -------
    (low, high); NaN twice with fewer than ``LEAST_PATIENTS`` patients, where one patient holds most of the cases
    (``LEAST_FREEDOM``), and where all patients have the same mean, which has no spread to go by.
    """
    found = mean_estimate(values, groups, level)
    return (found.low, found.high)


def mean_estimate(values: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95) -> Estimate:
    """The mean over cases with its interval, as ``mean_ci``; NaN of nothing."""
    numbers = numbers_of(values)
    if not len(numbers):
        return Estimate(math.nan, math.nan, math.nan, level)
    mean, spread = float(numbers.mean()), spread_of(numbers, groups)
    if spread is None:
        return Estimate(mean, math.nan, math.nan, level)
    return Estimate(mean, *skewed_ends(mean, *spread, level), level)


def root_mean_square(values: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95) -> Estimate:
    """The root of the mean square, such as RMSE, with its interval: that of the mean square on the scale of its logarithm.

    Parameters
    ----------
    values, groups : as in ``mean_ci``.
    """
    found = mean_square(values, groups, level)
    return Estimate(math.sqrt(found.value), math.sqrt(found.low), math.sqrt(found.high), level)


def mean_square(values: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95) -> Estimate:
    """The mean square, such as a Brier score, with its interval on the scale of the logarithm: squares have a long tail.

    Parameters
    ----------
    values, groups : as in ``mean_ci``.
    """
    squares = numbers_of(values) ** 2
    if not len(squares):
        return Estimate(math.nan, math.nan, math.nan, level)
    mean, spread = float(squares.mean()), spread_of(squares, groups)
    if spread is None:
        return Estimate(mean, math.nan, math.nan, level)
    error, freedom, influence = spread
    low, high = skewed_ends(math.log(mean), error / mean, freedom, influence, level)
    return Estimate(mean, math.exp(low), math.exp(min(high, 700.0)), level)


def spread_of(numbers: Numbers, groups: Sequence[Any] | None) -> tuple[float, float, Numbers] | None:
    """Standard error of the mean over cases, its degrees of freedom and the patients' influence.

    None where they say too little: fewer than ``LEAST_PATIENTS`` patients, ``LEAST_FREEDOM``, or no spread.
    """
    place = place_in_groups(groups, len(numbers))
    counts = np.bincount(place).astype(np.float64)
    mean = float(numbers.mean())
    influence, variance, freedom = _between(np.bincount(place, weights=numbers) / counts - mean, counts)
    error = math.sqrt(variance)
    if len(counts) < LEAST_PATIENTS or freedom < LEAST_FREEDOM or error <= 1e-12 * max(1.0, abs(mean)):
        return None
    return error, freedom, influence


def _between(deviations: Numbers, counts: Numbers) -> tuple[Numbers, float, float]:
    """Influence of each patient on the mean, the variance of the mean and its degrees of freedom.

    The residuals of the patients are scaled so that the variance is unbiased, and its degrees of freedom are Satterthwaite's, under
    scans of one patient that are all alike. With equal numbers of scans that is the textbook's, with patients - 1 degrees.

    Parameters
    ----------
    deviations : mean of every patient minus the mean over cases.
    counts : cases of every patient.
    """
    if len(counts) < 2:
        return deviations, 0.0, 0.0
    weight = counts / counts.sum()
    squares = float(weight @ weight)
    left = 1 - 2 * weight + squares  # variance of a residual, in units of that of a patient
    influence = weight * deviations / np.sqrt(left)
    # Covariance of two residuals: scale_i scale_j (squares - weight_i - weight_j), and weight_i squared of one with itself. The sum of
    # its squares over all pairs is taken from sums over patients, so that thousands of patients need no matrix.
    scale = weight**2 / left
    s0, s1, s2 = (float((scale * weight**power).sum()) for power in range(3))
    pairs = squares**2 * s0**2 + 2 * s2 * s0 - 4 * squares * s1 * s0 + 2 * s1**2
    pairs += float((weight**4).sum() - (scale**2 * (squares - 2 * weight) ** 2).sum())
    freedom = squares**2 / pairs
    return influence, float(influence @ influence), freedom


def skewed_ends(
    value: float, error: float, freedom: float, influence: Numbers, level: float = 0.95
) -> tuple[float, float]:
    """Student's interval, its end on the side of the tail moved out by Johnson's correction; never moved in.

    Parameters
    ----------
    value, error : the estimate and its standard error.
    freedom : degrees of freedom.
    influence : (patients,) of each on the estimate; their skewness is that of the patients.
    """
    from scipy import stats

    quantile = float(stats.t.ppf(0.5 + level / 2, freedom))
    count = len(influence)
    skewness = 0.0
    if count > 2 and np.ptp(influence) > 0:
        skewness = float(stats.skew(influence, bias=False))
    shift = skewness / (6 * math.sqrt(count)) * (1 + 2 * quantile**2) * error
    return (value - quantile * error + min(shift, 0.0), value + quantile * error + max(shift, 0.0))


def share_estimate(hits: ArrayLike, groups: Sequence[Any] | None = None, level: float = 0.95) -> Estimate:
    """A share of cases with the mid-p interval of Clopper and Pearson (1934), for patients after Korn and Graubard (1998).

    The number of cases is replaced by the effective one, cases over the design effect, never more than there are cases nor, where
    all cases agree, than there are patients.

    Parameters
    ----------
    hits : whether each case counts; an empty list has the share NaN.
    groups : patient per case.

    Returns
    -------
    From one patient on: an exact interval of few is wide, not wrong.
    """
    counted = np.asarray(hits, dtype=np.float64)
    if not len(counted):
        return Estimate(math.nan, math.nan, math.nan, level)
    share, count = float(counted.mean()), _effective(counted, groups, level)
    return Estimate(share, *_mid_p(share * count, count, level), level)


def _effective(hits: Numbers, groups: Sequence[Any] | None, level: float) -> float:
    """Independent cases that say as much as these."""
    from scipy import stats

    place = place_in_groups(groups, len(hits))
    counts = np.bincount(place).astype(np.float64)
    share, patients = float(hits.mean()), len(counts)
    if share in (0.0, 1.0) or patients < 2 or patients == len(hits):
        return float(patients)
    _, variance, freedom = _between(np.bincount(place, weights=hits) / counts - share, counts)
    if variance <= 0:
        return float(patients)
    quantile = [float(stats.t.ppf(0.5 + level / 2, n)) for n in (len(hits) - 1, max(freedom, 1.0))]
    return float(min(len(hits), share * (1 - share) / variance * (quantile[0] / quantile[1]) ** 2))


def _mid_p(hits: float, count: float, level: float) -> tuple[float, float]:
    """Shares at which half of "exactly so many" plus "more" (or "fewer") has half the error; beta functions, as ``hits`` may be
    no whole number."""
    from scipy.optimize import brentq
    from scipy.special import betainc

    tail = (1 - level) / 2

    def above(p: float) -> float:
        """Chance of more than ``hits``, and half that of ``hits``."""
        more = betainc(hits + 1, count - hits, p) if count > hits else 0.0
        same_or_more = betainc(hits, count - hits + 1, p) if hits > 0 else 1.0
        return float(more + same_or_more) / 2

    low = 0.0 if hits <= 0 else brentq(lambda p: above(p) - tail, 0.0, 1.0)
    high = 1.0 if hits >= count else brentq(lambda p: 1 - above(p) - tail, 0.0, 1.0)
    return (float(low), float(high))
