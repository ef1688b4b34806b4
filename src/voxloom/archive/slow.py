"""The catalogue's values of one header, read by pydicom: the careful way for unusual files.

Knows character sets, files without preamble and, for enhanced multi-frame objects, where every frame lies (functional
groups, DICOM PS3.3 C.7.6.16). Its values are those of the fast parser, which the tests compare.
"""

from __future__ import annotations

import struct
import warnings
from typing import IO, Any

from voxloom.archive.columns import ALL_ELEMENTS, Element
from voxloom.archive.values import of_text
from voxloom.errors import BadInput

#: What pydicom raises for a damaged file.
_FAULTS = (EOFError, OSError, ValueError, KeyError, TypeError, AttributeError, NotImplementedError, struct.error)
_NESTED = [0x52009229, 0x52009230]
_META = {"SOPClassUID": "MediaStorageSOPClassUID", "SOPInstanceUID": "MediaStorageSOPInstanceUID"}
#: Elements that an enhanced object says in its functional groups.
_IN_FRAMES = (
    "SliceThickness", "RepetitionTime", "EchoTime", "InversionTime", "SpacingBetweenSlices", "FlipAngle",
    "DiffusionBValue", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
)  # fmt: skip
#: Where the functional groups call an element by another name.
_OTHER_NAMES = {"EchoTime": "EffectiveEchoTime", "InversionTime": "InversionTimes"}


def read_slowly(stream: IO[bytes]) -> dict[str, Any]:
    """Raw column values of one DICOM file, ``TransferSyntaxUID`` and ``derived_frame_locations`` included.

    Raises BadInput for a damaged file, and for one that is not DICOM at all.
    """
    import pydicom

    tags: list[int] = [element.tag for element in ALL_ELEMENTS]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=[*tags, *_NESTED], force=True)
            row = {element.column: _value(dataset, element) for element in ALL_ELEMENTS}
            row["TransferSyntaxUID"] = str(dataset.file_meta.get("TransferSyntaxUID", "")) or None
            row["derived_frame_locations"] = None
            for name, keyword in _META.items():
                row[name] = row[name] or str(dataset.file_meta.get(keyword, "")) or None
            if dataset.get("PerFrameFunctionalGroupsSequence"):
                row |= _of_frames(dataset)
    except _FAULTS as error:
        raise BadInput(f"the DICOM header is damaged or cut ({_reason(error)})") from None
    return row


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__


def _value(dataset: Any, element: Element) -> Any:
    """What the catalogue keeps of one element, None when it is absent or cannot be read."""
    try:
        value = dataset[element.tag].value if element.tag in dataset else None
    except _FAULTS:
        return None
    return of_text(element, _as_text(value)) if value is not None else None


def _as_text(value: Any) -> str:
    """A value as it would stand in the file: numbers in full, several joined by a backslash."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return "\\".join(_as_text(v) for v in value)
    original = getattr(value, "original_string", None)
    return original if isinstance(original, str) and original else str(value)


def _of_frames(dataset: Any) -> dict[str, Any]:
    """Acquisition and geometry of an enhanced object: its first frame's, and the location of each along the normal."""
    shared = list(dataset.get("SharedFunctionalGroupsSequence") or [])[:1]
    frames = list(dataset.PerFrameFunctionalGroupsSequence)
    first = _first_of([frames[0], *shared])
    row: dict[str, Any] = {}
    for element in ALL_ELEMENTS:
        keyword = _keyword(element)
        if keyword in first:
            row[element.column] = of_text(element, _as_text(first[keyword]))
    places = [_first_of([frame, *shared]) for frame in frames]
    row["derived_frame_locations"] = _locations(places)
    return row


def _keyword(element: Element) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(element.tag)


def _first_of(groups: list[Any]) -> dict[str, Any]:
    """Wanted elements of the macros of functional groups; per-frame before shared."""
    items = [e.value[0] for group in groups for e in group if e.VR == "SQ" and e.value]
    found: dict[str, Any] = {}
    for keyword in _IN_FRAMES:
        for name in (keyword, _OTHER_NAMES.get(keyword, keyword)):
            value = next((i[name].value for i in items if name in i and i[name].value is not None), None)
            if value is not None:
                found.setdefault(keyword, value)
    return found


def _locations(places: list[dict[str, Any]]) -> list[float] | None:
    """Each frame's position along its normal in mm, None where a frame does not tell."""
    found = []
    for place in places:
        if "ImagePositionPatient" not in place or "ImageOrientationPatient" not in place:
            return None
        a, b, c, d, e, f = (float(v) for v in place["ImageOrientationPatient"])
        x, y, z = (float(v) for v in place["ImagePositionPatient"])
        found.append(x * (b * f - c * e) + y * (c * d - a * f) + z * (a * e - b * d))
    return found
