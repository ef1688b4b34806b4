"""The header of a MetaImage (.mha, .mhd).

Knows the fields of https://itk.org/Wiki/ITK/MetaIO/Documentation as ITK reads them, which is LPS. Does not read voxels, nor
files whose voxels are in several pieces.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.textheader import (
    LONGEST_HEADER,
    Encoding,
    TextHeader,
    detached,
    lps_affine,
    numbers,
    sizes,
    unit_mm,
)

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}  # fmt: skip
_DIRECTIONS = ("TransformMatrix", "Rotation", "Orientation")
_ORIGINS = ("Offset", "Position", "Origin")
_SIZES = ("ElementSpacing", "ElementSize")
#: What ITK writes into ``AnatomicalOrientation`` where the voxel axes run along LPS.
_LPS_LETTERS = "RAI"
_MOST_DIMENSIONS = 10


def read_header(path: Path) -> TextHeader:
    """The header. Raises BadInput when it is damaged, its voxels are not there, or are too few."""
    with path.open("rb") as f:
        start = f.read(LONGEST_HEADER)
    try:
        return _understand(path, *_fields(start))
    except (KeyError, ValueError, IndexError) as error:
        raise BadInput(f"the MetaImage header is damaged or cut ({error})", path, "Copy the file again") from None


def _fields(start: bytes) -> tuple[dict[str, str], int]:
    """Field by name, and the byte after the header, whose last field is ElementDataFile."""
    fields: dict[str, str] = {}
    position = 0
    while "ElementDataFile" not in fields:
        end = start.find(b"\n", position)
        end = len(start) if end < 0 else end
        key, equals, value = start[position:end].decode("utf-8", "surrogateescape").partition("=")
        if not equals:
            raise ValueError("no ElementDataFile")
        fields[key.strip()] = value.strip()
        position = end + 1
    return fields, position


def _understand(path: Path, fields: dict[str, str], end: int) -> TextHeader:
    count = int(fields.get("NDims", "3"))
    if not 1 <= count <= _MOST_DIMENSIONS:
        raise ValueError(f"NDims is {count}")
    grid = sizes(fields["DimSize"], count)
    channels = sizes(fields.get("ElementNumberOfChannels", "1"), 1)[0]
    kind = fields["ElementType"].removesuffix("_ARRAY")
    big = _is_true(fields, "BinaryDataByteOrderMSB") or _is_true(fields, "ElementByteOrderMSB")
    dtype = np.dtype(_TYPES[kind]).newbyteorder(">" if big else "<")
    data, offset = _place(path, fields["ElementDataFile"], end)
    encoding = _encoding(fields)
    if data != path and encoding == "raw" and (skipped := int(fields.get("HeaderSize", "0"))):
        held = data.stat().st_size
        needed = math.prod(grid) * channels * dtype.itemsize
        offset = held - needed if skipped == -1 else skipped
        if not 0 <= offset <= held:
            raise ValueError(f"HeaderSize is {skipped}")
    axes = grid if channels == 1 else (channels, *grid)
    affine = _affine(fields, count, unit_mm(fields.get("DistanceUnits", ""), path), path)
    return TextHeader(data, offset, axes, None if channels == 1 else 0, dtype, encoding, affine, _doubts(fields))


def _doubts(fields: dict[str, str]) -> dict[str, Any]:
    """``unit`` and ``geometry_note`` where the header has no voxel size, or no directions."""
    sized = any(key in fields for key in _SIZES)
    if not sized:
        return {"unit": "pixel", "geometry_note": "the header has no voxel size: distances are in voxels"}
    if any(key in fields for key in _DIRECTIONS):
        return {}
    return _undirected(fields.get("AnatomicalOrientation", ""))


def _undirected(letters: str) -> dict[str, Any]:
    """What three letters say of voxel axes without directions.

    ITK lays such axes along LPS whatever the letters are, and calls that RAI, after the sides where the axes begin. The documentation
    of the format names the sides where they end.
    """
    if letters.upper() == _LPS_LETTERS:
        return {}
    if not letters.strip("? "):
        return {"geometry_note": "the voxel sizes are known, the orientation is not: LPS is assumed"}
    told = f"AnatomicalOrientation = {letters} stands there without directions (TransformMatrix)"
    return {"geometry_note": f"{told}: what it means differs by program; LPS is assumed, as ITK does"}


def _encoding(fields: dict[str, str]) -> Encoding:
    if not _is_true(fields, "BinaryData", "True"):
        return "text"
    return "zlib" if _is_true(fields, "CompressedData") else "raw"


def _place(path: Path, name: str, end: int) -> tuple[Path, int]:
    """The file with the voxels and where they begin."""
    if name.upper() == "LOCAL":
        return path, end
    if name.upper().startswith("LIST") or "%" in name:
        raise BadInput("keeps its voxels in several files", path, "Save it as one .mha file")
    return detached(path, name), 0


def _affine(fields: dict[str, str], count: int, mm: float, path: Path) -> NDArray[np.float64]:
    """RAS affine of lengths in units of ``mm``; a 2D image lies at z = 0 with 1 mm, axes beyond the third are left out."""
    directions, spacing, origin = np.eye(3), np.ones(3), np.zeros(3)
    n = min(count, 3)
    if given := next((fields[key] for key in _DIRECTIONS if key in fields), None):
        directions[:n, :n] = np.array(numbers(given, count * count)).reshape(count, count)[:n, :n]
    if given := fields.get("ElementSpacing", fields.get("ElementSize")):
        spacing[:n] = numbers(given, count)[:n]
    if given := next((fields[key] for key in _ORIGINS if key in fields), None):
        origin[:n] = numbers(given, count)[:n]
    if (spacing < 0).any():
        fix = "Save it again with positive sizes, and the direction in TransformMatrix"
        raise BadInput(f"a voxel size is negative ({min(spacing):g})", path, fix)
    if any(key in fields for key in _SIZES):
        spacing[:n] *= mm
    return lps_affine(directions.T * spacing, origin * mm)


def _is_true(fields: dict[str, str], key: str, otherwise: str = "False") -> bool:
    return fields.get(key, otherwise)[:1] in ("T", "t", "1")
