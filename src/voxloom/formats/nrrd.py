"""The header of an NRRD file (.nrrd).

Knows the fields of https://teem.sourceforge.net/nrrd/format.html that decide voxels and geometry. A file without a space is
taken for LPS, as ITK does. Does not read voxels, nor files whose voxels are in several pieces.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.textheader import LONGEST_HEADER, Encoding, TextHeader, detached, lps_affine, numbers, sizes

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
}  # fmt: skip
#: Which way each patient axis of a space points, against LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1), "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1), "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1), "las": (1, -1, 1),
}  # fmt: skip
_IN_SPACE = ("domain", "space", "???", "none")
_MOST_DIMENSIONS = 16


def read_header(path: Path) -> TextHeader:
    """The header. Raises BadInput when it is damaged, its voxels are not there, or are too few."""
    with path.open("rb") as f:
        start = f.read(LONGEST_HEADER)
    try:
        if not start.startswith(b"NRRD"):
            raise ValueError("no NRRD at its beginning")
        fields, end = _fields(start)
        return _understand(path, fields, end)
    except (KeyError, ValueError, IndexError) as error:
        raise BadInput(f"the NRRD header is damaged or cut ({error})", path, "Copy the file again") from None


def _fields(start: bytes) -> tuple[dict[str, str], int | None]:
    """Field by name in lower case, and the byte after the blank line that ends the header, if there is one."""
    blank = re.search(rb"\r?\n\r?\n", start)
    text = (start[: blank.start()] if blank else start).decode("utf-8", "surrogateescape")
    lines = [line.partition(":") for line in text.splitlines()[1:] if not line.startswith("#")]
    fields = {key.strip().lower(): value.strip() for key, colon, value in lines if colon and not value.startswith("=")}
    return fields, blank.end() if blank else None


def _understand(path: Path, fields: dict[str, str], end: int | None) -> TextHeader:
    count = int(fields["dimension"])
    if not 1 <= count <= _MOST_DIMENSIONS:
        raise ValueError(f"the dimension is {count}")
    axes = sizes(fields["sizes"], count)
    kind = " ".join(fields["type"].lower().split())
    dtype = np.dtype(_TYPE_OF[kind]).newbyteorder(">" if fields.get("endian", "little").lower() == "big" else "<")
    channel_axis = _channel_axis(fields, axes, path)
    encoding = fields["encoding"].lower()
    if encoding not in _ENCODINGS:
        raise BadInput(f"its voxels are encoded as {encoding!r}", path, "Save it with the encoding gzip or raw")
    data, offset = _place(path, fields, end)
    if _ENCODINGS[encoding] == "raw":
        offset = _skip(data, offset, fields, math.prod(axes) * dtype.itemsize)
    elif int(fields.get("byte skip", fields.get("byteskip", "0"))) or int(fields.get("line skip", "0")):
        raise BadInput("skips a part of its compressed voxels", path, "Save it without `line skip` and `byte skip`")
    affine = _affine(fields, count, channel_axis)
    return TextHeader(data, offset, axes, channel_axis, dtype, _ENCODINGS[encoding], affine)


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


def _channel_axis(fields: dict[str, str], axes: tuple[int, ...], path: Path) -> int | None:
    """The axis that holds channels: the one whose kind is no space, or that has no direction."""
    outside: set[int] = set()
    if "kinds" in fields:
        kinds = fields["kinds"].lower().split()
        if len(kinds) != len(axes):
            raise ValueError(f"{len(kinds)} kinds for {len(axes)} axes")
        if "complex" in kinds:
            raise BadInput("holds complex voxels", path, "Save magnitude or real values")
        outside |= {n for n, kind in enumerate(kinds) if kind not in _IN_SPACE}
    if "space directions" in fields:
        outside |= {n for n, vector in enumerate(_vectors(fields["space directions"], len(axes))) if vector is None}
    if len(outside) > 1:
        raise BadInput(f"has {len(outside)} axes that lie in no space, one is read", path, "Save scalars or vectors")
    return outside.pop() if outside else None


def _vectors(text: str, count: int) -> list[list[float] | None]:
    """``(1,0,0) none (0,1,0)`` as lists of numbers and None."""
    words = re.findall(r"none|\([^()]*\)", text)
    if len(words) != count or re.sub(r"none|\([^()]*\)|\s", "", text):
        raise ValueError(f"the space directions are {text!r}")
    return [None if word == "none" else numbers(word[1:-1].replace(",", " ")) for word in words]


def _affine(fields: dict[str, str], count: int, channel_axis: int | None) -> NDArray[np.float64]:
    """RAS affine of the (first three) axes in space."""
    wanted = [axis for axis in range(count) if axis != channel_axis][:3]
    if "space directions" in fields:
        axes, origin = _in_space(fields, wanted, count)
    else:
        axes, origin = _upright(fields, wanted, count)
    signs = np.array(_SPACES.get(fields.get("space", "").lower(), (1, 1, 1)), dtype=np.float64)
    return lps_affine(axes * signs[:, None], origin * signs)


def _in_space(fields: dict[str, str], wanted: list[int], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Axes as columns (3, 3) and origin (3,) in the file's own space; a 2D image gets its normal, 1 mm long."""
    vectors = _vectors(fields["space directions"], count)
    axes, origin = np.eye(3), np.zeros(3)
    for n, axis in enumerate(wanted):
        vector = vectors[axis]
        if not vector:
            raise ValueError(f"the space directions are {fields['space directions']!r}")
        axes[:, n] = [*vector, 0.0, 0.0][:3]
    if len(wanted) == 2 and len(vectors[wanted[0]] or []) == 3:
        normal = np.cross(axes[:, 0], axes[:, 1])
        axes[:, 2] = normal / (np.linalg.norm(normal) or 1.0)
    if "space origin" in fields:
        place = numbers(fields["space origin"].strip("()").replace(",", " "))[:3]
        origin[: len(place)] = place
    return axes, origin


def _upright(fields: dict[str, str], wanted: list[int], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Axes and origin of a file without directions: spacings, and minima of voxels (``cell``) or of centers (``node``)."""
    steps = _of_axes(fields.get("spacings"), count, 1.0)
    lowest = _of_axes(fields.get("axis mins", fields.get("axismins")), count, math.nan)
    centers = fields.get("centers", fields.get("centerings", "")).lower().split() or ["cell"] * count
    if len(centers) != count:
        raise ValueError(f"{len(centers)} centers for {count} axes")
    axes, origin = np.eye(3), np.zeros(3)
    for n, axis in enumerate(wanted):
        inside = 0.0 if centers[axis] == "node" else steps[axis] / 2
        axes[n, n], origin[n] = steps[axis], 0.0 if math.isnan(lowest[axis]) else lowest[axis] + inside
    return axes, origin


def _of_axes(text: str | None, count: int, otherwise: float) -> list[float]:
    """One number per axis; ``nan`` means that it is not known."""
    values = [otherwise] * count if text is None else [float(word) for word in text.split()]
    if len(values) != count or any(map(math.isinf, values)):
        raise ValueError(f"{text!r} is not {count} numbers")
    return [otherwise if math.isnan(v) else v for v in values]
