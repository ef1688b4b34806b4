"""Resample along voxel axes, one axis at a time.

Knows interpolation weights ("taps") and how to apply them fast: gathered planes, weighted and summed, in blocks that stay
in the CPU's cache. Does not know orientation, crops or files. Measured against scipy.ndimage.zoom and SimpleITK in
``benchmarks/resample.py``.

When an axis becomes coarser the linear kernel is stretched by the same factor (an average, as in anti-aliased image
resizing): single samples would turn fine structure into noise. Positions beyond the outermost voxel centers take the
value of that voxel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Spacing ratio above which the thick axis of cubic interpolation is done linearly (nnU-Net's anisotropy threshold).
ANISOTROPY = 3.0
_BLOCK_VOXELS = 1 << 18
_SAME = 1e-6


@dataclass(frozen=True, eq=False)
class Taps:
    """What each of m new positions along an axis takes: ``index`` (m, t) source indices with ``weight`` (m, t)."""

    index: NDArray[np.intp]
    weight: NDArray[np.float32]
    prefilter: bool = False

    def copies(self, length: int) -> bool:
        """Whether these taps leave an axis of ``length`` as it is."""
        same = self.index.shape == (length, 1)
        return same and bool((self.index[:, 0] == np.arange(length)).all())

    def part(self, start: int, stop: int) -> Taps:
        """The taps of positions start..stop."""
        return Taps(self.index[start:stop], self.weight[start:stop], self.prefilter)


def positions(count: int, scale: float, offset: float) -> NDArray[np.float64]:
    """Source positions of ``count`` new voxels: ``offset + scale * n``."""
    return offset + scale * np.arange(count, dtype=np.float64)


def linear_taps(at: NDArray[np.float64], length: int) -> Taps:
    """Linear interpolation at source positions ``at`` of an axis of ``length`` voxels (clamped to the axis)."""
    at = np.clip(at, 0, length - 1)
    nearest = np.rint(at)
    if np.abs(at - nearest).max(initial=0) < _SAME:
        return Taps(nearest.astype(np.intp)[:, None], np.ones((len(at), 1), np.float32))
    low = np.minimum(np.floor(at).astype(np.intp), length - 2)
    share = (at - low).astype(np.float32)
    return Taps(np.stack([low, low + 1], 1), np.stack([1 - share, share], 1))


def average_taps(at: NDArray[np.float64], length: int, scale: float) -> Taps:
    """The linear kernel stretched by ``scale`` > 1, cut and normalized at the axis' ends."""
    reach = int(np.ceil(scale)) + 1
    index = np.floor(at).astype(np.intp)[:, None] + np.arange(-reach + 1, reach + 1)
    weight = np.maximum(0, 1 - np.abs(index - at[:, None]) / scale)
    weight[(index < 0) | (index >= length)] = 0
    used = weight.any(axis=0)
    index, weight = index[:, used].clip(0, length - 1), weight[:, used]
    return Taps(index, (weight / weight.sum(axis=1, keepdims=True)).astype(np.float32))


def cubic_taps(at: NDArray[np.float64], length: int) -> Taps:
    """B-spline of order 3 through the voxels (Unser 1999), mirrored at the axis' ends."""
    at = np.clip(at, 0, length - 1)
    low = np.floor(at).astype(np.intp)
    x = (at - low)[:, None]
    weight = np.concatenate(
        [
            (1 - x) ** 3,
            4 - 6 * x**2 + 3 * x**3,
            4 - 6 * (1 - x) ** 2 + 3 * (1 - x) ** 3,
            x**3,
        ],
        axis=1,
    )
    index = np.abs(low[:, None] + np.arange(-1, 3))
    index = np.where(index >= length, 2 * (length - 1) - index, index)
    return Taps(index, (weight / 6).astype(np.float32), prefilter=True)


def image_taps(at: NDArray[np.float64], length: int, scale: float, order: str) -> Taps:
    """The taps for an image: copied where nothing moves, averaged where it becomes coarser, else linear or cubic."""
    exact = linear_taps(at, length)
    if exact.index.shape[1] == 1 and abs(scale - 1) < _SAME:
        return exact
    if scale > 1 + _SAME:
        return average_taps(at, length, scale)
    return cubic_taps(at, length) if order == "cubic" and length >= 4 else exact


