"""The header of an NRRD file (.nrrd).

Knows the fields of https://teem.sourceforge.net/nrrd/format.html that decide voxels, and the segments that 3D Slicer names; the
geometry is in ``nrrd_space``. Does not read voxels, nor files whose voxels are in several pieces.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.nrrd_space import axes_of, place_of
from voxloom.formats.textheader import LONGEST_HEADER, Encoding, TextHeader, detached, sizes

_TYPES = {
    "i1": "signed char, int8, int8_t, char",
    "u1": "uchar, unsigned char, uint8, uint8_t",
    "i2": "short, short int, signed short, signed short int, int16, int16_t",
    "u2": "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    "i4": "int, signed int, int32, int32_t",
    "u4": "uint, unsigned int, uint32, uint32_t",
    "i8": "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t",
    "u8": "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t",
    "f4": "float",
    "f8": "double",
}
_TYPE_OF = {name: code for code, names in _TYPES.items() for name in names.split(", ")}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw", "gzip": "zlib", "gz": "zlib", "ascii": "text", "text": "text", "txt": "text",
    "bzip2": "bzip2", "bz2": "bzip2",
}  # fmt: skip
_MOST_DIMENSIONS = 16


def read_header(path: Path) -> TextHeader:
    """The header. Raises BadInput when it is damaged, its voxels are not there, or are too few."""
    with path.open("rb") as f:
        start = f.read(LONGEST_HEADER)
    try:
        if not start.startswith(b"NRRD"):
            raise ValueError("no NRRD at its beginning")
        fields, pairs, end = _fields(start)
        return _understand(path, fields, pairs, end)
    except (KeyError, ValueError, IndexError) as error:
        raise BadInput(f"the NRRD header is damaged or cut ({error})", path, "Copy the file again") from None


def _fields(start: bytes) -> tuple[dict[str, str], dict[str, str], int | None]:
    """Fields by name in lower case, ``key:=value`` pairs, and the byte after the blank line that ends the header, if any."""
    blank = re.search(rb"\r?\n\r?\n", start)
    text = (start[: blank.start()] if blank else start).decode("utf-8", "surrogateescape")
    lines = [line.partition(":") for line in text.splitlines()[1:] if not line.startswith("#")]
    fields = {key.strip().lower(): value.strip() for key, colon, value in lines if colon and not value.startswith("=")}
    pairs = {key.strip(): value[1:].strip() for key, colon, value in lines if colon and value.startswith("=")}
    return fields, pairs, blank.end() if blank else None


def _understand(path: Path, fields: dict[str, str], pairs: dict[str, str], end: int | None) -> TextHeader:
    count = int(fields["dimension"])
    if not 1 <= count <= _MOST_DIMENSIONS:
        raise ValueError(f"the dimension is {count}")
    axes = sizes(fields["sizes"], count)
    kind = " ".join(fields["type"].lower().split())
    dtype = np.dtype(_TYPE_OF[kind]).newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")
    segments = _segments(pairs, path)
    kept = axes_of(fields, axes, path)
    encoding = fields["encoding"].lower()
    if encoding not in _ENCODINGS:
        raise BadInput(f"its voxels are encoded as {encoding!r}", path, "Save it with the encoding gzip or raw")
    data, offset = _place(path, fields, end)
    if _ENCODINGS[encoding] == "raw":
        offset = _skip(data, offset, fields, math.prod(axes) * dtype.itemsize)
    elif int(fields.get("byte skip", fields.get("byteskip", "0"))) or int(fields.get("line skip", "0")):
        raise BadInput("skips a part of its compressed voxels", path, "Save it without `line skip` and `byte skip`")
    affine, meta = place_of(fields, kept, count, path)
    meta |= {"segments": segments} if segments else {}
    grid = tuple(axes[n] for n in kept.kept)
    channel = None if kept.channel is None else kept.kept.index(kept.channel)
    return TextHeader(data, offset, grid, channel, dtype, _ENCODINGS[encoding], affine, meta)


def _segments(pairs: dict[str, str], path: Path) -> dict[int, str]:
    """Name by label value, where 3D Slicer wrote them (``Segment0_Name``, ``Segment0_LabelValue``, ``Segment0_Layer``).

    Raises BadInput for segments that overlap, which are kept in several layers.
    """
    numbers = sorted(int(m[1]) for key in pairs if (m := re.fullmatch(r"Segment(\d{1,6})_Name", key)))
    if any(pairs.get(f"Segment{n}_Layer", "0") != "0" for n in numbers):
        fix = "Export it from 3D Slicer as one label map (Segmentations > Export to labelmap)"
        raise BadInput("its segments overlap and lie in several layers", path, fix)
    return {
        int(value): pairs[f"Segment{n}_Name"]
        for n in numbers
        if (value := pairs.get(f"Segment{n}_LabelValue", "")).isdecimal()
    }


def _place(path: Path, fields: dict[str, str], end: int | None) -> tuple[Path, int]:
    """The file with the voxels and where they begin."""
    name = fields.get("data file") or fields.get("datafile")
    if name is None:
        if end is None:
            raise ValueError("no blank line after it")
        return path, end
    if "%" in name or name.upper().startswith("LIST"):
        raise BadInput("keeps its voxels in several files", path, "Save it as one file")
    return detached(path, name), 0


def _skip(data: Path, offset: int, fields: dict[str, str], needed: int) -> int:
    """Where raw voxels begin after ``line skip`` and ``byte skip`` (-1: at the end of the file)."""
    lines, count = int(fields.get("line skip", "0")), int(fields.get("byte skip", fields.get("byteskip", "0")))
    held = data.stat().st_size
    if count == -1:
        return held - needed if held - needed >= offset else offset
    with data.open("rb") as f:
        f.seek(offset)
        for _ in range(lines):
            if not f.readline():
                raise ValueError(f"line skip is {lines}")
        offset = f.tell() + count
    if not 0 <= count <= held:
        raise ValueError(f"byte skip is {count}")
    return offset
