"""Surface distances between two masks, exact in mm on anisotropic grids.

A mask's surface is its voxels that touch the outside through a face (6 neighbours in 3D, 4 in a single slice), as SimpleITK and
MedPy define it; distances run between voxel centres. Knows no labels and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Spacing = tuple[float, float, float]


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances in mm from each surface voxel of one mask to the other's surface, both ways."""

    forward: NDArray[np.float32]
    backward: NDArray[np.float32]

    @property
    def hd(self) -> float:
        """Hausdorff distance: the largest of both directions."""
        return float(max(self.forward.max(), self.backward.max()))

    def hd_percentile(self, percentile: float) -> float:
        """The larger of the two directed percentiles (95 gives HD95 as MONAI and nnU-Net's users know it)."""
        return float(max(np.percentile(self.forward, percentile), np.percentile(self.backward, percentile)))

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean over the voxels of both surfaces."""
        total = self.forward.sum(dtype=np.float64) + self.backward.sum(dtype=np.float64)
        return float(total / (len(self.forward) + len(self.backward)))


def bounding_box(mask: Mask) -> tuple[slice, slice, slice] | None:
    """Slices that hold all true voxels, None for an empty mask."""
    flat: Mask = np.asarray(mask.any(axis=2))  # one pass over the volume; the rest is cheap
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    if not len(rows):
        return None
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = np.flatnonzero(part.any(axis=(0, 1)))
    ends = [(int(n[0]), int(n[-1]) + 1) for n in (rows, columns, depth)]
    return (slice(*ends[0]), slice(*ends[1]), slice(*ends[2]))


def surface(mask: Mask, flat: Sequence[int] | None = None) -> Mask:
    """The voxels of a mask with a face on the outside; the border of the array is outside.

    Parameters
    ----------
    mask : boolean (I, J, K).
    flat : axes without faces, for images of a single slice; None takes the axes of length 1.
    """
    inner = mask.copy()
    without = [n for n in range(3) if mask.shape[n] == 1] if flat is None else flat
    for axis in range(3):
        if axis in without:
            continue
        first, last = _side(axis, slice(None, -1)), _side(axis, slice(1, None))
        inner[last] &= mask[first]
        inner[first] &= mask[last]
        inner[_side(axis, slice(0, 1))] = False
        inner[_side(axis, slice(-1, None))] = False
    edge: Mask = mask & ~inner
    return edge


def _side(axis: int, part: slice) -> tuple[slice, ...]:
    return tuple(part if n == axis else slice(None) for n in range(3))


def surface_distances(a: Mask, b: Mask, spacing: Spacing) -> SurfaceDistances:
    """Distances between the surfaces of two masks that are not empty.

    Parameters
    ----------
    a, b : boolean (I, J, K) of one shape. They are cut to the bounding box of their union; one exact Euclidean distance
        transform is made per mask.
    spacing : mm, order i j k.
    """
    box = bounding_box(a | b)
    if box is None:
        raise ValueError("both masks are empty")
    flat = [n for n in range(3) if a.shape[n] == 1]
    edges = [surface(np.ascontiguousarray(mask[box]), flat) for mask in (a, b)]
    maps = [_distance_to(edge, spacing) for edge in edges]
    return SurfaceDistances(forward=maps[1][edges[0]], backward=maps[0][edges[1]])


def _distance_to(edge: Mask, spacing: Spacing) -> NDArray[np.float32]:
    """Distance of every voxel to the nearest voxel of ``edge``, in mm."""
    import edt

    found: NDArray[np.float32] = edt.edt(~edge, anisotropy=spacing, black_border=False, parallel=0)
    return found
