"""The catalogue's values of many DICOM headers at once, from the first bytes of their files.

Knows preamble, file meta group, transfer syntaxes and which files are left to pydicom: those without a preamble, of
several frames, in rare character sets, or with a header that breaks a rule. Does not open files.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.archive.columns import (
    ALL_ELEMENTS,
    CHARACTER_SET,
    LAST_LATE_TAG,
    LAST_TAG,
    META_CLASS,
    META_INSTANCE,
    TRANSFER_SYNTAX,
    Element,
)
from voxloom.archive.rows import has_late_b_value
from voxloom.archive.values import CODECS, Unusual, of_bytes
from voxloom.archive.walk_headers import WANTED, Encoding, Flags, Ints, Places, new_places, walk

#: Bytes behind the last valid one of a row, so that a step may read past it.
MARGIN = 16
_META_END = 0x0002FFFF
_ENCODINGS = {
    "1.2.840.10008.1.2": Encoding(explicit=False),
    "1.2.840.10008.1.2.2": Encoding(explicit=True, big=True),
}
_EXPLICIT = Encoding(explicit=True)
_DEFLATED = "1.2.840.10008.1.2.1.99"
#: Explicit little endian, plain or around compressed pixels; another syntax is left to pydicom.
_EXPLICIT_SYNTAXES = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.6.")
_SLOT = {int(tag): n for n, tag in enumerate(WANTED)}
_TAG = {element.column: element.tag for element in ALL_ELEMENTS}
_MOST_CACHED = 50_000


class Status(IntEnum):
    """What became of one file."""

    DONE = 0
    OTHER = 1  # no DICOM
    MORE = 2  # the header is longer than what was read
    UNUSUAL = 3  # for pydicom


@dataclass(frozen=True, eq=False)
class Parsed:
    """Values of n files.

    Parameters
    ----------
    status : (n,) of ``Status``.
    columns : raw column name to n values, None for one that no file has; only rows that are DONE count.
    """

    status: NDArray[np.int8]
    columns: dict[str, list[Any] | None]


class _Cache(dict[bytes, Any]):
    """Converted values by their bytes: most files repeat what the one before said."""

    def __init__(self, element: Element, vr: str, codec: str | None, big: bool) -> None:
        super().__init__()
        self.convert = of_bytes(element, vr, codec, big)

    def __missing__(self, raw: bytes) -> Any:
        try:
            value = self.convert(raw)
        except Unusual:
            value = Unusual
        if len(self) > _MOST_CACHED:
            self.clear()
        self[raw] = value
        return value


class HeaderParser:
    """Parses batches; keeps converted values from one batch to the next."""

    def __init__(self) -> None:
        self._caches: dict[tuple[int, str, str | None, bool], _Cache] = {}

    def parse(self, buffer: bytearray, width: int, sizes: Ints, whole: Flags) -> Parsed:
        """Values of the files whose first bytes lie in ``buffer``.

        Parameters
        ----------
        buffer : n rows of ``width`` bytes; rewritten for deflated files.
        sizes : (n,) valid bytes of each row, at most ``width`` - MARGIN.
        whole : (n,) the row is the whole file.
        """
        matrix = np.frombuffer(buffer, np.uint8).reshape(-1, width)
        count = len(matrix)
        status = np.full(count, Status.UNUSUAL, np.int8)
        dicom = (sizes >= 132) & (matrix[:, 128:132] == np.frombuffer(b"DICM", np.uint8)).all(axis=1)
        status[~dicom & ~_is_bare(matrix, sizes)] = Status.OTHER
        places = new_places(count, np.full(count, 132, np.int64))
        files = np.flatnonzero(dicom)
        walk(matrix, sizes, places, files, _META_END, _EXPLICIT)
        status[files[~places.ended[files] & ~places.unusual[files] & ~whole[files]]] = Status.MORE
        files = files[places.ended[files]]
        syntax = _texts(buffer, width, places, _SLOT[TRANSFER_SYNTAX], files)
        sizes, whole = sizes.copy(), whole.copy()
        groups = _by_encoding(matrix, sizes, whole, places, files, syntax)
        places.ended[:] = False
        for encoding, members in groups.items():
            walk(matrix, sizes, places, members, LAST_TAG, encoding)
            _walk_late(buffer, matrix, sizes, places, members, encoding)
            status[members] = _outcome(places, sizes, whole, members)
        columns = self._values(bytes(buffer), width, places, status, groups)
        columns["header_bytes"] = places.position.tolist()
        columns["TransferSyntaxUID"] = _spread(syntax, files, count)
        for name, tag in (("SOPClassUID", META_CLASS), ("SOPInstanceUID", META_INSTANCE)):
            absent = files[places.length[_SLOT[_TAG[name]], files] <= 0]
            if len(absent):
                column = columns[name] = columns[name] or [None] * count
                for row, value in zip(absent.tolist(), _texts(buffer, width, places, _SLOT[tag], absent), strict=True):
                    column[row] = value or None
        return Parsed(status, columns)

    def _values(
        self, data: bytes, width: int, places: Places, status: NDArray[np.int8], groups: dict[Encoding, Ints]
    ) -> dict[str, list[Any] | None]:
        count = len(status)
        columns: dict[str, list[Any] | None] = {e.column: None for e in ALL_ELEMENTS}
        for encoding, members in groups.items():
            done = members[status[members] == Status.DONE]
            codecs = _texts(data, width, places, _SLOT[CHARACTER_SET], done)
            for name in set(codecs):
                files = done[[codec == name for codec in codecs]]
                for element in ALL_ELEMENTS:
                    slot = _SLOT[element.tag]
                    having = files[places.length[slot, files] >= 0]
                    if len(having):
                        values = self._convert(data, width, places, element, having, encoding, CODECS.get(name))
                        _store(columns, element, values, having, count, status)
        return columns

    def _convert(
        self,
        data: bytes,
        width: int,
        places: Places,
        element: Element,
        files: Ints,
        encoding: Encoding,
        codec: str | None,
    ) -> list[Any]:
        """Values of one element, ``Unusual`` for those that pydicom must decode."""
        slot = _SLOT[element.tag]
        starts = files * width + places.start[slot, files]
        ends = (starts + places.length[slot, files]).tolist()
        raws = [data[a:b] for a, b in zip(starts.tolist(), ends, strict=True)]
        codes = places.vr[slot, files]
        if (codes == codes[0]).all():
            vr = _letters(int(codes[0])) if encoding.explicit else element.vrs[0]
            return self._converted(raws, element, vr, codec, encoding.big)
        return [
            self._converted([raw], element, _letters(int(code)), codec, encoding.big)[0]
            for raw, code in zip(raws, codes, strict=True)
        ]

    def _converted(self, raws: Sequence[bytes], element: Element, vr: str, codec: str | None, big: bool) -> list[Any]:
        if vr not in element.vrs:
            return [Unusual] * len(raws)
        key = (element.tag, vr, codec, big)
        cache = self._caches.get(key)
        if cache is None:
            cache = self._caches[key] = _Cache(element, vr, codec, big)
        return [*map(cache.__getitem__, raws)]


def _is_bare(matrix: NDArray[np.uint8], sizes: Ints) -> Flags:
    """Rows that begin like a data set without preamble: group 0002 or 0008, a small element number."""
    group = (matrix[:, 0] == 8) | (matrix[:, 0] == 2)
    bare: Flags = (sizes >= 132) & group & (matrix[:, 1] == 0) & (matrix[:, 2] < 0x20) & (matrix[:, 3] == 0)
    return bare


def _letters(code: int) -> str:
    return chr(code & 0xFF) + chr(code >> 8)


def _texts(data: bytes | bytearray, width: int, places: Places, slot: int, files: Ints) -> list[str]:
    """The plain text of one element in each file, "" where it is absent or not ASCII."""
    found = []
    for row in files.tolist():
        start, length = row * width + int(places.start[slot, row]), int(places.length[slot, row])
        raw = bytes(data[start : start + length]) if length > 0 else b""
        found.append(raw.decode("ascii", "replace").strip(" \0"))
    return found


def _by_encoding(
    matrix: NDArray[np.uint8], sizes: Ints, whole: Flags, places: Places, files: Ints, syntax: list[str]
) -> dict[Encoding, Ints]:
    """Files by the encoding of their data set; deflated rows are inflated in place, unknown syntaxes left out."""
    groups: dict[Encoding, list[int]] = {}
    for row, uid in zip(files.tolist(), syntax, strict=True):
        if uid == _DEFLATED:
            if _inflate(matrix, sizes, whole, int(places.position[row]), row):
                groups.setdefault(_EXPLICIT, []).append(row)
            continue
        encoding = _ENCODINGS.get(uid) or (_EXPLICIT if uid.startswith(_EXPLICIT_SYNTAXES) else None)
        if encoding is not None:
            groups.setdefault(encoding, []).append(row)
    return {encoding: np.array(rows, np.int64) for encoding, rows in groups.items()}


def _inflate(matrix: NDArray[np.uint8], sizes: Ints, whole: Flags, begin: int, row: int) -> bool:
    room = matrix.shape[1] - MARGIN - begin
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        plain = inflater.decompress(matrix[row, begin : sizes[row]].tobytes(), room)
    except zlib.error:
        return False
    matrix[row, begin : begin + len(plain)] = np.frombuffer(plain, np.uint8)
    sizes[row], whole[row] = begin + len(plain), inflater.eof
    return True


def _walk_late(
    buffer: bytearray, matrix: NDArray[np.uint8], sizes: Ints, places: Places, files: Ints, encoding: Encoding
) -> None:
    """Go on to the private b-values in MR of GE and Philips whose header has no standard one."""
    width = matrix.shape[1]
    files = files[places.ended[files] & (places.length[_SLOT[0x00189087], files] <= 0)]
    modalities = _texts(buffer, width, places, _SLOT[0x00080060], files)
    makers = _texts(buffer, width, places, _SLOT[0x00080070], files)
    late = [has_late_b_value(m, v) for m, v in zip(modalities, makers, strict=True)]
    chosen = files[late]
    if len(chosen):
        places.ended[chosen] = False
        walk(matrix, sizes, places, chosen, LAST_LATE_TAG, encoding)


def _outcome(places: Places, sizes: Ints, whole: Flags, files: Ints) -> NDArray[np.int8]:
    at_end = whole[files] & (places.position[files] == sizes[files])
    finished = (places.ended[files] | at_end) & ~places.unusual[files]
    more = ~finished & ~places.unusual[files] & ~whole[files]
    return np.where(finished, Status.DONE, np.where(more, Status.MORE, Status.UNUSUAL)).astype(np.int8)


def _spread(values: Sequence[Any], files: Ints, count: int) -> list[Any]:
    column: list[Any] = [None] * count
    for row, value in zip(files.tolist(), values, strict=True):
        column[row] = value or None
    return column


def _store(
    columns: dict[str, list[Any] | None],
    element: Element,
    values: list[Any],
    files: Ints,
    count: int,
    status: NDArray[np.int8],
) -> None:
    """Put the values of one element into its column; rows that need pydicom get their status."""
    rows = files.tolist()
    if Unusual in values:
        odd = [value is Unusual for value in values]
        status[files[odd]] = Status.UNUSUAL
        values = [None if value is Unusual else value for value in values]
    column = columns[element.column]
    if column is None and len(rows) == count:
        columns[element.column] = values
        return
    if column is None:
        column = columns[element.column] = [None] * count
    for row, value in zip(rows, values, strict=True):
        column[row] = value
