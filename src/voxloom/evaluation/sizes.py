"""How large a structure is: volume, largest diameter, and the two axes of its largest slice as RECIST 1.1 measures a lesion.

Diameters go between points in the middle of voxel faces, where a surface through the mask passes (as PyRadiomics measures its mesh).
Knows masks and affines.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """Sizes of one structure.

    Parameters
    ----------
    volume : ml.
    diameter : mm, the largest distance of two points of its surface.
    long_axis, short_axis : mm; the largest diameter within one slice (along k), and the largest one across it in the same slice
        (Eisenhauer et al. 2009).
    """

    volume: float
    diameter: float
    long_axis: float
    short_axis: float


def size_of(mask: NDArray[np.bool_], affine: NDArray[np.float64]) -> Size | None:
    """Sizes of a mask (I, J, K); None for an empty one."""
    if not mask.any():
        return None
    axes = affine[:3, :3]
    volume = float(mask.sum()) * float(abs(np.linalg.det(axes))) / 1000
    box = tuple(slice(int(n.min()), int(n.max()) + 1) for n in np.nonzero(mask))
    inner = mask[box]
    faces = np.concatenate([_faces(inner, axis) for axis in range(3)])
    long_axis, short_axis = max(_in_slice(inner[:, :, k], axes) for k in range(inner.shape[2]))
    return Size(volume, _diameter(_hull(faces @ axes.T)), long_axis, short_axis)


def _faces(mask: NDArray[np.bool_], axis: int) -> Points:
    """Middles of the exposed voxel faces across an axis, in voxels."""
    pad = [(1, 1) if n == axis else (0, 0) for n in range(mask.ndim)]
    steps = np.diff(np.pad(mask, pad).astype(np.int8), axis=axis)
    found = np.argwhere(steps != 0).astype(np.float64)
    found[:, axis] -= 0.5
    return found


def _in_slice(mask: NDArray[np.bool_], axes: NDArray[np.float64]) -> tuple[float, float]:
    """Largest diameter of a mask (I, J), and the largest chord across it."""
    if not mask.any():
        return 0.0, 0.0
    sides = np.concatenate([_faces(mask, axis) for axis in range(2)])
    first = axes[:, 0] / np.linalg.norm(axes[:, 0])
    second = axes[:, 1] - (axes[:, 1] @ first) * first
    plane = np.stack([first, second / np.linalg.norm(second)])
    hull = _hull(sides @ (axes[:, :2].T @ plane.T))
    distances = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    a, b = np.unravel_index(int(distances.argmax()), distances.shape)
    along = (hull[b] - hull[a]) / distances[a, b]
    return float(distances[a, b]), _chord(hull, along)


def _chord(hull: Points, along: NDArray[np.float64]) -> float:
    """The largest chord of a convex outline at right angles to a direction; it ends in one of the corners."""
    turned = hull @ np.array([[along[0], -along[1]], [along[1], along[0]]])
    best = 0.0
    begin, end = turned, np.roll(turned, -1, axis=0)
    for x, y in turned:
        low, high = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
        crossed = (low <= x) & (x <= high) & (high > low)
        share = (x - begin[crossed, 0]) / (end[crossed, 0] - begin[crossed, 0])
        heights = begin[crossed, 1] + share * (end[crossed, 1] - begin[crossed, 1])
        best = max(best, float(np.abs(heights - y).max(initial=0.0)))
    return best


def _hull(points: Points) -> Points:
    """Corners of the convex hull; in a plane in their order around it."""
    from scipy.spatial import ConvexHull

    return np.asarray(points[ConvexHull(points).vertices])


def _diameter(points: Points) -> float:
    from scipy.spatial.distance import pdist

    return float(pdist(points).max())
