"""Significance tests with effect sizes, and Holm's correction when several are printed.

Tests of independent observations are given one value per patient (``groups``); p of few patients counts all outcomes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import means_of_groups, numbers_of, paired, place_in_groups, snapped
from voxloom.evaluation.statistics.exact import signed_sum_p, subset_sum_p
from voxloom.evaluation.statistics.interval import Outcome

#: Tests of ranks count all possible outcomes for up to so many patients, and take the normal distribution beyond.
EXACT = 60
#: Friedman's test draws so many orders for up to ``DRAWN`` patients, and takes the chi-square distribution beyond.
ORDERS, DRAWN = 9_999, 40


@dataclass(frozen=True)
class McNemar:
    """A 2 x 2 table of paired outcomes: both yes, only the first, only the second, neither; and its test.

    Counts are of observations, ``outcome.n`` of patients.
    """

    both: int
    only_a: int
    only_b: int
    neither: int
    outcome: Outcome

    @property
    def p(self) -> float:
        """Of the test."""
        return self.outcome.p


def wilcoxon(first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None) -> Outcome:
    """Wilcoxon signed-rank test of paired values, zero differences left out and counted (Wilcoxon 1945).

    p counts all signs of the ranks, tied ones too, for up to ``EXACT`` differences; beyond it is normal with the correction for ties.

    Parameters
    ----------
    first, second : finite values of the same cases.
    groups : patient per case; differences are averaged within a patient. What is rounding of their numbers is not a difference.

    Returns
    -------
    The effect is the matched-pairs rank-biserial correlation: share of favorable minus share of unfavorable ranks.
    """
    from scipy import stats

    a, b = paired(first, second, least=1)
    difference = snapped(means_of_groups(a - b, groups), a, b)
    kept = difference[difference != 0]
    name, effect_name = "Wilcoxon signed-rank test", "matched-pairs rank-biserial correlation"
    zeros = len(difference) - len(kept)
    if not len(kept):
        return Outcome(name, 0.0, 1.0, 0.0, effect_name, 0, zeros)
    ranks = stats.rankdata(np.abs(kept))
    up, down = float(ranks[kept > 0].sum()), float(ranks[kept < 0].sum())
    effect = (up - down) / float(ranks.sum())
    if len(kept) <= EXACT:
        p = signed_sum_p(np.rint(2 * ranks).astype(np.int64), round(2 * (up - down)))
    else:
        p = float(stats.wilcoxon(kept, method="asymptotic").pvalue)
    return Outcome(name, min(up, down), p, effect, effect_name, len(kept), zeros)


def mann_whitney(
    first: ArrayLike,
    second: ArrayLike,
    *,
    first_groups: Sequence[Any] | None = None,
    second_groups: Sequence[Any] | None = None,
) -> Outcome:
    """Mann-Whitney U test of two independent samples (1947).

    p counts all ways to divide the ranks, tied ones too, for up to ``EXACT`` patients of both; beyond it is normal with the correction
    for ties.

    Parameters
    ----------
    first, second : finite values of the two samples.
    first_groups, second_groups : patient per value; values are averaged within a patient.

    Returns
    -------
    The effect is the rank-biserial correlation: probability that a value of the first is larger, minus that it is smaller.
    """
    from scipy import stats

    a = means_of_groups(numbers_of(first, "first values"), first_groups)
    b = means_of_groups(numbers_of(second, "second values"), second_groups)
    if not len(a) or not len(b):
        raise BadInput("the Mann-Whitney test needs values in both samples")
    both = snapped(np.concatenate([a, b]))
    ranks = stats.rankdata(both)
    u = float(ranks[: len(a)].sum()) - len(a) * (len(a) + 1) / 2
    effect = 2 * u / (len(a) * len(b)) - 1
    if len(both) <= EXACT:
        doubled = np.rint(2 * ranks).astype(np.int64)
        p = subset_sum_p(doubled, len(a), int(doubled[: len(a)].sum()))
    else:
        p = float(stats.mannwhitneyu(both[: len(a)], both[len(a) :], alternative="two-sided").pvalue)
    return Outcome(
        "Mann-Whitney U test",
        u,
        p,
        effect,
        "rank-biserial correlation",
        len(a) + len(b),
    )


def kruskal(groups: Sequence[ArrayLike]) -> Outcome:
    """Kruskal-Wallis test of three or more independent samples (1952).

    p is that of ``ORDERS`` seeded random divisions of the ranks for up to ``DRAWN`` observations, and from the chi-square
    distribution beyond.

    Parameters
    ----------
    groups : finite values of each sample, one per patient.

    Returns
    -------
    The effect is epsilon squared: the share of the variance of the ranks that the groups explain.

    Raises
    ------
    BadInput : fewer than two samples, or an empty one.
    """
    from scipy import stats

    samples = [numbers_of(values, "values of a group") for values in groups]
    if len(samples) < 2 or not all(len(sample) for sample in samples):
        raise BadInput("the Kruskal-Wallis test needs values in two groups or more")
    values, name = snapped(np.concatenate(samples)), "Kruskal-Wallis test"
    count, what = len(values), "epsilon squared"
    if np.ptp(values) == 0:
        return Outcome(name, 0.0, 1.0, 0.0, what, count)
    ends = np.cumsum([len(sample) for sample in samples])[:-1]
    statistic = float(stats.kruskal(*np.split(values, ends)).statistic)
    effect = statistic / (count - 1)
    if count > DRAWN:
        return Outcome(name, statistic, float(stats.chi2.sf(statistic, len(samples) - 1)), effect, what, count)
    ranks = stats.rankdata(values)
    drawn = np.random.default_rng(0).permuted(np.broadcast_to(ranks, (ORDERS, count)), axis=1)
    weigh = lambda rows: sum(part.sum(axis=-1) ** 2 / part.shape[-1] for part in np.split(rows, ends, axis=-1))
    p = float(1 + (weigh(drawn) >= weigh(ranks) - 1e-9).sum()) / (ORDERS + 1)
    return Outcome(name, statistic, p, effect, what, count)


def friedman(ratings: ArrayLike, *, groups: Sequence[Any] | None = None) -> Outcome:
    """Friedman's test of three or more related samples (1937).

    p is that of ``ORDERS`` seeded random orders of every patient's ranks for up to ``DRAWN`` patients (a permutation test, which holds
    for few patients and for ties), and from the chi-square distribution beyond.

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
    table = np.column_stack([snapped(means_of_groups(column, groups), table.ravel()) for column in table.T])
    n, k = table.shape
    if n < 2:
        raise BadInput("Friedman's test needs at least 2 patients, not 1")
    if (table == table[:, :1]).all():
        return Outcome("Friedman test", 0.0, 1.0, 0.0, "Kendall's W", n)
    found = stats.friedmanchisquare(*table.T)
    statistic = float(found.statistic)
    p = _order_p(stats.rankdata(table, axis=1)) if n <= DRAWN else float(found.pvalue)
    return Outcome("Friedman test", statistic, p, statistic / (n * (k - 1)), "Kendall's W", n)


