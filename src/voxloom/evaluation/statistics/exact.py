"""Exact distributions of test statistics by convolution: sums of signed numbers, sums of a subset. Knows whole numbers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def signed_sum_p(sizes: Counts, observed: int) -> float:
    """Chance that whole numbers with random signs add up to a sum at least as far from 0 as ``observed``.

    Parameters
    ----------
    sizes : (n,) at least 0; all 2^n signs are equally likely.
    """
    total = int(sizes.sum())
    chance = np.zeros(2 * total + 1)
    chance[total] = 1.0
    for size in sizes:
        chance = (np.roll(chance, int(size)) + np.roll(chance, -int(size))) / 2
    far = np.abs(np.arange(-total, total + 1)) >= abs(observed)
    return min(1.0, float(chance[far].sum()))


def subset_sum_p(values: Counts, chosen: int, observed: int) -> float:
    """Chance that ``chosen`` of the numbers, drawn without replacement, add up to a sum as far from its mean as ``observed``.

    Parameters
    ----------
    values : (n,) at least 0; all subsets are equally likely.
    """
    ways = np.zeros((chosen + 1, int(values.sum()) + 1))
    ways[0, 0] = 1.0
    for value in values:
        for taken in range(chosen, 0, -1):
            ways[taken, value:] += ways[taken - 1, : ways.shape[1] - value]
    sums, count = ways[chosen], len(values)
    middle = int(chosen * values.sum())  # of count * sum, so that no fraction is compared
    far = np.abs(count * np.arange(len(sums)) - middle) >= abs(count * observed - middle)
    return min(1.0, float(sums[far].sum() / sums.sum()))
