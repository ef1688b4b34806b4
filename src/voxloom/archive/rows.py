"""From raw header values to the columns of the instance table.

Knows the b-value of four vendors, and how many bytes plain pixels need. Pure values.
"""

from __future__ import annotations

from typing import Any

from voxloom.archive.values import integer, number

#: Transfer syntaxes whose pixels are not compressed.
_PLAIN = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")
_DIRECTORY = "1.2.840.10008.1.3.10"
#: GE adds this to the b-values of some protocols.
_GE_OFFSET = 1_000_000_000
_GE_MODULUS = 100_000
_MOST_B = 50_000
#: Columns that ``finish`` makes, and the raw ones of which it needs at least one.
FINISHED = ("derived_b_value",)
FINISHED_FROM = (
    "Modality", "Manufacturer", "DiffusionBValue", "b_value_siemens", "creator_0019", "b_value_ge", "creator_0043",
    "b_value_philips", "creator_2001",
)  # fmt: skip
#: Raw columns that ``refusal`` and ``is_directory`` look at.
REFUSED_BY = (
    "SOPClassUID", "Modality", "SeriesInstanceUID", "TransferSyntaxUID", "Rows", "header_bytes", "Columns", "BitsAllocated",
    "SamplesPerPixel", "NumberOfFrames",
)  # fmt: skip


def finish(raw: dict[str, Any]) -> dict[str, Any]:
    """The row's ``derived_b_value`` from the raw columns of one file."""
    return {"derived_b_value": b_value(raw)}


def has_late_b_value(modality: str | None, manufacturer: str | None) -> bool:
    """Whether the b-value may stand in a private element behind the image's size, as GE and Philips write it."""
    maker = (manufacturer or "").upper()
    return modality == "MR" and ("GE" in maker or "PHILIPS" in maker)


def b_value(raw: dict[str, Any]) -> float | None:
    """Diffusion weighting in s/mm2: the standard element, or that of Siemens, GE or Philips; None where none is given."""
    standard = raw.get("DiffusionBValue")
    if standard is not None:
        return float(standard)
    if raw.get("b_value_siemens") is not None and raw.get("creator_0019") == "SIEMENS MR HEADER":
        return _plausible(number(raw["b_value_siemens"]))
    if not has_late_b_value(raw.get("Modality"), raw.get("Manufacturer")):
        return None
    if raw.get("b_value_ge") is not None and raw.get("creator_0043") == "GEMS_PARM_01":
        value = integer(raw["b_value_ge"])
        return _plausible(None if value is None else value % _GE_MODULUS if value >= _GE_OFFSET else value)
    if raw.get("b_value_philips") is not None and str(raw.get("creator_2001")).startswith("Philips Imaging DD"):
        return _plausible(raw["b_value_philips"])
    return None


def _plausible(value: float | None) -> float | None:
    return float(value) if value is not None and 0 <= value <= _MOST_B else None


def refusal(row: dict[str, Any], file_size: int) -> str | None:
    """Why a file with a readable header is still broken, or None. ``header_bytes`` are those before the pixels."""
    if row.get("Modality") is None and row.get("SeriesInstanceUID") is None:
        return "is not a complete DICOM object (it has neither modality nor series)"
    if not row.get("Rows") and _is_image_class(row.get("SOPClassUID")):
        return "is an image without rows and columns; it is probably cut"
    needed = _plain_bytes(row) + int(row.get("header_bytes") or 0)
    if needed > file_size:
        return f"is cut: header and pixels need {needed} bytes, the file has {file_size}"
    return None


def _is_image_class(uid: str | None) -> bool:
    from pydicom.uid import UID

    return uid is not None and "Image Storage" in UID(uid).name


def is_directory(row: dict[str, Any]) -> bool:
    """Whether the object is a DICOMDIR."""
    return row.get("SOPClassUID") == _DIRECTORY


def _plain_bytes(row: dict[str, Any]) -> int:
    """Bytes of uncompressed pixels, 0 where it cannot be told."""
    if row.get("TransferSyntaxUID") not in _PLAIN or not row.get("Rows") or not row.get("Columns"):
        return 0
    bits = int(row["Rows"]) * int(row["Columns"]) * int(row.get("BitsAllocated") or 0)
    return bits // 8 * int(row.get("SamplesPerPixel") or 1) * int(row.get("NumberOfFrames") or 1)
