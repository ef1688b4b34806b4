"""Plain DICOM files, read without pydicom's generality: one image, little endian, a header of short elements.

Knows the two little-endian encodings and sequences that are passed over (DICOM PS3.5 chapter 7). Values are pydicom's: it
converts each of them, once for all files that repeat it. Whatever is not plain (another byte order, deflated, several
frames, a wanted sequence, other character sets, a header that breaks a rule) is left to pydicom by returning None, so that
both readers say the same of every file.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxloom.formats.dicom.elements import ITEM, ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED

#: Bytes that are read of a file at first, and where its header is longer.
_WIDTHS = (1 << 17, 1 << 20)
#: VR as it is written -> its name, and whether four bytes of length follow two that are not used.
_VRS = {name.encode(): (name, name in LONG_VRS) for name in SHORT_VRS + LONG_VRS}
_explicit, _implicit, _long = (
    struct.Struct("<HH2sH").unpack_from,
    struct.Struct("<HHL").unpack_from,
    struct.Struct("<L"),
)
#: Those whose bytes are not text.
_BINARY = ("OB", "US", "UL", "SS", "SL", "FL", "FD")
_META_END = 0x00030000
_CHARACTER_SET, _SYNTAX = 0x00080005, 0x00020010
_PIXELS, _OTHER_PIXELS = 0x7FE00010, (0x7FE00008, 0x7FE00009)
_EXPLICIT, _IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
#: Around compressed pixels the header is explicit little endian too.
_COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
#: Character sets in which ASCII means what it says.
_ASCII = frozenset(("", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 6", "ISO 2022 IR 100"))
_SAMPLES, _FRAMES, _ROWS, _COLUMNS = 0x00280002, 0x00280008, 0x00280010, 0x00280011
_ALLOCATED, _STORED, _SIGNED = 0x00280100, 0x00280101, 0x00280103
_PADDING = (0x00280120, 0x00280121)
_OF_PIXELS = frozenset((_SAMPLES, _FRAMES, _ROWS, _COLUMNS, _ALLOCATED, _STORED, _SIGNED))


class _NotPlain(Exception):
    """This file is left to pydicom."""


class _Longer(Exception):
    """The header goes on behind the bytes that were read."""


class _Element(NamedTuple):
    """One element of the header: its VR (None in the implicit encoding) and its bytes."""

    tag: int
    vr: str | None
    raw: bytes


@dataclass(frozen=True)
class _Header:
    """The wanted elements, and where the pixels lie: None where they are compressed or absent."""

    meta: list[_Element]
    elements: list[_Element]
    syntax: str
    pixels: tuple[int, int] | None

    @property
    def implicit(self) -> bool:
        return self.syntax == _IMPLICIT


def read_plain_header(path: Path, keywords: Sequence[str]) -> Any | None:
    """The wanted elements of a plain file as pydicom's ``FileDataset``, as ``dcmread`` gives them; None for other files.

    Parameters
    ----------
    keywords : of the wanted elements.
    """
    try:
        return _dataset(path, _read(path, _tags(tuple(keywords))))
    except _NotPlain:
        return None


def read_plain_pixels(path: Path, *, lowest_bits: bool) -> NDArray[Any] | None:
    """Stored numbers (rows, columns) of a plain file whose pixels are grey and not compressed; None for other files.

    Parameters
    ----------
    lowest_bits : the image stands in the lowest BitsStored bits; what lies above them is not part of it.
    """
    try:
        header = _read(path, _OF_PIXELS)
    except _NotPlain:
        return None
    if header.pixels is None:
        return None
    told = {element.tag: _integer(element) for element in header.elements}
    shape = (told.get(_ROWS) or 0, told.get(_COLUMNS) or 0)
    bits, stored = told.get(_ALLOCATED), told.get(_STORED) or 0
    size = math.prod(shape)
    begin, length = header.pixels
    grey = (told.get(_SAMPLES), told.get(_FRAMES, 1), told.get(_SIGNED) in (0, 1)) == (1, 1, True)
    if not grey or bits not in (8, 16) or not 0 < stored <= bits or not 0 < size * bits // 8 == length:
        return None
    if path.stat().st_size < begin + length:
        return None  # cut, which is told elsewhere
    kind = np.dtype(f"<{'i' if told[_SIGNED] else 'u'}{bits // 8}")
    pixels = np.fromfile(path, kind, size, offset=begin)
    if lowest_bits and stored < bits:
        np.left_shift(pixels, bits - stored, out=pixels)
        np.right_shift(pixels, bits - stored, out=pixels)
    return pixels.reshape(shape)


def _integer(element: _Element) -> int | None:
    """A whole number as the header writes it: US, or IS for the number of frames."""
    if element.tag == _FRAMES:
        digits = element.raw.strip(b" \0")
        return int(digits) if digits.isdigit() else None
    return int.from_bytes(element.raw, "little") if len(element.raw) == 2 and element.vr in ("US", None) else None


@lru_cache(maxsize=8)
def _tags(keywords: tuple[str, ...]) -> frozenset[int]:
    from pydicom.datadict import tag_for_keyword

    return frozenset({_CHARACTER_SET, *(int(tag) for name in keywords if (tag := tag_for_keyword(name)) is not None)})


def _read(path: Path, wanted: frozenset[int]) -> _Header:
    """Raises _NotPlain, and OSError as ``open`` does."""
    with path.open("rb", buffering=0) as file:
        data = b""
        for width in _WIDTHS:
            data += file.read(width - len(data))
            try:
                return _parse(data, wanted)
            except (_Longer, struct.error, IndexError):
                if len(data) < width:
                    break
    raise _NotPlain


def _parse(data: bytes, wanted: frozenset[int]) -> _Header:
    """Raises _NotPlain; _Longer, struct.error or IndexError where ``data`` ends too soon."""
    if data[128:132] != b"DICM":
        raise _NotPlain
    meta, at, _ = _walk(data, 132, None, implicit=False, end=_META_END)
    syntax = _text(meta, _SYNTAX)
    if syntax not in (_EXPLICIT, _IMPLICIT) and not syntax.startswith(_COMPRESSED):
        raise _NotPlain
    elements, _, pixels = _walk(data, at, wanted, implicit=syntax == _IMPLICIT, end=None)
    return _Header(meta, elements, syntax, pixels if syntax in (_EXPLICIT, _IMPLICIT) else None)


def _walk(
    data: bytes, at: int, wanted: frozenset[int] | None, *, implicit: bool, end: int | None
) -> tuple[list[_Element], int, tuple[int, int] | None]:
    """Elements from ``at`` on, up to the tag ``end`` or to the pixels, whose place and length come last.

    Parameters
    ----------
    wanted : tags to keep; None for all of them.
    """
    found: list[_Element] = []
    last, size = 0, len(data)
    while True:
        if end is not None and _item(data, at)[0] >= end:
            return found, at, None
        tag, vr, start, length = _element_header(data, at, implicit=implicit)
        if tag <= last or tag in _OTHER_PIXELS:
            raise _NotPlain
        if tag == _PIXELS:
            return found, at, (None if length == UNDEFINED else (start, length))
        last = tag
        kept = wanted is None or tag in wanted
        if kept and (vr in ("SQ", "UN") or length == UNDEFINED):
            raise _NotPlain
        at = start + length if length != UNDEFINED else _behind(data, start, vr)
        if at > size:
            raise _Longer
        if kept:
            found.append(_Element(tag, vr, data[start:at]))


def _element_header(data: bytes, at: int, *, implicit: bool) -> tuple[int, str | None, int, int]:
    """Tag, VR, place and length of the value of the element at ``at``."""
    if implicit:
        group, number, length = _implicit(data, at)
        return group << 16 | number, None, at + 8, length
    group, number, code, length = _explicit(data, at)
    try:
        vr, long = _VRS[code]
    except KeyError:
        raise _NotPlain from None
    if long:
        return group << 16 | number, vr, at + 12, _long.unpack_from(data, at + 8)[0]
    return group << 16 | number, vr, at + 8, length


def _behind(data: bytes, start: int, vr: str | None) -> int:
    """The place behind a sequence that does not tell its length."""
    if vr not in ("SQ", None):
        raise _NotPlain
    at = start
    while True:
        tag, at, size = _item(data, at)
        if tag == SEQUENCE_END:
            return at
        if tag != ITEM:
            raise _NotPlain
        at = at + size if size != UNDEFINED else _behind_item(data, at, implicit=vr is None)


def _behind_item(data: bytes, at: int, *, implicit: bool) -> int:
    """The place behind an item that does not tell its length."""
    while _item(data, at)[0] != ITEM_END:
        _, vr, start, length = _element_header(data, at, implicit=implicit)
        at = start + length if length != UNDEFINED else _behind(data, start, vr)
    return at + 8


def _item(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag of an item or delimiter, the place behind it, and its length."""
    group, number, length = _implicit(data, at)
    return group << 16 | number, at + 8, length


