"""Significance tests with effect sizes, and Holm's correction when several are printed.

SciPy and statsmodels compute. Tests of independent observations are given one value per patient (``groups``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import groups_repeat, means_of_groups, numbers_of, paired, place_in_groups
from voxloom.evaluation.statistics.interval import Outcome

#: Up to so many differences all their signs are tried where ranks are tied.
EXACT = 13


def wilcoxon(first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None) -> Outcome:
    """Wilcoxon signed-rank test of paired values, zero differences left out (Wilcoxon 1945).

    Parameters
    ----------
    first, second : finite values of the same cases.
    groups : patient per case; differences are averaged within a patient.

    Returns
    -------
    The effect is the matched-pairs rank-biserial correlation: share of favorable minus share of unfavorable ranks.
    """
    from scipy import stats

    a, b = paired(first, second, least=1)
    difference = means_of_groups(a - b, groups)
    kept = difference[difference != 0]
    name, effect_name = "Wilcoxon signed-rank test", "matched-pairs rank-biserial correlation"
    if not len(kept):
        return Outcome(name, 0.0, 1.0, 0.0, effect_name, len(difference))
    ranks = stats.rankdata(np.abs(kept))
    effect = float((ranks[kept > 0].sum() - ranks[kept < 0].sum()) / ranks.sum())
    if len(kept) == 1:  # either sign is as likely: a test of one difference cannot show anything
        return Outcome(name, 0.0, 1.0, effect, effect_name, len(difference))
    if len(kept) <= EXACT and (len(np.unique(ranks)) < len(kept) or len(kept) < len(difference)):
        return Outcome(name, *_exact_with_ties(np.sign(kept) * ranks), effect, effect_name, len(difference))
    found = stats.wilcoxon(kept)
    return Outcome(name, float(found.statistic), float(found.pvalue), effect, effect_name, len(difference))


def _exact_with_ties(signed_ranks: NDArray[np.float64]) -> tuple[float, float]:
    """Statistic and exact p over all signs, for tied ranks; SciPy's own way to it takes seconds for a dozen values."""
    from scipy import stats

    def positive(x: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
        total: NDArray[np.float64] = np.where(x > 0, x, 0.0).sum(axis=axis)
        return total

    found = stats.permutation_test(
        (signed_ranks,), positive, permutation_type="samples", vectorized=True, n_resamples=2**EXACT, batch=1024
    )
    return float(min(found.statistic, np.abs(signed_ranks).sum() - found.statistic)), float(found.pvalue)


def mann_whitney(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_groups: Sequence[Any] | None = None,
    second_groups: Sequence[Any] | None = None,
) -> Outcome:
    """Mann-Whitney U test of two independent samples (1947).

    Returns
    -------
    The effect is the rank-biserial correlation: probability that a value of the first is larger, minus that it is smaller.
    """
    from scipy import stats

    a = means_of_groups(numbers_of(first, "first values"), first_groups)
    b = means_of_groups(numbers_of(second, "second values"), second_groups)
    if not len(a) or not len(b):
        raise BadInput("the Mann-Whitney test needs values in both samples")
    found = stats.mannwhitneyu(a, b, alternative="two-sided")
    effect = float(2 * found.statistic / (len(a) * len(b)) - 1)
    return Outcome(
        "Mann-Whitney U test",
        float(found.statistic),
        float(found.pvalue),
        effect,
        "rank-biserial correlation",
        len(a) + len(b),
    )


def friedman(ratings: ArrayLike, *, groups: Sequence[Any] | None = None) -> Outcome:
    """Friedman's test of three or more related samples (1937).

    Parameters
    ----------
    ratings : (cases, methods), finite; of at least two patients.
    groups : patient per case; each method's values are averaged within a patient.

    Returns
    -------
    The effect is Kendall's W: 0 no, 1 complete agreement on the order of the methods.
    """
    from scipy import stats

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 3 or table.shape[0] < 2:
        raise BadInput(f"Friedman's test needs at least 2 cases and 3 methods, not {table.shape}")
    if not np.isfinite(table).all():
        raise BadInput("Friedman's test needs a finite value of every method for every case")
    table = np.column_stack([means_of_groups(column, groups) for column in table.T])
    n, k = table.shape
    if n < 2:
        raise BadInput("Friedman's test needs at least 2 patients, not 1")
    if (table == table[:, :1]).all():
        return Outcome("Friedman test", 0.0, 1.0, 0.0, "Kendall's W", n)
    found = stats.friedmanchisquare(*table.T)
    effect = float(found.statistic / (n * (k - 1)))
    return Outcome("Friedman test", float(found.statistic), float(found.pvalue), effect, "Kendall's W", n)


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Outcome:
    """Exact (binomial) McNemar test of two paired yes-or-no outcomes (1947).

    Returns
    -------
    The statistic is the smaller count of discordant pairs; the effect is the difference of the two shares of yes.
    """
    from statsmodels.stats.contingency_tables import mcnemar as exact_mcnemar

    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise BadInput(f"{a.size} outcomes cannot be paired with {b.size}")
    table = [[int((a & b).sum()), int((a & ~b).sum())], [int((~a & b).sum()), int((~a & ~b).sum())]]
    found = exact_mcnemar(table, exact=True)
    effect = float(a.mean() - b.mean())
    return Outcome(
        "exact McNemar test", float(found.statistic), float(found.pvalue), effect, "difference of shares", len(a)
    )


def clustered_mcnemar(first: Sequence[bool], second: Sequence[bool], *, groups: Sequence[Any] | None = None) -> Outcome:
    """McNemar's exact test where patients have several cases: all signs of the patients' net differences are tried.

    With one case per patient it is the binomial test itself.

    Returns
    -------
    The statistic is the net number of cases that the first has beyond the second; the effect is the difference of the shares.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if not groups_repeat(groups):
        return mcnemar(a.tolist(), b.tolist())
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise BadInput(f"{a.size} outcomes cannot be paired with {b.size}")
    place = place_in_groups(groups, len(a))
    net = np.rint(np.bincount(place, weights=a.astype(float) - b)).astype(int)
    chances = np.ones(1)
    for size in np.abs(net[net != 0]):  # the sum of all signed differences, each sign as likely
        step = np.zeros(2 * size + 1)
        step[[0, -1]] = 0.5
        chances = np.convolve(chances, step)
    reach = np.abs(np.arange(len(chances)) - len(chances) // 2)
    p = float(chances[reach >= abs(int(net.sum()))].sum())
    effect = float(a.mean() - b.mean())
    name = "exact McNemar test over patients"
    return Outcome(name, float(net.sum()), min(1.0, p), effect, "difference of shares", len(net))


def swapped(
    statistic: Callable[..., float],
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: Sequence[Any] | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> Outcome:
    """Randomisation test of any figure of two models: if they are equal, their answers can be exchanged patient by patient.

    Approximate randomisation (Noreen 1989; Yeh 2000), seeded.

    Parameters
    ----------
    statistic : takes truth and answers, rows over the cases.
    truth, first, second : of the same cases.
    groups : patient per case.

    Returns
    -------
    The effect is the figure of the first minus that of the second; p is NaN where it is not defined.
    """
    t, a, b = (np.asarray(column) for column in (truth, first, second))
    if not len(t) or len(a) != len(t) or len(b) != len(t):
        raise BadInput(f"{len(a)} and {len(b)} answers cannot be paired with {len(t)} truths")
    place, random = place_in_groups(groups, len(t)), np.random.default_rng(seed)
    found = float(statistic(t, a) - statistic(t, b))
    name, patients = "randomisation test over patients", int(place.max()) + 1
    if math.isnan(found):
        return Outcome(name, math.nan, math.nan, math.nan, "difference", patients)
    reached = 0
    for _ in range(resamples):
        swap = random.integers(2, size=patients)[place].astype(bool).reshape(-1, *(1,) * (a.ndim - 1))
        drawn = float(statistic(t, np.where(swap, b, a)) - statistic(t, np.where(swap, a, b)))
        reached += abs(drawn) >= abs(found) - 1e-12
    return Outcome(name, found, (1 + reached) / (1 + resamples), found, "difference", patients)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979) of the p-values that are printed together; NaN stays NaN and counts not."""
    from statsmodels.stats.multitest import multipletests

    given: NDArray[np.float64] = np.asarray(p_values, dtype=float)
    corrected = np.full(len(given), math.nan)
    known = ~np.isnan(given)
    if known.any():
        corrected[known] = multipletests(given[known], method="holm")[1]
    return [float(p) for p in corrected]
