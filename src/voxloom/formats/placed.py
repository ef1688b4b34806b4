"""Label maps of other programs' objects on the grid of a scan: axes turned around, left-out slices filled.

Knows grids whose voxels coincide. A DICOM SEG leaves out empty slices and goes in DICOM's directions, so that it seldom has the
grid of the NIfTI file of the same scan; ``Volume.meta["partial"]`` marks such maps. Does not resample.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxloom.volume import Volume, closest_axes

#: Voxels coincide where no one is further from its partner, in mm.
_TOLERANCE_MM = 0.01


class Grid(Protocol):
    """Where voxels lie: a Volume, or a Header."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(I, J, K)."""
        ...

    @property
    def affine(self) -> NDArray[np.float64]:
        """Voxel index to RAS mm."""
        ...


def is_partial(label: Volume) -> bool:
    """Whether a map was read from an object that has a grid of its own."""
    return bool(label.meta.get("partial"))


def placed(label: Volume, shape: tuple[int, int, int], affine: NDArray[np.float64]) -> Volume:
    """A partial label map (1, I, J, K) on the grid of a scan; itself where it is whole, or does not fit into that grid."""
    if not is_partial(label):
        return label
    turned, offset = _turned(label, affine)
    size = np.array(turned.shape)
    if offset is None or (offset < 0).any() or (offset + size > shape).any():
        return label
    whole = np.zeros((1, *shape), label.data.dtype)
    whole[0][tuple(slice(o, o + n) for o, n in zip(offset, size, strict=True))] = turned
    return Volume(whole, affine, {key: value for key, value in label.meta.items() if key != "partial"})


def on_one_grid(a: Volume, b: Volume) -> tuple[Volume, Volume]:
    """Two label maps on one grid, where at least one is partial: that of the whole one, else one that holds both."""
    if is_partial(a) and not is_partial(b):
        return placed(a, b.shape, b.affine), b
    if is_partial(b) and not is_partial(a):
        return a, placed(b, a.shape, a.affine)
    if not is_partial(a):
        return a, b
    turned, offset = _turned(b, a.affine)
    if offset is None:
        return a, b
    low = np.minimum(offset, 0)
    high = np.maximum(offset + turned.shape, a.shape)
    affine = a.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    i, j, k = (int(n) for n in high - low)
    return placed(a, (i, j, k), affine), placed(b, (i, j, k), affine)


def _turned(label: Volume, affine: NDArray[np.float64]) -> tuple[NDArray[np.generic], NDArray[np.intp] | None]:
    """Voxels (I, J, K) with axes that run as those of ``affine``, and their first voxel's index there; None for other grids."""
    into = np.linalg.inv(affine) @ label.affine
    axes = closest_axes(into)
    order = [next(n for n, (world, _) in enumerate(axes) if world == axis) for axis in range(3)]
    data = label.data[0].transpose(order)
    own = into[:, [*order, 3]].copy()
    for axis in range(3):
        if axes[order[axis]][1] < 0:
            own[:3, 3] += own[:3, axis] * (data.shape[axis] - 1)
            own[:3, axis] *= -1
            data = np.flip(data, axis)
    offset = np.rint(own[:3, 3])
    corners = np.array(
        [[x, y, z] for x in (0, data.shape[0] - 1) for y in (0, data.shape[1] - 1) for z in (0, data.shape[2] - 1)]
    )
    moved = corners @ own[:3, :3].T + own[:3, 3] - (corners + offset)
    if np.linalg.norm(moved @ affine[:3, :3].T, axis=1).max() > _TOLERANCE_MM:
        return data, None
    return data, offset.astype(np.intp)
