"""An RT Structure Set as a label map, on the grid of the series that it was drawn on, or of another image in the same space.

Knows regions (ROI) of closed contours; several contours of a region in one slice count by the even-odd rule, so that a contour within
another is a hole. The label value is the number of the region.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import smallest_integer
from voxloom.formats.dicom.files import looks_like_dicom, read_dataset
from voxloom.formats.dicom.read import read_header
from voxloom.formats.dicom.results.contours import filled
from voxloom.formats.dicom.results.read_seg import unlike
from voxloom.formats.itk import LPS_RAS
from voxloom.formats.placed import Grid
from voxloom.notes import tell
from voxloom.volume import Volume

_AREAS = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
#: Contours may lie so far (share of a step) beside their slice.
_OFF = 0.25


def read_rtstruct(path: Path, like: Grid | None = None) -> Volume:
    """The label map (1, I, J, K) of a structure set; ``meta["label_names"]`` has the names by value.

    Parameters
    ----------
    like : grid that the map is to lie on; None looks for the series that the contours were drawn on: in the folder of the file,
        in the folders beside it and in those beside that.

    Regions that are not areas (points, open contours) and the outline of the whole body (EXTERNAL) are left out, and told.

    Raises
    ------
    BadInput : no series is found, contours lie between its slices or beyond it, regions overlap, or the file is damaged.
    """
    try:
        dataset = read_dataset(path)
        grid = like if like is not None else _series_grid(dataset, path)
        return _volume(dataset, grid, path)
    except (BadInput, MemoryError, OSError):
        raise
    except Exception as error:  # pydicom hands out whatever a damaged file holds
        what = f"the structure set is damaged ({type(error).__name__}: {error})"
        raise BadInput(what, path, "Export it again") from error


def _volume(dataset: Any, grid: Grid, path: Path) -> Volume:
    names = {int(one.ROINumber): str(one.get("ROIName") or one.ROINumber) for one in dataset.StructureSetROISequence}
    outer = {
        int(one.ReferencedROINumber)
        for one in dataset.get("RTROIObservationsSequence") or ()
        if str(one.get("RTROIInterpretedType") or "") == "EXTERNAL"
    }
    lower = min(names, default=0)
    if not names or lower < 0:
        raise BadInput("describes no region", path, "Export it again")
    value_of = {number: number + (lower == 0) for number in names}  # 0 is background
    whole = np.zeros(grid.shape, smallest_integer(0, max(value_of.values()), path))
    into: NDArray[np.float64] = np.asarray(np.linalg.inv(LPS_RAS @ grid.affine), np.float64)
    order = _planes_last(dataset, into)
    data, into = whole.transpose(order), into[[*order, 3]]  # a view: contours fill planes of its first two axes
    left: list[str] = []
    for region in dataset.get("ROIContourSequence") or ():
        number = int(region.ReferencedROINumber)
        contours = list(region.get("ContourSequence") or ())
        areas = [c for c in contours if str(c.ContourGeometricType) in _AREAS]
        if number in outer or (contours and not areas):
            left.append(names[number])
            continue
        for k, mask in _slices(areas, into, data.shape, names[number], path):
            if (taken := data[:, :, k][mask & (data[:, :, k] != 0)]).size:
                other = next(n for r, n in names.items() if value_of[r] == int(taken[0]))
                what = f"regions {other} and {names[number]} overlap ({taken.size} voxels of one slice)"
                raise BadInput(
                    what, path, "A label map holds one label per voxel: export them without overlap, or one by one"
                )
            data[:, :, k][mask] = value_of[number]
    if left:
        tell(path, f"left out, no areas or the outline of the body: {', '.join(left)}")
    kept = {value_of[r]: name for r, name in names.items() if name not in left}
    meta = {"source": str(path), "geometry_from": "dicom", "label_names": unlike(kept), "partial": True}
    return Volume(whole[None], np.asarray(grid.affine), meta)


def _planes_last(dataset: Any, into: NDArray[np.float64]) -> list[int]:
    """The order of voxel axes in which the one across the contours is last: that along which a contour extends least."""
    for region in dataset.get("ROIContourSequence") or ():
        for contour in region.get("ContourSequence") or ():
            points = _points(contour)
            if len(points) > 2:
                across = int(np.ptp(points @ into[:3, :3].T, axis=0).argmin())
                return [*(n for n in range(3) if n != across), across]
    return [0, 1, 2]


def _points(contour: Any) -> NDArray[np.float64]:
    """(n, 3) LPS millimetres."""
    return np.array([float(v) for v in contour.ContourData]).reshape(-1, 3)


def _slices(
    contours: list[Any], into: NDArray[np.float64], shape: tuple[int, int, int], name: str, path: Path
) -> Iterator[tuple[int, NDArray[np.bool_]]]:
    """Number and mask (I, J) of every slice in which a region has contours."""
    by_slice: dict[int, list[NDArray[np.float64]]] = {}
    for contour in contours:
        voxels = _points(contour) @ into[:3, :3].T + into[:3, 3]
        k = int(np.rint(voxels[:, 2].mean()))
        if (off := float(np.abs(voxels[:, 2] - k).max())) > _OFF:
            what = f"a contour of {name} lies between two slices (off by {off:.2f} of a step)"
            raise BadInput(what, path, "Name the series that it was drawn on")
        if not 0 <= k < shape[2]:
            raise BadInput(f"a contour of {name} lies beyond the series", path, "Name the series that it was drawn on")
        by_slice.setdefault(k, []).append(voxels[:, :2])
    for k, found in sorted(by_slice.items()):
        yield k, filled(found, (shape[0], shape[1]))


def _series_grid(dataset: Any, path: Path) -> Grid:
    """The grid of the series that the contours were drawn on."""
    wanted = {
        str(series.SeriesInstanceUID)
        for frame in dataset.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    }
    if len(wanted) == 1:
        uid = wanted.pop()
        for folder in _near(path):
            if files := _files_of(folder, uid):
                header: Grid = read_header(files)
                return header
    what = "the series that its contours were drawn on is not beside it"
    raise BadInput(
        what, path, "Put the folder of the series beside the file, or give the label map of a program that has it"
    )


def _near(path: Path) -> Iterator[Path]:
    """The folder of a file, the folders in it, and those beside it."""
    yield path.parent
    for parent in (path.parent, path.parent.resolve().parent):
        yield from sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.name.startswith("."))


def _files_of(folder: Path, uid: str) -> list[Path]:
    """The files of a series in a folder."""
    found: list[Path] = []
    for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
        if not looks_like_dicom(path):
            continue
        header = read_dataset(path, headers_only=True)
        if str(header.get("SeriesInstanceUID") or "") == uid:
            found.append(path)
    return found
