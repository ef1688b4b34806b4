"""Surface distances between two masks, exact in mm on anisotropic grids.

A mask's surface is its voxels that touch the outside through a face (6 neighbours in 3D, 4 in a single slice), as SimpleITK and
MedPy define it; distances run between voxel centres. Knows no labels and no files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.boxes import Box, bounding_box

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
        """The larger of the two directed percentiles: HD95 of Metrics Reloaded and MONAI."""
        return float(max(np.percentile(self.forward, percentile), np.percentile(self.backward, percentile)))

    def pooled_percentile(self, percentile: float) -> float:
        """The percentile of the distances of both directions together: HD95 of MedPy, and so of nnU-Net v1."""
        return float(np.percentile(np.concatenate([self.forward, self.backward]), percentile))

    @property
    def assd(self) -> float:
        """Average symmetric surface distance: the mean over the voxels of both surfaces."""
        total = self.forward.sum(dtype=np.float64) + self.backward.sum(dtype=np.float64)
        return float(total / (len(self.forward) + len(self.backward)))


def common_box(a: NDArray[Any], b: NDArray[Any]) -> Box | None:
    """The bounding box of both arrays together, without their union in memory."""
    boxes = [box for box in (bounding_box(a), bounding_box(b)) if box is not None]
    if not boxes:
        return None
    i, j, k = (slice(min(s.start for s in sides), max(s.stop for s in sides)) for sides in zip(*boxes, strict=True))
    return (i, j, k)


def flat_axes(shape: Sequence[int]) -> tuple[int, ...]:
    """Axes of a single slice: no face of a voxel looks along them."""
    return tuple(n for n in range(3) if shape[n] == 1)


def surface(mask: Mask, flat: Sequence[int] | None = None) -> Mask:
    """The voxels of a mask with a face on the outside; the border of the array is outside.

    Parameters
    ----------
    mask : boolean (I, J, K).
    flat : axes without faces, for images of a single slice; None takes the axes of length 1.
    """
    inner = mask.copy()
    without = flat_axes(mask.shape) if flat is None else flat
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


def surface_distances(a: Mask, b: Mask, spacing: Spacing, flat: Sequence[int] | None = None) -> SurfaceDistances:
    """Distances between the surfaces of two masks that are not empty.

    Parameters
    ----------
    a, b : boolean (I, J, K) of one shape. They are cut to the bounding box of their union; one exact Euclidean distance
        transform is made per mask, one after the other, so that memory follows that box.
    spacing : mm, order i j k.
    flat : axes without faces, where a and b were cut out of a larger image; None takes the axes of length 1.
    """
    box = common_box(a, b)
    if box is None:
        raise ValueError("both masks are empty")
    without = flat_axes(a.shape) if flat is None else flat
    one, two = (surface(np.ascontiguousarray(mask[box]), without) for mask in (a, b))
    forward = distance_to(two, spacing)[one]
    return SurfaceDistances(forward=forward, backward=distance_to(one, spacing)[two])


def distance_to(edge: Mask, spacing: Spacing) -> NDArray[np.float32]:
    """Distance of every voxel to the nearest voxel of ``edge``, in mm."""
    import edt

    found: NDArray[np.float32] = edt.edt(~edge, anisotropy=spacing, black_border=False, parallel=0)
    return found
