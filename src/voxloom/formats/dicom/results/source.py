"""The series that results belong to: its headers, fit to be referred to, and how its planes lie.

Knows how the planes of a Volume go back to the objects they were read from: single slices, frames of one enhanced object, or neither
(mosaics, dose grids, resampled stacks). Does not read pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import format_shape
from voxloom.formats.dicom.files import read_dataset
from voxloom.formats.dicom.read import open_series
from voxloom.formats.dicom.results.complete import completed, identified
from voxloom.formats.dicom.stack import Stack
from voxloom.formats.dicom.tilt import upright_grid
from voxloom.formats.itk import LPS_RAS
from voxloom.notes import tell
from voxloom.volume import Volume, closest_axes, grid_distance, spacing_of

#: A mask lies on a series where no voxel is further from its partner (mm): NIfTI rounds to 32 bits.
_TOLERANCE_MM = 0.01
#: Elements in which the objects of a series agree, but for rounding (``series`` checked it).
_ALIKE = (
    "StudyInstanceUID", "FrameOfReferenceUID", "SeriesInstanceUID", "ImageOrientationPatient", "PixelSpacing",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SourceSeries:
    """One DICOM series that results are about.

    Parameters
    ----------
    headers : of its objects, without pixels, completed (see ``complete``): in the order of k where each is one plane.
    stack : its planes in the order of k.
    affine, shape : of the Volume that reading it gives: of the planes, or of the upright grid they are resampled to.
    where : for messages.
    resampled : whether the grid is not that of the planes.
    """

    headers: tuple[Any, ...]
    stack: Stack
    affine: NDArray[np.float64]
    shape: tuple[int, int, int]
    where: str
    resampled: bool = False

    @property
    def header(self) -> Any:
        """The first object's, complete: patient and study."""
        return self.headers[0]

    @cached_property
    def order(self) -> NDArray[np.intp] | None:
        """Number of the slice k that each plane of the source, in its own order, is; None where they do not match one to one."""
        frames = self.stack.frames
        if self.resampled or any(frame.tile is not None for frame in frames):
            return None
        if len({frame.path for frame in frames}) == len(frames):
            return np.arange(len(frames))
        enhanced = len(self.headers) == 1 and "PerFrameFunctionalGroupsSequence" in self.header
        return np.argsort([frame.index for frame in frames]) if enhanced else None

    @property
    def lps(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to LPS millimetres."""
        return LPS_RAS @ self.affine

    def positions_of(self, points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
        """LPS millimetres (n, 3) of points (n, 2) of i and j in slice k: on the plane itself, where the slice is one."""
        if self.resampled:
            whole = np.column_stack([points, np.full(len(points), float(k)), np.ones(len(points))])
            return np.asarray((whole @ self.lps.T)[:, :3])
        stack = self.stack
        return np.asarray(stack.positions[k] + points * stack.spacing @ stack.axes[:, :2].T)

    def plane(self, k: int) -> tuple[Any, int | None] | None:
        """Header of the object that holds slice k, and its frame there (None: the object is the slice); None where no object does."""
        if self.order is None:
            return None
        if len(self.headers) == 1 and "PerFrameFunctionalGroupsSequence" in self.header:
            return self.header, self.stack.frames[k].index + 1
        return self.headers[k], None

    def fitted(self, volume: Volume) -> NDArray[Any]:
        """The voxels of a map (1, I, J, K) in the axes of the series, (I, J, K).

        Axes may be exchanged or turned around, as other programs write them. Raises BadInput for another grid, saying how far
        off it is.
        """
        turned, affine = _turned(volume, self.affine)
        if turned.shape != self.shape:
            what = f"has {format_shape(volume.shape)} voxels, the series {format_shape(self.shape)}"
            raise BadInput(f"does not lie on its series: {what}", _name(volume), "Give the series it was made from")
        if (off := grid_distance(affine, self.affine, self.shape)) > _TOLERANCE_MM:
            what = f"does not lie on its series: voxels are up to {off:.3g} mm apart"
            raise BadInput(what, _name(volume), "Give the series it was made from, or resample it to that")
        return turned


def open_source(
    source: str | Path | Sequence[str | Path], *, series: str | None = None, resample_tilt: bool = False
) -> SourceSeries:
    """Headers and grid of a series (a folder, a file or a list of files), as ``read`` reads it; what was made up is told.

    Raises
    ------
    BadInput : as ``read``, but for faults of pixels.
    """
    opened, fault = open_series(source, resample_tilt=resample_tilt, series=series)
    stack = opened.stack
    first, notes = completed(read_dataset(stack.frames[0].path, headers_only=True, everything=True))
    notes += _with_thickness(first, stack)
    for note in notes:
        tell(opened.where, note)
    headers = (first, *_others(opened.headers, stack, first))
    i, j = stack.frames[0].shape
    if fault is None:
        return SourceSeries(headers, stack, stack.affine, (i, j, len(stack.frames)), opened.where)
    shape, affine = upright_grid(stack, (i, j))
    return SourceSeries(headers, stack, affine, shape, opened.where, resampled=True)


def _with_thickness(header: Any, stack: Stack) -> list[str]:
    """Fill the slice thickness, which frames of results must have (PS3.3 C.7.6.16.2.1); a note where it was lacking."""
    if "PerFrameFunctionalGroupsSequence" in header or header.get("SliceThickness") not in (None, ""):
        return []
    header.SliceThickness = round(spacing_of(stack.affine)[2], 6)
    return ["the source gives no slice thickness: the distance of its slices stands for it in the results"]


def _others(headers: dict[Path, Any], stack: Stack, first: Any) -> list[Any]:
    """The few elements of the other objects that references need, in the order of k."""
    others = []
    alike = {first[keyword].tag: first[keyword] for keyword in (*_ALIKE, "Modality") if keyword in first}
    for path in dict.fromkeys(frame.path for frame in stack.frames[1:]):
        if path == stack.frames[0].path:
            continue
        header = _copy_of(headers[path])
        header.update(alike)
        identified(header)
        others.append(header)
    return others


def _copy_of(header: Any) -> Any:
    """The same elements in a data set of their own: what the reader keeps stays as it is in the file."""
    import pydicom

    copied = pydicom.Dataset()
    copied.update(header)
    copied.file_meta = header.file_meta
    return copied


def _turned(volume: Volume, affine: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels (I, J, K) with axes that run as those of ``affine``, and their own affine."""
    order, flip = _axes_in(volume.affine, affine)
    data = volume.data[0].transpose(order)
    found = volume.affine[:, [*order, 3]].copy()
    for axis, flipped in enumerate(flip):
        if flipped:
            found[:3, 3] += found[:3, axis] * (data.shape[axis] - 1)
            found[:3, axis] *= -1
            data = np.flip(data, axis)
    return data, found


def _axes_in(own: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[list[int], list[bool]]:
    """For every axis of ``other``: which axis of ``own`` runs along it, and whether backwards."""
    relative = np.eye(4)
    relative[:3, :3] = np.linalg.inv(other[:3, :3]) @ own[:3, :3]
    mine = closest_axes(relative)
    order = [next(n for n, (world, _) in enumerate(mine) if world == axis) for axis in range(3)]
    return order, [mine[n][1] < 0 for n in order]


def _name(volume: Volume) -> Any:
    return volume.meta.get("source")
