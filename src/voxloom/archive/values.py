"""From the raw bytes of a header element to the value that the catalogue keeps.

Knows padding, several values, numbers written as text and character sets of one byte order. What it does not decode
by itself (other character sets) it leaves to pydicom by raising ``Unusual``. The same rules serve both parsers.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

from voxloom.archive.columns import Element

#: Character sets that are decoded here; the name is Python's.
CODECS = {"": "latin-1", "ISO_IR 6": "latin-1", "ISO_IR 100": "latin-1", "ISO_IR 192": "utf-8"}
_PADDING = " \0"
_FORMATS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}


class Unusual(Exception):
    """A header that the fast parser leaves to pydicom."""


def text(value: str) -> str | None:
    """Values without their padding, joined by a backslash; None when nothing is left."""
    if "\\" in value:
        value = "\\".join(part.strip(_PADDING) for part in value.split("\\"))
    return value.strip(_PADDING) or None


def number(value: str) -> float | None:
    """The first of the values as a finite number, or None."""
    try:
        found = float(value.partition("\\")[0].strip(_PADDING))
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def integer(value: str) -> int | None:
    """The first of the values as a whole number that fits 64 bits, or None."""
    first = value.partition("\\")[0].strip(_PADDING)
    try:
        found = int(first)
    except ValueError:
        real = number(first)
        if real is None or not real.is_integer():
            return None
        found = int(real)
    return found if -(2**63) <= found < 2**63 else None


def numbers(value: str, count: int) -> tuple[float, ...] | None:
    """All values as finite numbers when there are ``count`` of them, else None."""
    parts = value.strip(_PADDING).split("\\")
    if len(parts) != count:
        return None
    found = tuple(v for part in parts if (v := number(part)) is not None)
    return found if len(found) == count else None


def of_text(element: Element, value: str) -> Any:
    """The value of an element whose bytes are decoded already."""
    if element.kind == "text":
        return text(value)
    if element.kind == "number":
        return number(value)
    if element.kind == "integer":
        return integer(value)
    return numbers(value, element.count)


def of_bytes(element: Element, vr: str, codec: str | None, big: bool) -> Callable[[bytes], Any]:
    """A function from raw bytes to the value of an element.

    Parameters
    ----------
    vr : the representation in the file.
    codec : Python's name of the character set, None for one that pydicom must decode (plain ASCII is decoded anyway).
    big : numbers are stored big-endian.

    The function raises Unusual for what only pydicom decodes.
    """
    if vr in _FORMATS:
        return _binary(vr, big)

    def convert(raw: bytes) -> Any:
        if vr == "PN" and b"=" in raw:  # ideographic and phonetic forms of a name
            raise Unusual
        if raw.isascii() and b"\x1b" not in raw:
            return of_text(element, raw.decode("ascii"))
        if codec is None or vr not in ("LO", "PN", "SH") or b"\x1b" in raw:
            raise Unusual
        try:
            return of_text(element, raw.decode(codec))
        except UnicodeDecodeError:
            raise Unusual from None

    return convert


def _binary(vr: str, big: bool) -> Callable[[bytes], Any]:
    unpack = struct.Struct((">" if big else "<") + _FORMATS[vr])

    def convert(raw: bytes) -> Any:
        if not raw:
            return None
        if len(raw) % unpack.size:
            raise Unusual
        value = unpack.unpack_from(raw)[0]
        return value if math.isfinite(value) else None

    return convert