def _dataset(path: Path, header: _Header) -> Any:
    """What pydicom makes of these elements. Raises _NotPlain for values that only pydicom itself should judge."""
    from pydicom.charset import convert_encodings, default_encoding
    from pydicom.dataset import FileDataset, FileMetaDataset

    charset = _text(header.elements, _CHARACTER_SET)
    if charset not in _ASCII:
        raise _NotPlain
    meta = FileMetaDataset(dict(_converted(element, implicit=False) for element in header.meta))
    meta.set_original_encoding(False, True, default_encoding)
    elements = [_with_sign(element, header) for element in header.elements]
    values = dict(_converted(element, implicit=header.implicit) for element in elements)
    dataset = FileDataset(str(path), values, None, meta, header.implicit, True)
    encodings = convert_encodings(charset) if charset else default_encoding
    dataset.set_original_encoding(header.implicit, True, encodings)
    return dataset


def _text(elements: Sequence[_Element], tag: int) -> str:
    """The plain text of one element, "" where it is absent."""
    return next((e.raw.rstrip(b"\0 ").decode("ascii", "replace") for e in elements if e.tag == tag), "")


def _with_sign(element: _Element, header: _Header) -> _Element:
    """The VR of padding, which the implicit encoding leaves to PixelRepresentation (PS3.5 annex A.1)."""
    if element.tag not in _PADDING or element.vr is not None:
        return element
    signed = next((_integer(other) for other in header.elements if other.tag == _SIGNED), None)
    if signed not in (0, 1):
        raise _NotPlain
    return element._replace(vr="SS" if signed else "US")


def _converted(element: _Element, *, implicit: bool) -> tuple[Any, Any]:
    """Tag and element; elements are new for every file, their values are shared and not to be changed."""
    from pydicom.dataelem import DataElement

    tag, vr, value = _value(element.tag, element.vr, element.raw, implicit)
    return tag, DataElement(tag, vr, value, already_converted=True)


@lru_cache(maxsize=1 << 14)
def _value(tag: int, vr: str | None, raw: bytes, implicit: bool) -> tuple[Any, str, Any]:
    """Tag, VR and value as pydicom converts them."""
    from pydicom.datadict import dictionary_VR
    from pydicom.dataelem import RawDataElement, convert_raw_data_element
    from pydicom.tag import BaseTag

    name = vr or dictionary_VR(tag)
    if len(name) != 2 or (name not in _BINARY and (not raw.isascii() or b"\x1b" in raw)):
        raise _NotPlain
    try:
        found = convert_raw_data_element(RawDataElement(BaseTag(tag), vr, len(raw), raw, 0, implicit, True))
    except Exception:
        raise _NotPlain from None
    return found.tag, found.VR, found.value
