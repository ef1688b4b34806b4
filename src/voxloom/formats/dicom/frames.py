"""Every image plane of a DICOM object: where it lies, how its numbers are scaled, what sets it apart.

Knows single-frame objects and enhanced multi-frame objects, whose shared and per-frame functional groups
(DICOM PS3.3 C.7.6.16) say per frame what a single-frame header says once; dose grids and mosaics are left to ``dose`` and
``mosaic``. Coordinates are DICOM's own LPS. Does not
decode pixels and does not compare planes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.formats.dicom import dose, mosaic
from voxloom.formats.dicom.files import Found
from voxloom.formats.dicom.frame import Frame

#: Modalities whose scaled values are measurements (HU, activity, dose): MONOCHROME1 only says how they are shown.
MEASURED = ("CT", "PT", "NM", "RTDOSE")
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


def frames_of(found: Found) -> Iterator[Frame]:
    """The planes of one object in stored order. Raises BadInput for planes whose place the header does not tell."""
    header, path = found.header, found.path
    count = _count(found)
    if header.get("ModalityLUTSequence"):
        raise BadInput("scales its values with a modality table", path, "Only slope and intercept are read")
    if not (isinstance(header.Rows, int) and isinstance(header.Columns, int)):
        raise BadInput("rows and columns are not two numbers", path, "The header is damaged")
    per_frame = header.get("PerFrameFunctionalGroupsSequence")
    if per_frame:
        yield from _enhanced(found, count, list(per_frame))
    elif dose.is_dose(header):
        yield from dose.planes_of(found, _frame(found, 0, [header]), count)
    elif count > 1:
        kind = header.SOPClassUID.name if header.get("SOPClassUID") else "object"
        raise BadInput(f"is a multi-frame {kind} without a position per frame", path, "Give a CT or MR series")
    elif mosaic.is_mosaic(header):
        yield from mosaic.tiles_of(found, _frame(found, 0, [header]))
    else:
        yield _frame(found, 0, [header])


def _enhanced(found: Found, count: int, per_frame: list[Any]) -> Iterator[Frame]:
    if len(per_frame) != count:
        what = f"has {count} frames, but positions of {len(per_frame)}"
        raise BadInput(what, found.path, "The header is damaged")
    shared = list(found.header.get("SharedFunctionalGroupsSequence") or [])[:1]
    for index, groups in enumerate(per_frame):
        macros = [item for group in [groups, *shared] for item in _items(group)]
        yield _frame(found, index, [*macros, found.header])


def _count(found: Found) -> int:
    value = found.header.get("NumberOfFrames")
    try:
        count = 1 if value in (None, "", 0) else int(value)
    except (TypeError, ValueError):
        count = -1
    if count < 1:
        raise BadInput(f"NumberOfFrames is {value!r}, not a number of frames", found.path, "The header is damaged")
    return count


def _items(group: Any) -> list[Any]:
    """First item of every macro of a functional group."""
    return [element.value[0] for element in group if element.VR == "SQ" and element.value]


def _frame(found: Found, index: int, places: list[Any]) -> Frame:
    header, path = found.header, found.path
    orientation = _numbers(places, "ImageOrientationPatient", 6, path)
    size = _numbers(places, "PixelSpacing", 2, path) or _numbers(places, "ImagerPixelSpacing", 2, path)
    thickness = _numbers(places, "SliceThickness", 1, path)
    slope, intercept = _scale(places, path)
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
        slope=1.0 if slope is None else slope,
        intercept=0.0 if intercept is None else intercept,
        echo_time=echo[0] if echo else None,
        scaled=slope is not None or intercept is not None,
        photometric=str(header.get("PhotometricInterpretation") or "MONOCHROME2").strip(),
        measured=str(header.get("Modality") or "") in MEASURED and (slope is not None or intercept is not None),
        padding=_padding(header),
        bits_stored=_integer(header, "BitsStored"),
        high_bit=_integer(header, "HighBit", _integer(header, "BitsStored") - 1),
        marks={key: str(value) for key in DISTINGUISHING if (value := _first(places, key)) is not None},
    )


def _scale(places: list[Any], path: Path) -> tuple[float | None, float | None]:
    """Slope and intercept, each None where the header has none. Raises BadInput for a slope that leaves no image."""
    scaling = _numbers(places, "DoseGridScaling", 1, path)
    slope, intercept = (_numbers(places, name, 1, path) for name in ("RescaleSlope", "RescaleIntercept"))
    if scaling is None and str(_first(places, "Modality") or "") == "RTDOSE":
        raise BadInput("is a dose grid without DoseGridScaling: the dose is unknown", path, "Export it again")
    slope, name = (slope, "RescaleSlope") if scaling is None else (scaling, "DoseGridScaling")
    for value, keyword in ((slope, name), (intercept, "RescaleIntercept")):
        if value is not None and not math.isfinite(value[0]):
            raise BadInput(f"{keyword} is {value[0]}", path, "The header is damaged; export the series again")
    if slope is not None and slope[0] == 0:
        what = f"{name} is 0, which makes all values equal"
        raise BadInput(what, path, "The header is damaged; export the series again")
    return slope[0] if slope else None, intercept[0] if intercept else None


def _padding(header: Any) -> tuple[int, int] | None:
    """Stored values of padding, from and to, as the pixels hold them."""
    if header.get("PixelPaddingValue") is None:
        return None
    try:
        one = int(header.PixelPaddingValue)
        other = int(header.get("PixelPaddingRangeLimit") if "PixelPaddingRangeLimit" in header else one)
    except (TypeError, ValueError):
        return None
    bits, signed = _integer(header, "BitsAllocated", 16), _integer(header, "PixelRepresentation")
    if signed:  # a header may write -2000 as 63536
        one, other = ((v + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for v in (one, other))
    else:
        one, other = one % (1 << bits), other % (1 << bits)
    return min(one, other), max(one, other)


def _integer(header: Any, keyword: str, default: int = 0) -> int:
    value = header.get(keyword)
    return int(value) if isinstance(value, int) else default


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
