"""Whether integers are a label map at all: an interpolated mask and an image hold integers too.

In a label map nearly every voxel has a neighbor of its own value; in an image, and along the soft border of an interpolated mask, most
values lie beside other ones. Knows voxels only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

#: Maps of up to so many values are taken as they are.
_FEW_VALUES = 10
#: Smaller maps are taken as they are: too few voxels to tell.
_FEW_VOXELS = 1000
#: Of the values (0 apart), this share must lie beside other ones before a map is refused.
_MOST_ROUGH = 0.5
#: Larger values are counted by sorting, not in bins.
_MOST_BINS = 1 << 20
_SHOWN = 4


def check_label_like(data: NDArray[Any], where: str | Path) -> None:
    """Refuse integers (1, I, J, K) that are not a label map: intensities, or a mask that was interpolated (BadInput)."""
    if data.size < _FEW_VOXELS:
        return
    values, voxels, rough = _values(data[0])
    if len(values) <= _FEW_VALUES:
        return
    scattered = 2 * rough > voxels
    if scattered.sum() < _MOST_ROUGH * len(values):
        return
    told = ", ".join(str(int(v)) for v in values[:_SHOWN])
    held = f"{len(values)} values besides 0 ({told}, ... {int(values[-1])})"
    what = f"is not a label map: it holds {held}, most of them in no area"
    inside = voxels[~scattered].sum()
    if inside > voxels[scattered].sum():
        raise BadInput(
            f"{what}, as after interpolation",
            where,
            "Resample or resize masks with nearest neighbor only, or set a threshold, and save it again",
        )
    raise BadInput(f"{what}, as in an image", where, "Give the label map, not the image")


def _values(data: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The values other than 0, how many voxels each has, and how many of those lie beside other values but none of their own."""
    low, high = int(data.min()), int(data.max())
    if high - low <= _FEW_VALUES:
        return (np.arange(0),) * 3
    if high - low < _MOST_BINS:
        counts = np.bincount((data.ravel().astype(np.int64) - low), minlength=high - low + 1)
        values = np.flatnonzero(counts) + low
        values = values[values != 0]
        if len(values) <= _FEW_VALUES:
            return values, values, values
        rough = np.bincount(data[_rough(data)].astype(np.int64) - low, minlength=high - low + 1)
        return values, counts[values - low], rough[values - low]
    values, counts = np.unique(data[data != 0], return_counts=True)
    found, rough_counts = np.unique(data[_rough(data)], return_counts=True)
    of_value = dict(zip(found.tolist(), rough_counts.tolist(), strict=True))
    return values, counts, np.array([of_value.get(v, 0) for v in values.tolist()])


def _rough(data: NDArray[Any]) -> NDArray[np.bool_]:
    """Voxels that touch (by a face) other values than 0, but none of their own."""
    alike, beside = np.zeros(data.shape, bool), np.zeros(data.shape, bool)
    for axis in range(3):
        a, b = (tuple(s if n == axis else slice(None) for n in range(3)) for s in (slice(1, None), slice(None, -1)))
        same = data[a] == data[b]
        alike[a] |= same
        alike[b] |= same
        beside[a] |= data[b] != 0
        beside[b] |= data[a] != 0
    return beside & ~alike & (data != 0)
