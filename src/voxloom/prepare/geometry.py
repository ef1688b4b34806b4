"""The way from the source grid to the prepared grid, and back.

Knows, per axis, which source position a prepared voxel has (turn, cut, resample, pad), so results return to the source
grid whole or slab by slab. Does not know grey values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.prepare.crop import Box
from voxloom.prepare.reorient import Turn
from voxloom.prepare.resample import (
    ANISOTROPY,
    Taps,
    apply_taps,
    image_taps,
    linear_taps,
    positions,
    resample_labels,
)
from voxloom.volume import spacing_of

_SPACING_TOLERANCE = 1e-3
Triple = tuple[float, float, float]
Size = tuple[int, int, int]
Slab = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """An invertible record of one case's preparation.

    source_shape, source_affine : the grid of the source, (I, J, K) and 4x4 rows, voxel to RAS+ mm.
    turn : permutation and flips; every entry below is per turned axis.
    box : (start, stop) of the cut in turned voxels.
    resampled : grid size after resampling the cut.
    scale : turned voxels per resampled voxel (1 = not resampled); both grids share their center.
    pad : voxels put before the resampled grid.
    shape : prepared grid size.
    """

    source_shape: Size
    source_affine: tuple[tuple[float, ...], ...]
    turn: Turn
    box: Box
    resampled: Size
    scale: Triple
    pad: Size
    shape: Size

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) prepared voxel index to RAS+ mm."""
        to_turned = np.eye(4)
        for axis in range(3):
            to_turned[axis, axis] = self.scale[axis]
            to_turned[axis, 3] = self._origin(axis) - self.scale[axis] * self.pad[axis]
        return np.asarray(np.array(self.source_affine) @ self.turn.matrix(self.source_shape) @ to_turned)

    @property
    def spacing(self) -> Triple:
        """Prepared voxel size in mm, order i j k."""
        return spacing_of(self.affine)

    def _origin(self, axis: int) -> float:
        """Turned position of resampled voxel 0."""
        start, stop = self.box[axis]
        return start + ((stop - start - 1) - self.scale[axis] * (self.resampled[axis] - 1)) / 2

    def _forward(self, order: str | None) -> list[Taps]:
        """Taps from the cut to the resampled grid; ``order`` None is for labels."""
        taps = []
        turned = np.array(spacing_of(np.array(self.source_affine)))[list(self.turn.order)]
        thick = turned > ANISOTROPY * turned.min()
        for axis, (start, stop) in enumerate(self.box):
            at = positions(self.resampled[axis], self.scale[axis], self._origin(axis) - start)
            kind = "linear" if order is None or thick[axis] else order
            taps.append(image_taps(at, stop - start, self.scale[axis], kind))
        return taps

    def _cut(self, data: NDArray[Any]) -> NDArray[Any]:
        turned = self.turn.apply(data)
        i, j, k = (slice(start, stop) for start, stop in self.box)
        return turned[..., i, j, k]

    def _padded(self, data: NDArray[Any]) -> NDArray[Any]:
        if self.shape == self.resampled:
            return np.ascontiguousarray(data)
        out = np.zeros((*data.shape[:-3], *self.shape), data.dtype)
        i, j, k = (slice(at, at + size) for at, size in zip(self.pad, self.resampled, strict=True))
        out[..., i, j, k] = data
        return out

    def turn_and_cut(self, data: NDArray[Any]) -> NDArray[Any]:
        """A view of source voxels (..., I, J, K), turned and cut."""
        return self._cut(data)

    def resample_image(self, cut: NDArray[np.float32], order: str) -> NDArray[np.float32]:
        """Turned and cut channels (C, I, J, K) on the prepared grid; padded with 0."""
        taps = self._forward(order)
        if all(one.copies(size) for one, size in zip(taps, cut.shape[1:], strict=True)):
            return self._padded(cut)
        out = np.zeros((len(cut), *self.shape), np.float32)
        inner = tuple(slice(at, at + size) for at, size in zip(self.pad, self.resampled, strict=True))
        for source, channel in zip(cut, out, strict=True):
            channel[inner] = apply_taps(source, taps)
        return out

    def prepare_labels(self, inner: NDArray[Any]) -> NDArray[Any]:
        """Inner label indices on the source grid (I, J, K) to the prepared grid; padded with 0."""
        self._check(inner.shape, self.source_shape, "source")
        return self._padded(resample_labels(self._cut(inner), self._forward(None)))

    def restore_labels(self, inner: NDArray[Any]) -> NDArray[Any]:
        """Inner label indices on the prepared grid (I, J, K) to the source grid; 0 outside the cut."""
        self._check(inner.shape, self.shape, "prepared")
        turned = np.zeros(self.turn.shape(self.source_shape), inner.dtype)
        where = tuple(slice(start, stop) for start, stop in self.box)
        taps = [self._backward(axis, start, stop) for axis, (start, stop) in enumerate(self.box)]
        turned[where] = resample_labels(inner, taps)
        return np.ascontiguousarray(self.turn.undo(turned))

    def _backward(self, axis: int, start: int, stop: int) -> Taps:
        """Taps from the prepared axis to turned voxels start..stop (inside the cut); the padding is never read."""
        at = (np.arange(start, stop, dtype=np.float64) - self._origin(axis)) / self.scale[axis]
        inner = linear_taps(at, self.resampled[axis])
        return Taps(inner.index + self.pad[axis], inner.weight)

    def slabs(self, max_voxels: int) -> Iterator[Slab]:
        """Source-grid slabs (start, stop) along source axis i, each of at most ``max_voxels`` (at least one plane)."""
        planes = max(1, max_voxels // (self.source_shape[1] * self.source_shape[2]))
        for start in range(0, self.source_shape[0], planes):
            yield (start, min(start + planes, self.source_shape[0]))

    def restore_slab(self, values: NDArray[Any], slab: Slab, fill: float = 0.0) -> NDArray[np.float32]:
        """One slab of a map on the prepared grid, on the source grid by linear interpolation.

        Parameters
        ----------
        values : (I, J, K) floats of any width on the prepared grid; only the planes that the slab needs are read.
        slab : (start, stop) along source axis i.
        fill : value outside the cut.

        Returns
        -------
        float32 array (stop - start, J, K) on the source grid.
        """
        self._check(values.shape, self.shape, "prepared")
        wide = [*self.turn.shape(self.source_shape)]
        inside, taps = [], []
        for axis, (old, flip, (first, last)) in enumerate(zip(self.turn.order, self.turn.flips, self.box, strict=True)):
            start, stop = self._turned(slab, flip) if old == 0 else (0, wide[axis])
            low, high = max(start, first), max(min(stop, last), max(start, first))
            inside.append(slice(low - start, high - start))
            taps.append(self._backward(axis, low, high))
            wide[axis] = stop - start
        if all(part.start == 0 and part.stop == size for part, size in zip(inside, wide, strict=True)):
            return np.ascontiguousarray(self.turn.undo(_resample_needed(values, taps)))
        out = np.full(wide, fill, np.float32)
        if all(part.stop > part.start for part in inside):
            out[tuple(inside)] = _resample_needed(values, taps)
        return np.ascontiguousarray(self.turn.undo(out))

    def restore_map(self, values: NDArray[Any], max_voxels: int, fill: float = 0.0) -> Iterator[NDArray[np.float32]]:
        """The slabs of :meth:`slabs` in their order, each restored by :meth:`restore_slab`."""
        for slab in self.slabs(max_voxels):
            yield self.restore_slab(values, slab, fill)

    def _turned(self, slab: Slab, flip: bool) -> Slab:
        length = self.source_shape[0]
        return (length - slab[1], length - slab[0]) if flip else slab

    @staticmethod
    def _check(found: tuple[int, ...], expected: Size, grid: str) -> None:
        if tuple(found) != expected:
            raise BadInput(f"an array of shape {tuple(found)} does not fit the {grid} grid {expected}")

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_dict`."""
        parts: dict[str, Any] = {key: _tuples(part) for key, part in value.items() if key != "turn"}
        return cls(
            turn=Turn(**{key: _tuples(part) for key, part in value["turn"].items()}),
            **parts,
        )


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list | tuple) else value


def _resample_needed(values: NDArray[Any], taps: list[Taps]) -> NDArray[np.float32]:
    """Apply taps to the part of the map that they read."""
    first = [int(one.index.min()) for one in taps]
    last = [int(one.index.max()) + 1 for one in taps]
    part = values[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return apply_taps(
        part,
        [Taps(one.index - at, one.weight) for one, at in zip(taps, first, strict=True)],
    )


def plan_geometry(
    shape: Size,
    affine: NDArray[np.float64],
    turn: Turn,
    box: Box,
    spacing: tuple[float | None, float | None, float | None] | None,
    pad_to: Size | None,
    at_most: Size | None = None,
) -> Geometry:
    """The geometry of a source grid that is turned, cut to ``box``, resampled to ``spacing`` and padded to ``pad_to``.

    ``at_most`` : the resampled grid has no more voxels; the box was cut for it (``middle_box``).

    An axis of one voxel is neither resampled nor padded. A spacing within 0.1 % of the target stays as it is.
    """
    own = np.array(spacing_of(affine))[list(turn.order)]
    resampled, scales, pads, sizes = [], [], [], []
    for axis, (start, stop) in enumerate(box):
        length = stop - start
        wanted = None if spacing is None or length == 1 else spacing[axis]
        scale = 1.0 if wanted is None else float(wanted / own[axis])
        scale = 1.0 if abs(scale - 1) < _SPACING_TOLERANCE else scale
        count = max(1, round(length / scale))
        count = count if at_most is None or length == 1 else min(count, at_most[axis])
        size = count if pad_to is None or length == 1 else max(count, pad_to[axis])
        resampled.append(count)
        scales.append(scale)
        pads.append((size - count) // 2)
        sizes.append(size)
    rows = tuple(tuple(float(x) for x in row) for row in affine)
    return Geometry(
        shape,
        rows,
        turn,
        box,
        _three(resampled),
        _three(scales),
        _three(pads),
        _three(sizes),
    )


def middle_box(
    box: Box, own: Triple, spacing: tuple[float | None, float | None, float | None] | None, size: Size
) -> Box:
    """The middle of a box, of as many turned voxels as ``size`` voxels of ``spacing`` take; smaller boxes stay.

    Parameters
    ----------
    own : mm of the turned voxels; what ``spacing`` leaves open keeps it.
    """
    sides = []
    for axis, (start, stop) in enumerate(box):
        wanted = own[axis] if spacing is None or spacing[axis] is None else spacing[axis]
        assert wanted is not None
        length = min(stop - start, math.ceil(round(size[axis] * wanted / own[axis], 6)))
        first = start + (stop - start - length) // 2
        sides.append((first, first + length))
    return (sides[0], sides[1], sides[2])


def _three(values: list[Any]) -> Any:
    a, b, c = values
    return (a, b, c)
