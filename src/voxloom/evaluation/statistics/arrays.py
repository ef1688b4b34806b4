"""What statistics ask of their input: equal lengths, finite numbers, enough of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput

Numbers = NDArray[np.float64]


def numbers_of(values: ArrayLike, what: str = "values") -> Numbers:
    """A one-dimensional array of finite numbers; infinite or undefined ones are refused (BadInput)."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise BadInput(f"{what} must be one list of numbers, not of shape {array.shape}")
    lost = int((~np.isfinite(array)).sum())
    if lost:
        raise BadInput(
            f"{lost} of {len(array)} {what} are infinite or undefined", None, "Leave them out and count them"
        )
    return array


def paired(a: ArrayLike, b: ArrayLike, least: int = 2) -> tuple[Numbers, Numbers]:
    """Two lists of one length with at least ``least`` numbers (BadInput otherwise)."""
    first, second = numbers_of(a, "first values"), numbers_of(b, "second values")
    if len(first) != len(second):
        raise BadInput(f"{len(first)} values cannot be paired with {len(second)}")
    if len(first) < least:
        raise BadInput(f"{len(first)} pairs are too few, {least} are needed")
    return first, second


def place_in_groups(groups: Sequence[Any] | None, count: int) -> NDArray[np.intp]:
    """For each of ``count`` values the index of its group; every value is a group of its own without groups."""
    if groups is None:
        return np.arange(count)
    if len(groups) != count:
        raise BadInput(f"{len(groups)} groups given for {count} values")
    return np.unique(np.asarray([str(g) for g in groups]), return_inverse=True)[1].reshape(-1)


def groups_repeat(groups: Sequence[Any] | None) -> bool:
    """Whether a patient has more than one value."""
    return groups is not None and len({str(g) for g in groups}) < len(groups)


def means_of_groups(values: Numbers, groups: Sequence[Any] | None) -> Numbers:
    """The mean of each group, so that tests of independent observations see each patient once."""
    place = place_in_groups(groups, len(values))
    means: Numbers = np.bincount(place, weights=values) / np.bincount(place)
    return means


#: Differences this much smaller than the numbers they are of are rounding.
ROUNDING = 1e-9


def snapped(differences: Numbers, *sources: Numbers) -> Numbers:
    """Differences without the rounding of computer arithmetic, so that equal ones are equal and none are 0.

    0.1 + 0.2 - 0.3 is 6e-17 on a computer, and a sign that a test of ranks would count.

    Parameters
    ----------
    sources : the numbers they are differences of; ``ROUNDING`` of the largest of them is not a difference.
    """
    largest = max((float(np.abs(s).max(initial=0.0)) for s in (*sources, differences)), default=0.0)
    if largest == 0.0:
        return differences
    step = 10.0 ** math.floor(math.log10(largest * ROUNDING))
    found: Numbers = np.round(differences / step) * step + 0.0
    return found


def rankable(*columns: ArrayLike) -> list[Numbers]:
    """Columns for a test of ranks, infinite values set beyond every finite one: twice the largest of all columns.

    An infinite distance (one mask empty) is thereby the worst of all values, instead of being left out.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    finite = np.concatenate([a[np.isfinite(a)] for a in arrays])
    far = 2.0 * float(np.abs(finite).max(initial=0.0)) + 1.0
    return [np.where(np.isposinf(a), far, a) for a in arrays]
