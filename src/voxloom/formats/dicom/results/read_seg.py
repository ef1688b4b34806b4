"""A DICOM SEG as a label map: of highdicom, dcmqi, 3D Slicer, MONAI and ourselves.

Knows BINARY, LABELMAP and FRACTIONAL, frames in any order, and slices that are left out since they are empty. The grid goes from the
first slice that is there to the last; ``voxloom.formats.placed`` puts it onto the grid of a scan.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import check_bomb, smallest_integer
from voxloom.formats.dicom.files import Found, read_dataset
from voxloom.formats.dicom.frame import Frame
from voxloom.formats.dicom.frames import frames_of
from voxloom.formats.dicom.results.seg import VALUE_NOTE
from voxloom.formats.itk import LPS_RAS
from voxloom.notes import tell
from voxloom.volume import Volume

_VALUE = re.compile(rf"{VALUE_NOTE} (\d+)")
#: A slice may lie so far (share of a step) beside its place: headers are rounded.
_OFF = 0.1


def read_seg(path: Path) -> Volume:
    """The label map (1, I, J, K) of a segmentation; ``meta["label_names"]`` has the names by value.

    Values are the numbers of the segments, or the label values that Voxloom noted. Of FRACTIONAL, voxels of at least one half
    belong to their likeliest segment.

    Raises
    ------
    BadInput : segments that overlap, frames that lie on no grid, no pixels, or a damaged file.
    """
    try:
        dataset = read_dataset(path)
        return _volume(dataset, path)
    except (BadInput, MemoryError, OSError):
        raise
    except Exception as error:  # pydicom hands out whatever a damaged file holds
        what = f"the segmentation is damaged ({type(error).__name__}: {error})"
        raise BadInput(what, path, "Export it again") from error


def _volume(dataset: Any, path: Path) -> Volume:
    kind = str(dataset.SegmentationType)
    values, names = _segments(dataset, kind)
    frames = list(frames_of(Found(path, dataset)))
    places, affine, count = _places(frames, dataset, path)
    i, j = frames[0].shape
    check_bomb(i * j * count, path.stat().st_size * 8, path)
    top = max(values.values())
    data = np.zeros((count, j, i), smallest_integer(0, top, path))
    pixels = dataset.pixel_array.reshape(len(frames), j, i)
    if kind == "LABELMAP":
        _take_maps(data, pixels, places, values, path)
    else:
        numbers = [_segment_number(dataset, n) for n in range(len(frames))]
        if lost := sorted(set(numbers) - set(values)):
            raise BadInput(f"has frames of segment {lost[0]}, which it does not describe", path, "Export it again")
        if kind == "FRACTIONAL":
            _take_shares(data, pixels, places, [values[n] for n in numbers], _most(dataset), path)
        else:
            _take_bits(data, pixels, places, [values[n] for n in numbers], names, path)
    meta = {"source": str(path), "geometry_from": "dicom", "label_names": names, "partial": True}
    meta["series_uid"], meta["patient_id"] = _referred(dataset), str(dataset.get("PatientID") or "")
    return Volume(np.ascontiguousarray(data.transpose(2, 1, 0))[None], affine, meta)


def _segments(dataset: Any, kind: str) -> tuple[dict[int, int], dict[int, str]]:
    """Label value by the number of a segment, and names by value; background is not a segment."""
    items = [item for item in dataset.SegmentSequence if int(item.SegmentNumber) != 0]
    noted = {int(s.SegmentNumber): _VALUE.fullmatch(str(s.get("SegmentDescription") or "")) for s in items}
    own = kind != "LABELMAP" and any(noted.values())
    values = {n: int(match[1]) if own and match else n for n, match in noted.items()}
    if len(set(values.values())) < len(values):
        values = {n: n for n in noted}
    names = {values[int(s.SegmentNumber)]: str(s.get("SegmentLabel") or s.SegmentNumber) for s in items}
    return values, unlike(names)


def unlike(names: Mapping[int, str]) -> dict[int, str]:
    """Names of labels by value, none of which is that of two: those get their value too."""
    listed = list(names.values())
    return {value: name if listed.count(name) == 1 else f"{name} {value}" for value, name in names.items()}


def _segment_number(dataset: Any, frame: int) -> int:
    """The segment that a frame is of; told once for all frames where there is only one."""
    groups = (dataset.PerFrameFunctionalGroupsSequence[frame], *list(dataset.SharedFunctionalGroupsSequence)[:1])
    for group in groups:
        if "SegmentIdentificationSequence" in group:
            return int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
    raise BadInput(f"does not say which segment frame {frame + 1} is of", dataset.get("filename"), "Export it again")


def _places(frames: list[Frame], dataset: Any, path: Path) -> tuple[NDArray[np.intp], NDArray[np.float64], int]:
    """Slice number of every frame, the affine to RAS, and the number of slices."""
    first = frames[0]
    if any(f.position is None or f.row is None or f.spacing is None for f in frames):
        raise BadInput("frames carry no position, orientation or pixel size", path, "It was drawn on a plain picture")
    assert first.spacing is not None
    rows = np.array([[*(f.row or ()), *(f.column or ()), *(f.spacing or ())] for f in frames])
    if np.abs(rows - rows[0]).max() > 1e-3:
        raise BadInput("frames lie in several directions", path, "Export one segmentation per direction")
    row, column = rows[0, :3], rows[0, 3:6]
    normal = np.cross(row, column)
    positions = np.array([f.position for f in frames], np.float64)
    heights = positions @ normal
    lowest, highest = int(heights.argmin()), int(heights.argmax())
    step = _step(heights, first, dataset)
    places = np.rint((heights - heights[lowest]) / step).astype(np.intp)
    count = int(places.max()) + 1
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = row * first.spacing[0], column * first.spacing[1]
    along = (positions[highest] - positions[lowest]) / (count - 1) if count > 1 else normal * step
    lps[:3, 2], lps[:3, 3] = along, positions[lowest]
    beside = np.abs(heights - heights[lowest] - places * (along @ normal)).max()
    if beside > _OFF * step:
        raise BadInput(f"slices are unequally spaced (off by {beside:.2f} mm)", path, "Resample it to an even grid")
    return places, LPS_RAS @ lps, count


def _step(heights: NDArray[np.float64], first: Frame, dataset: Any) -> float:
    """Distance of slices in mm: as the header says where that fits, else the smallest gap, else the thickness."""
    gaps = np.diff(np.unique(np.round(heights, 3)))
    gaps = gaps[gaps > 0.01]
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    measures = [g.PixelMeasuresSequence[0] for g in shared if "PixelMeasuresSequence" in g]
    said = [float(m.SpacingBetweenSlices) for m in measures if m.get("SpacingBetweenSlices")]
    for step in said:
        if not len(gaps) or (step > 0 and np.abs(gaps / step - np.rint(gaps / step)).max() < _OFF):
            return abs(step)
    return float(gaps.min()) if len(gaps) else float(first.thickness or 1.0)


def _take_bits(
    data: NDArray[Any],
    pixels: NDArray[Any],
    places: NDArray[np.intp],
    values: list[int],
    names: dict[int, str],
    path: Path,
) -> None:
    for frame, k, value in zip(pixels, places, values, strict=True):
        inside = frame > 0
        if (other := data[k][inside]).any() and (taken := other[(other != 0) & (other != value)]).size:
            first = names.get(int(taken[0]), str(int(taken[0])))
            what = f"segments {first} and {names[value]} overlap ({taken.size} voxels of one slice)"
            raise BadInput(
                what, path, "A label map holds one label per voxel: export them without overlap, or one by one"
            )
        data[k][inside] = value


def _take_maps(
    data: NDArray[Any], pixels: NDArray[Any], places: NDArray[np.intp], values: dict[int, int], path: Path
) -> None:
    if unknown := sorted(set(np.unique(pixels).tolist()) - {0, *values}):
        raise BadInput(f"has voxels of segment {unknown[0]}, which it does not describe", path, "Export it again")
    for frame, k in zip(pixels, places, strict=True):
        data[k] = frame


def _take_shares(
    data: NDArray[Any], pixels: NDArray[Any], places: NDArray[np.intp], values: list[int], most: int, path: Path
) -> None:
    tell(path, "is fractional: a voxel of at least one half belongs to its likeliest segment")
    best = np.zeros(data.shape, pixels.dtype)
    for frame, k, value in zip(pixels, places, values, strict=True):
        wins = (frame > best[k]) & (2 * frame.astype(np.uint32) >= most)
        data[k][wins] = value
        best[k][wins] = frame[wins]


def _most(dataset: Any) -> int:
    return int(dataset.get("MaximumFractionalValue") or 255)


def _referred(dataset: Any) -> str:
    """SeriesInstanceUID of the series that was outlined; "" where the file does not say."""
    series = list(dataset.get("ReferencedSeriesSequence") or [])
    return str(series[0].get("SeriesInstanceUID") or "") if series else ""
