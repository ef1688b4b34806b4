"""Targets around points: discs in the slice plane, balls and Gaussian heat maps, painted in millimetres.

Knows the affine of a grid, so radii are true on anisotropic, oblique and sheared grids. A mark is never lost between voxels:
the voxel nearest to it is always painted. Does not know networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TargetKind = Literal["disc", "ball", "gaussian"]
Position = tuple[float, float, float]

#: A Gaussian is cut off at this many SDs.
_REACH = 4.0


def paint_target(
    marks: Sequence[Sequence[Position]],
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    *,
    kind: TargetKind,
    radius: float,
    slice_axis: int | None = None,
) -> NDArray[np.float32]:
    """Targets (T, I, J, K) of several maps; see :func:`paint`."""
    return np.stack(
        [paint(one, shape, affine, kind=kind, radius=radius, slice_axis=slice_axis) for one in marks]
        or [np.zeros(shape, np.float32)]
    )


def paint(
    marks: Sequence[Position],
    shape: tuple[int, int, int],
    affine: NDArray[np.float64],
    *,
    kind: TargetKind,
    radius: float,
    slice_axis: int | None = None,
) -> NDArray[np.float32]:
    """One target map (I, J, K), float32: 0 and 1 for discs and balls, 0 to 1 for heat maps.

    Parameters
    ----------
    marks : RAS mm; marks outside the grid paint what of them reaches into it.
    affine : (4, 4) voxel index to RAS mm.
    kind : "disc": the pixels of the nearest slice whose distance in the slice is at most ``radius``; "ball": the voxels within
        ``radius``; "gaussian": exp(-d^2 / 2 radius^2), where marks meet the larger value.
    slice_axis : of discs; None takes the axis of the largest spacing.
    """
    target = np.zeros(shape, np.float32)
    axes = np.asarray(affine, dtype=np.float64)[:3, :3]
    axis = int(np.argmax(np.linalg.norm(axes, axis=0))) if slice_axis is None else slice_axis
    for mark in marks:
        voxel = np.asarray(np.linalg.solve(axes, np.asarray(mark) - affine[:3, 3]), dtype=np.float64)
        _paint_one(target, voxel, axes, kind, radius, axis)
    return target


def _paint_one(
    target: NDArray[np.float32],
    voxel: NDArray[np.float64],
    axes: NDArray[np.float64],
    kind: TargetKind,
    radius: float,
    axis: int,
) -> None:
    metric = axes.copy()
    if kind == "disc":
        metric[:, axis] = 0  # distances are measured in the slice
    reach = radius * (_REACH if kind == "gaussian" else 1.0)
    half = reach * _extents(axes, axis if kind == "disc" else None)
    nearest = np.rint(voxel)
    low, high = np.floor(voxel - half), np.ceil(voxel + half)
    if kind == "disc":
        low[axis] = high[axis] = nearest[axis]
    low, high = np.minimum(low, nearest), np.maximum(high, nearest)
    start, stop = np.maximum(low, 0).astype(int), np.minimum(high + 1, target.shape).astype(int)
    if (stop <= start).any():
        return
    grids = np.meshgrid(*(np.arange(a, b) - v for a, b, v in zip(start, stop, voxel, strict=True)), indexing="ij")
    offsets = np.tensordot(metric, np.stack(grids), axes=1)
    distance = np.sqrt((offsets**2).sum(axis=0))
    if kind == "gaussian":
        painted = np.where(distance <= reach, np.exp(-(distance**2) / (2 * radius**2)), 0)
    else:
        painted = (distance <= radius * (1 + 1e-9)).astype(float)
        if ((nearest >= start) & (nearest < stop)).all():
            painted[tuple((nearest - start).astype(int))] = 1
    where = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
    target[where] = np.maximum(target[where], painted)


def _extents(axes: NDArray[np.float64], flat: int | None) -> NDArray[np.float64]:
    """Half width in voxels, per axis, of the box around a ball (or a disc in the plane across ``flat``) of 1 mm."""
    if flat is None:
        return np.asarray(np.linalg.norm(np.linalg.inv(axes), axis=1))
    inside = [a for a in range(3) if a != flat]
    extents = np.zeros(3)
    extents[inside] = np.linalg.norm(np.linalg.pinv(axes[:, inside]), axis=1)
    return extents
