"""Find the box that holds what matters.

Knows two rules: voxels that are not zero, and the body (the largest bright region of a coarse copy). Does not cut; the
geometry does, so that the cut can be undone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.boxes import bounding_box

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_COARSE_VOXELS = 64
_BODY_MARGIN_MM = 5.0


def whole_box(shape: tuple[int, ...]) -> Box:
    """The box (start, stop) per axis of everything."""
    i, j, k = shape
    return ((0, i), (0, j), (0, k))


def nonzero_box(data: NDArray[Any]) -> Box:
    """Smallest box of (C, I, J, K) that holds every voxel that differs from 0 in some channel; all of it when none does."""
    return _ends_of((data != 0).any(axis=0)) or whole_box(data.shape[1:])


def body_box(data: NDArray[Any], spacing: tuple[float, float, float]) -> Box:
    """Box around the body in (C, I, J, K), with a margin of one coarse voxel and 5 mm; all of it when none is found.

    Each channel is averaged onto a grid of at most 64 voxels a side, which also quiets noise. The threshold lies half way
    between the background (median below Otsu's threshold) and Otsu's threshold (Otsu 1979), which suits air in CT and in MR;
    the largest connected region counts. The box holds the regions of all channels.
    """
    shape = data.shape[1:]
    step = [int(np.ceil(size / _COARSE_VOXELS)) for size in shape]
    boxes = [box for channel in data if (box := _ends_of(_largest_bright(_coarse(channel, step))))]
    if not boxes:
        return whole_box(shape)
    sides = []
    for axis in range(3):
        margin = (1 if step[axis] > 1 else 0) * step[axis] + int(np.ceil(_BODY_MARGIN_MM / spacing[axis]))
        start = min(box[axis][0] for box in boxes) * step[axis] - margin
        stop = max(box[axis][1] for box in boxes) * step[axis] + margin
        sides.append((max(0, start), min(shape[axis], stop)))
    return (sides[0], sides[1], sides[2])


def _coarse(channel: NDArray[Any], step: list[int]) -> NDArray[np.float32]:
    """Means over blocks of ``step`` voxels; the last, partial block of an axis counts its own voxels."""
    coarse = channel.astype(np.float32)
    for axis, size in enumerate(step):
        if size > 1:
            starts = np.arange(0, coarse.shape[axis], size)
            counts = np.diff(np.append(starts, coarse.shape[axis]))
            wide = [len(starts) if a == axis else 1 for a in range(3)]
            means = np.add.reduceat(coarse, starts, axis=axis) / counts.reshape(wide)
            coarse = np.asarray(means, dtype=np.float32)
    return coarse


def _largest_bright(coarse: NDArray[np.float32]) -> NDArray[np.bool_]:
    from scipy.ndimage import label

    values = np.clip(coarse, None, np.percentile(coarse, 99.5))
    if values.min() == values.max():
        return np.zeros(coarse.shape, bool)
    threshold = otsu_threshold(values)
    background = float(np.median(values[values < threshold]))
    regions, count = label(values > (background + threshold) / 2)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)[1:]
    return np.asarray(regions == int(sizes.argmax()) + 1)


def otsu_threshold(values: NDArray[np.float32], bins: int = 256) -> float:
    """Threshold with the largest variance between the two classes (Otsu 1979); ``values`` must not be constant."""
    counts, edges = np.histogram(values, bins=bins)
    middle = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum().astype(np.float64)
    above = below[-1] - below
    sums = (counts * middle).cumsum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][np.nanargmax(between)])


def _ends_of(mask: NDArray[np.bool_]) -> Box | None:
    """The bounding box as first and last + 1 voxel of every axis."""
    if (box := bounding_box(mask)) is None:
        return None
    i, j, k = ((side.start, side.stop) for side in box)
    return (i, j, k)
