"""Whether two groups of patients are composed alike: sex, scanner, stage. SciPy computes."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.interval import Outcome

#: Where a group has at most so many of a category, the test is exact.
FEW = 5
#: Tables drawn with the same margins where there are more than two categories; seeded, so that p is the same each time.
RESAMPLES = 19_999


def same_shares(first: Sequence[Hashable], second: Sequence[Hashable]) -> Outcome:
    """Do two independent groups have the same shares of categories?

    Pearson's chi-square test without correction; Fisher's exact test (its extension by Freeman and Halton 1951 for more than two
    categories) where a group has at most five of a category.

    Parameters
    ----------
    first, second : the category of every patient of each group.

    Returns
    -------
    The effect is Cramér's V, 0 to 1. With one category in all, p is 1.

    Raises
    ------
    BadInput : a group is empty.
    """
    from scipy import stats

    if not len(first) or not len(second):
        raise BadInput("a group is empty", None, "Give the category of every patient of both groups")
    kinds = sorted({*first, *second}, key=str)
    table = np.array([[list(group).count(kind) for kind in kinds] for group in (first, second)])
    count = int(table.sum())
    exact = bool((table <= FEW).any())
    name = "Fisher's exact test" if exact else "chi-square test"
    if len(kinds) < 2:
        return Outcome(name, 0.0, 1.0, 0.0, "Cramér's V", count)
    found = stats.chi2_contingency(table, correction=False)
    effect = float(np.sqrt(found.statistic / count))
    if not exact:
        return Outcome(name, float(found.statistic), float(found.pvalue), effect, "Cramér's V", count)
    many = None if len(kinds) == 2 else stats.PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(0))
    fisher = stats.fisher_exact(table, method=many)
    return Outcome(name, float(fisher.statistic), float(fisher.pvalue), effect, "Cramér's V", count)
