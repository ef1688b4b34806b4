"""Left or right: two clusters of candidates, or the middle of the scan where there are not two. Knows no names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: Fewer candidates than this, or closer together than so many slices, do not show both sides (published: <= 5 and < 4).
FEWEST_CANDIDATES = 6
LEAST_SPREAD = 4.0


def split_sides(places: Sequence[float], size: int) -> list[int]:
    """Side 0 or 1 of every candidate by its coordinate along the left-right axis of the grid.

    Two clusters by k-means (k = 2, solved exactly: in one dimension the best division is a cut of the sorted places).
    With 5 candidates or fewer, or when all lie within less than 4 slices, the middle slice of the scan divides them.

    Parameters
    ----------
    places : voxel coordinates along the axis.
    size : of the grid along the axis.
    """
    values = np.asarray(places, dtype=np.float64)
    few = len(values) < FEWEST_CANDIDATES or float(np.ptp(values)) < LEAST_SPREAD
    middle = (size - 1) / 2 if few else cut_in_two(values)
    return [int(v > middle) for v in values]


def cut_in_two(values: NDArray[np.float64]) -> float:
    """Where the exact 2-means division of numbers lies: half-way between the two means (at least two unlike numbers)."""
    ordered = np.sort(values)
    count = np.arange(1, len(ordered))
    sums, squares = np.cumsum(ordered), np.cumsum(ordered**2)
    left = squares[:-1] - sums[:-1] ** 2 / count
    right = (squares[-1] - squares[:-1]) - (sums[-1] - sums[:-1]) ** 2 / (len(ordered) - count)
    split = int(np.argmin(left + right)) + 1
    return float(ordered[:split].mean() + ordered[split:].mean()) / 2