def _order_p(ranks: NDArray[np.float64]) -> float:
    """Share of random orders within the rows whose rank sums differ at least as much; the found order is one of them."""
    random = np.random.default_rng(0)
    drawn = random.permuted(np.broadcast_to(ranks, (ORDERS, *ranks.shape)), axis=2).sum(axis=1)
    own = float((ranks.sum(axis=0) ** 2).sum())
    return float(1 + ((drawn**2).sum(axis=1) >= own - 1e-9).sum()) / (ORDERS + 1)


def mcnemar(first: Sequence[bool], second: Sequence[bool], *, groups: Sequence[Any] | None = None) -> McNemar:
    """Exact McNemar test of two paired yes-or-no outcomes (1947), for patients with several pairs too.

    Of the discordant pairs of a patient those in favor of one side are counted minus those in favor of the other. Without a
    difference both signs of this number are equally likely, for each patient on its own: p counts all signs. With one pair per
    patient that is the binomial test of the discordant pairs.

    Parameters
    ----------
    first, second : outcomes of the same observations.
    groups : patient per observation.

    Returns
    -------
    The statistic is the smaller count of discordant pairs; the effect is the difference of the two shares of yes.
    """
    a, b = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise BadInput(f"{a.size} outcomes cannot be paired with {b.size}")
    place = place_in_groups(groups, len(a))
    net = np.rint(np.bincount(place, weights=a.astype(float) - b.astype(float))).astype(np.int64)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    p = signed_sum_p(np.abs(net), int(net.sum()))
    test = "exact McNemar test" + ("" if len(net) == len(a) else ", patients' signs")
    outcome = Outcome(test, float(min(only_a, only_b)), p, float(a.mean() - b.mean()), "difference of shares", len(net))
    return McNemar(int((a & b).sum()), only_a, only_b, int((~a & ~b).sum()), outcome)


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
    given: NDArray[np.float64] = np.asarray(p_values, dtype=float)
    corrected = np.full(len(given), math.nan)
    order = np.argsort(given)[: int((~np.isnan(given)).sum())]  # NaN sorts last
    steps = given[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(p) for p in corrected]