def apply_taps(data: NDArray[Any], taps: Sequence[Taps]) -> NDArray[np.float32]:
    """Resample (I, J, K) along its three axes, float32; axes that shrink the most come first.

    An axis that nothing changes costs nothing; with three of them ``data`` itself comes back as float32.
    """
    growth = [len(one.index) / max(1, size) for one, size in zip(taps, data.shape, strict=True)]
    for axis in sorted(range(3), key=growth.__getitem__):
        if not taps[axis].copies(data.shape[axis]):
            data = _along(data, axis, taps[axis])
    return np.asarray(data, dtype=np.float32)


def _along(data: NDArray[Any], axis: int, taps: Taps) -> NDArray[np.float32]:
    if taps.prefilter:
        from scipy.ndimage import spline_filter1d

        data = spline_filter1d(data, order=3, axis=axis, output=np.float32, mode="mirror")
    shape = list(data.shape)
    shape[axis] = len(taps.index)
    out = np.empty(shape, np.float32)
    across = 1 if axis == 0 else 0
    weight = taps.weight.reshape([len(taps.weight) if a == axis else 1 for a in range(3)] + [-1])
    for block in _blocks(shape[across], out.size):
        where = (slice(None),) * across + (block,)
        part = np.asarray(data[where], dtype=np.float32)
        total = np.take(part, taps.index[:, 0], axis=axis)
        if taps.index.shape[1] == 2:
            step = np.take(part, taps.index[:, 1], axis=axis)
            step -= total
            step *= weight[..., 1]
            total += step
        elif taps.index.shape[1] > 2:
            total *= weight[..., 0]
            for tap in range(1, taps.index.shape[1]):
                step = np.take(part, taps.index[:, tap], axis=axis)
                step *= weight[..., tap]
                total += step
        out[where] = total
    return out


def _blocks(length: int, voxels: int) -> Iterator[slice]:
    step = max(1, length * _BLOCK_VOXELS // max(1, voxels))
    return (slice(start, start + step) for start in range(0, length, step))


def _picked(values: NDArray[Any], indices: Sequence[NDArray[np.integer[Any]]]) -> NDArray[Any]:
    """A copy of the values at ``indices`` along every axis; many times as fast where they follow one another."""
    if all((np.diff(index) == 1).all() for index in indices):
        return values[tuple(slice(index[0], index[-1] + 1) for index in indices)].copy()
    return np.ascontiguousarray(values[np.ix_(*indices)])


def resample_labels(inner: NDArray[Any], taps: Sequence[Taps]) -> NDArray[Any]:
    """Resample inner label indices (I, J, K): each label's share is interpolated, the largest wins.

    Never a value that was not there; a tie goes to the background, then to the smaller index. Work is done inside each
    label's own bounding box. ``taps`` hold weights that sum to 1.
    """
    if all(one.index.shape[1] == 1 for one in taps):
        return _picked(inner, [one.index[:, 0] for one in taps])
    from scipy.ndimage import find_objects

    shape = tuple(len(one.index) for one in taps)
    out = np.zeros(shape, inner.dtype)
    best, total = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for number, box in enumerate(find_objects(inner.astype(np.int32, copy=False)), start=1):
        if box is None:
            continue
        reached = [_reached(one, side) for one, side in zip(taps, box, strict=True)]
        where = tuple(slice(start, stop) for _, start, stop in reached)
        if any(side.start >= side.stop for side in where):
            continue
        share = apply_taps(_Shifted.mask(inner, number, box), [one for one, _, _ in reached])
        wins = share > best[where] + _SAME
        out[where][wins] = number
        np.maximum(best[where], share, out=best[where])
        total[where] += share
    out[1 - total >= best - _SAME] = 0
    return out


class _Shifted:
    """A label's mask with one empty voxel around its box, so that clamped indices read 0."""

    @staticmethod
    def mask(inner: NDArray[Any], number: int, box: tuple[slice, ...]) -> NDArray[np.float32]:
        size = [side.stop - side.start + 2 for side in box]
        mask = np.zeros(size, np.float32)
        mask[1:-1, 1:-1, 1:-1] = inner[box] == number
        return mask


def _reached(taps: Taps, side: slice) -> tuple[Taps, int, int]:
    """The taps of the new positions that a label within ``side`` can reach, shifted to its padded mask."""
    touches = ((taps.index >= side.start) & (taps.index < side.stop)).any(axis=1)
    hits = np.flatnonzero(touches)
    start, stop = (int(hits[0]), int(hits[-1]) + 1) if len(hits) else (0, 0)
    length = side.stop - side.start + 2
    index = np.clip(taps.index[start:stop] - side.start + 1, 0, length - 1)
    return Taps(index, taps.weight[start:stop]), start, stop
