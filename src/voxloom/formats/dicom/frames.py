"""Every image plane of a DICOM object: where it lies, how its numbers are scaled, what sets it apart.

Knows single-frame objects and enhanced multi-frame objects, whose shared and per-frame functional groups
(DICOM PS3.3 C.7.6.16) say per frame what a single-frame header says once. Coordinates are DICOM's own LPS. Does not
decode pixels and does not compare planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.formats.dicom.files import Found

#: Elements that may tell apart two planes at one position, the likeliest first, with their names for people.
DISTINGUISHING = {
    "TemporalPositionIdentifier": "time frame",
    "TemporalPositionIndex": "time frame",
    "DiffusionBValue": "b value",
    "TriggerTime": "trigger time",
    "InversionTime": "inversion time",
    "FlipAngle": "flip angle",
    "ImageType": "image type",
    "StackID": "stack",
    "AcquisitionNumber": "acquisition number",
    "AcquisitionTime": "acquisition time",
    "ContentTime": "content time",
}


@dataclass(frozen=True)
class Frame:
    """One image plane.

    Parameters
    ----------
    path, index : the file, and the plane's place in it (0 in single-frame files).
    series : SeriesInstanceUID.
    shape : columns (i) and rows (j).
    position : LPS millimetres of the center of the first pixel, None when the header has none.
    row, column : LPS unit vectors along which i and j grow, None when the header has none.
    spacing : pixel size in mm along i and j, None when the header has none.
    thickness : slice thickness in mm, if given; used for single slices only.
    slope, intercept : from stored values to real ones.
    echo_time : ms, if given.
    marks : further elements that may tell planes apart, as text.
    """

    path: Path
    index: int
    series: str
    sop_uid: str
    shape: tuple[int, int]
    position: tuple[float, ...] | None
    row: tuple[float, ...] | None
    column: tuple[float, ...] | None
    spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    echo_time: float | None
    marks: dict[str, str] = field(default_factory=dict)


def frames_of(found: Found) -> Iterator[Frame]:
    """The planes of one object in stored order. Raises BadInput for planes whose place the header does not tell."""
    header, path = found.header, found.path
    count = int(header.get("NumberOfFrames") or 1)
    if header.get("ModalityLUTSequence"):
        raise BadInput("scales its values with a modality table", path, "Only slope and intercept are read")
    if not (isinstance(header.Rows, int) and isinstance(header.Columns, int)):
        raise BadInput("rows and columns are not two numbers", path, "The header is damaged")
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if not per_frame:
        if count > 1:
            kind = header.SOPClassUID.name if header.get("SOPClassUID") else "object"
            raise BadInput(f"is a multi-frame {kind} without a position per frame", path, "Give a CT or MR series")
        yield _frame(found, 0, [header])
        return
    if len(per_frame) != count:
        raise BadInput(f"has {count} frames, but positions of {len(per_frame)}", path, "The header is damaged")
    shared = list(header.get("SharedFunctionalGroupsSequence") or [])[:1]
    for index, groups in enumerate(per_frame):
        macros = [item for group in [groups, *shared] for item in _items(group)]
        yield _frame(found, index, [*macros, header])


def _items(group: Any) -> list[Any]:
    """First item of every macro of a functional group."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def _frame(found: Found, index: int, places: list[Any]) -> Frame:
    header, path = found.header, found.path
    orientation = _numbers(places, "ImageOrientationPatient", 6, path)
    size = _numbers(places, "PixelSpacing", 2, path) or _numbers(places, "ImagerPixelSpacing", 2, path)
    thickness = _numbers(places, "SliceThickness", 1, path)
    slope = _numbers(places, "RescaleSlope", 1, path)
    intercept = _numbers(places, "RescaleIntercept", 1, path)
    echo = _numbers(places, "EffectiveEchoTime", 1, path) or _numbers(places, "EchoTime", 1, path)
    return Frame(
        path=path,
        index=index,
        series=str(header.get("SeriesInstanceUID", "")),
        sop_uid=str(header.get("SOPInstanceUID", "")),
        shape=(int(header.Columns), int(header.Rows)),
        position=_numbers(places, "ImagePositionPatient", 3, path),
        row=orientation[:3] if orientation else None,
        column=orientation[3:] if orientation else None,
        spacing=(size[1], size[0]) if size else None,
        thickness=thickness[0] if thickness else None,
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        echo_time=echo[0] if echo else None,
        marks={key: str(value) for key in DISTINGUISHING if (value := _first(places, key)) is not None},
    )


def _first(places: list[Any], keyword: str) -> Any:
    for place in places:
        value = place.get(keyword)
        if value is not None and value != "":
            return value
    return None


def _numbers(places: list[Any], keyword: str, count: int, path: Path) -> tuple[float, ...] | None:
    value = _first(places, keyword)
    if value is None:
        return None
    try:
        numbers = (float(value),) if count == 1 else tuple(float(v) for v in value)
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count:
        raise BadInput(f"{keyword} is {value!r}, {count} numbers are needed", path, "The header is damaged")
    return numbers
