"""A box of a volume around what a mask outlines, or around a point. Knows grids and millimetres; reads no file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.volume import Volume

Point = tuple[float, float, float]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
#: Entry of ``Volume.meta`` of a volume that was cut out.
FOCUSED = "focused"


@dataclass(frozen=True)
class Focus:
    """What is cut out of a scan.

    Parameters
    ----------
    labels : values of the mask that count; empty takes all but 0.
    margin_mm : by how much the mask is grown in all directions, in mm.
    margin_voxels : and by how many voxels (6-neighbours), beside that.
    size_mm : of the box along i, j, k around the middle of the mask, or around the point; None takes the grown mask's own box.
    keep_outside : whether voxels outside the grown mask stay; else they become the smallest value of the box.
    """

    labels: tuple[int, ...] = ()
    margin_mm: float = 0.0
    margin_voxels: int = 0
    size_mm: Point | None = None
    keep_outside: bool = True


def inside(mask: NDArray[Any], labels: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where a label map (I, J, K) holds what counts."""
    return np.isin(mask, labels) if labels else mask != 0


def grown(mask: NDArray[np.bool_], spacing: Point, focus: Focus) -> NDArray[np.bool_]:
    """The mask (I, J, K) with its margin; only the surroundings of the mask are computed."""
    from scipy.ndimage import binary_dilation, distance_transform_edt

    if not focus.margin_mm and not focus.margin_voxels:
        return mask
    reach = [focus.margin_voxels + math.ceil(focus.margin_mm / mm) + 1 for mm in spacing]
    near = tuple(slice(max(0, start - r), stop + r) for (start, stop), r in zip(bounds(mask), reach, strict=True))
    part = mask[near]
    if focus.margin_mm:
        part = distance_transform_edt(~part, sampling=spacing) <= focus.margin_mm + 1e-6
    if focus.margin_voxels:
        part = binary_dilation(part, iterations=focus.margin_voxels)
    whole = np.zeros_like(mask)
    whole[near] = part
    return whole


def bounds(mask: NDArray[np.bool_]) -> Box:
    """Smallest box (start, stop) per axis of a mask that is not empty."""
    found = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(axis=tuple(n for n in range(3) if n != axis)))
        found.append((int(used[0]), int(used[-1]) + 1))
    return (found[0], found[1], found[2])


def box_around(middle: NDArray[np.floating[Any]], spacing: Point, size_mm: Point) -> Box:
    """A box of so many mm around a place in voxels; it may reach beyond the volume."""
    counts = [max(1, round(size / mm)) for size, mm in zip(size_mm, spacing, strict=True)]
    starts = [round(float(m) - (n - 1) / 2) for m, n in zip(middle, counts, strict=True)]
    i, j, k = ((start, start + n) for start, n in zip(starts, counts, strict=True))
    return (i, j, k)


def box_of_mask(mask: NDArray[np.bool_], spacing: Point, focus: Focus) -> Box:
    """The box of a mask that was grown (BadInput for an empty one)."""
    if not mask.any():
        raise BadInput("the mask is empty, so there is nothing to crop around", None, "Draw it, or leave the case out")
    own = bounds(mask)
    if focus.size_mm is None:
        return own
    return box_around(np.array([(start + stop - 1) / 2 for start, stop in own]), spacing, focus.size_mm)


def box_of_point(point: Point, affine: NDArray[np.float64], spacing: Point, focus: Focus) -> Box:
    """The box around a point in RAS mm (``size_mm`` is needed)."""
    assert focus.size_mm is not None, "settings ask for it"
    middle = np.linalg.solve(affine, [*point, 1.0])[:3]
    return box_around(middle, spacing, focus.size_mm)


def moved(affine: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """The affine of a box."""
    found = affine.copy()
    found[:3, 3] += affine[:3, :3] @ np.array([start for start, _ in box])
    return found


def cut(volume: Volume, box: Box, mask: NDArray[np.bool_] | None = None) -> Volume:
    """The voxels of a box (C, i, j, k); beyond the volume, and outside ``mask`` where it is given, the smallest value inside.

    Raises BadInput for a box that lies wholly outside the volume.
    """
    within = tuple(
        slice(max(0, start), max(0, min(n, stop))) for (start, stop), n in zip(box, volume.shape, strict=True)
    )
    part = volume.data[(slice(None), *within)]
    if not part.size:
        raise BadInput(
            "the box to crop lies outside the scan", volume.meta.get("source"), "Check the mask or the point"
        )
    lowest = part.min(axis=(1, 2, 3), keepdims=True)
    if mask is not None:
        part = np.where(mask[within][None], part, lowest)
    data = np.empty((volume.channels, *(stop - start for start, stop in box)), dtype=volume.data.dtype)
    data[...] = lowest
    place = tuple(slice(w.start - start, w.stop - start) for w, (start, _) in zip(within, box, strict=True))
    data[(slice(None), *place)] = part
    return Volume(data, moved(volume.affine, box), {**volume.meta, FOCUSED: True})


def focused_on_mask(volume: Volume, mask: NDArray[np.bool_], focus: Focus) -> Volume:
    """What a mask (I, J, K) on the grid of the volume outlines, with its margin."""
    wide = grown(mask, volume.spacing, focus) if mask.any() else mask
    return cut(volume, box_of_mask(wide, volume.spacing, focus), None if focus.keep_outside else wide)


def focused_on_point(volume: Volume, point: Point, focus: Focus) -> Volume:
    """The surroundings of a point in RAS mm."""
    return cut(volume, box_of_point(point, volume.affine, volume.spacing, focus))
