"""Walks through the headers of many files at once: where each needed element begins and how long it is.

Every file is one row of a matrix of bytes; one step moves all of them to their next element, so that a step costs a few
array operations and not a few for each file. Knows the explicit and the implicit encoding of either byte order, and
sequences of known and unknown length (DICOM PS3.5 chapter 7). A file with anything unusual is left out and marked. Does
not know what a value means.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.archive.columns import ALL_ELEMENTS, META_CLASS, META_INSTANCE, TRANSFER_SYNTAX
from voxloom.formats.dicom.elements import ITEM, ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

#: Tags whose place is kept, ascending.
WANTED = np.array([META_CLASS, META_INSTANCE, TRANSFER_SYNTAX, *(element.tag for element in ALL_ELEMENTS)], np.int64)
_WANTED_AND_END = np.append(WANTED, 1 << 40)
_DELIMITERS = 0xFFFE0000
_MOST_STEPS = 20_000


def _codes(*names: str) -> Ints:
    return np.array([ord(name[0]) | ord(name[1]) << 8 for name in names], np.int64)


#: 0 no VR, 1 two bytes of length, 2 four bytes of length, 3 those that may have none (SQ), 4 unknown content (UN)
_VR_CLASS = np.zeros(65536, np.int8)
_VR_CLASS[_codes(*SHORT_VRS)] = 1
_VR_CLASS[_codes(*LONG_VRS)] = 2
_VR_CLASS[_codes("SQ")] = 3
_VR_CLASS[_codes("UN")] = 4
#: Bytes of the element header by class.
_HEADER = np.array([8, 8, 12, 12, 12], np.int64)


@dataclass(frozen=True, eq=False)
class Places:
    """Where the wanted elements of n files lie.

    Parameters
    ----------
    start, length : (wanted, n) place of the value in the file's row and its bytes; length -1 where it is absent.
    vr : (wanted, n) the two letters as one number, 0 in the implicit encoding.
    position : (n,) of the first element that was not walked over.
    ended : (n,) the walk met a tag beyond the last wanted one, or the end of the file.
    unusual : (n,) the header breaks a rule that pydicom may forgive.
    """

    start: Ints
    length: Ints
    vr: Ints
    position: Ints
    ended: Flags
    unusual: Flags


def new_places(count: int, position: Ints) -> Places:
    """Nothing found yet; every file's walk begins at ``position``."""
    shape = (len(WANTED), count)
    nothing = np.zeros(count, bool)
    return Places(
        np.zeros(shape, np.int64), np.full(shape, -1), np.zeros(shape, np.int64), position, nothing, nothing.copy()
    )


@dataclass(frozen=True)
class Encoding:
    """How element headers are written."""

    explicit: bool
    big: bool = False


def walk(
    matrix: NDArray[np.uint8], sizes: Ints, places: Places, chosen: Ints, last_tag: int, encoding: Encoding
) -> None:
    """Walk the files ``chosen`` on from ``places.position`` until a tag above ``last_tag``; fills ``places`` in.

    Parameters
    ----------
    matrix : (n, width) first bytes of each file, C order.
    sizes : (n,) valid bytes in each row, at most ``width`` - 16.
    chosen : row numbers.

    A file whose bytes end first is neither ended nor unusual: more of it is needed.
    """
    words = _words(matrix, encoding.big)
    width = matrix.shape[1]
    files = chosen[~places.unusual[chosen]]
    position = places.position[files]
    depth, before = np.zeros(len(files), np.int64), np.full(len(files), -1)
    for _ in range(_MOST_STEPS):
        readable = position + 12 <= sizes[files]
        if not readable.all():
            places.position[files] = position
            files, depth, before, position = files[readable], depth[readable], before[readable], position[readable]
        if not len(files):
            return
        step = _read_step(words, files * width + position, encoding)
        nested = depth.any()
        out = step.tag > last_tag
        odd = step.odd | (step.tag <= before)
        if nested:
            inside = depth > 0
            out &= ~inside
            odd = np.where(inside, step.odd, odd)
            before = np.where(inside, before, step.tag)
            _keep(places, files, position, step, ~(out | odd | inside))
        else:
            odd |= step.delimiter
            before = step.tag
            _keep(places, files, position, step, ~(out | odd))
        if step.special:
            depth = depth + (step.enters & ~out) - ((step.tag == SEQUENCE_END) | (step.tag == ITEM_END))
        stopping = out | odd
        if stopping.any():
            places.ended[files[out]] = True
            places.unusual[files[odd & ~out]] = True
            places.position[files[stopping]] = position[stopping]
            going = ~stopping
            files, depth, before, position = files[going], depth[going], before[going], position[going]
            position += (step.header + step.length)[going]
        else:
            position = position + step.header + step.length
    places.unusual[files] = True


@dataclass(frozen=True, eq=False)
class _Step:
    """One element header of each file.

    Parameters
    ----------
    tag, vr, length, header : of the element; ``length`` is 0 for what is walked into.
    enters : a sequence or item of unknown length.
    delimiter : an item, or the end of an item or sequence.
    odd : breaks a rule wherever it stands.
    special : whether any ``enters`` or ``delimiter`` is set.
    """

    tag: Ints
    vr: Ints
    length: Ints
    header: Ints
    enters: Flags
    delimiter: Flags
    odd: Flags
    special: bool


def _words(matrix: NDArray[np.uint8], big: bool) -> NDArray[np.int64]:
    """The 8 bytes that begin at any place of the flat matrix, as one number, without copying."""
    flat = matrix.reshape(-1)
    kind = np.dtype(">i8" if big else "<i8")
    return np.ndarray((flat.size - 7,), kind, flat, 0, (1,))


def _read_step(words: NDArray[np.int64], base: Ints, encoding: Encoding) -> _Step:
    word = words[base].astype(np.int64, copy=False)
    if encoding.big:
        tag, low = word >> 32 & 0xFFFFFFFF, word & 0xFFFFFFFF
        vr, short = low >> 24 | low >> 8 & 0xFF00, low & 0xFFFF  # letters have no byte order
    else:
        tag, low = (word & 0xFFFF) << 16 | word >> 16 & 0xFFFF, word >> 32 & 0xFFFFFFFF
        vr, short = low & 0xFFFF, low >> 16
    delimiter = tag >= _DELIMITERS
    if not encoding.explicit:
        enters = low == UNDEFINED
        odd = delimiter & _bad_delimiter(tag, low)
        special = bool(enters.any() or delimiter.any())
        header = np.full(len(base), 8, np.int64)
        return _Step(tag, np.zeros_like(tag), np.where(enters, 0, low), header, enters, delimiter, odd, special)
    kind = _VR_CLASS[vr]
    odd, header, length = kind == 0, _HEADER[kind], short
    enters, special = np.zeros(len(base), bool), False
    long = kind >= 2
    if long.any():
        more = words[base[long] + 8].astype(np.int64, copy=False)
        length[long] = (more >> 32 if encoding.big else more) & 0xFFFFFFFF
        enters = long & (length == UNDEFINED)
        odd |= enters & (kind != 3)
        special = bool(enters.any())
    if delimiter.any():
        length, special = np.where(delimiter, low, length), True
        header, vr = np.where(delimiter, 8, header), np.where(delimiter, 0, vr)
        enters = np.where(delimiter, low == UNDEFINED, enters)
        odd = np.where(delimiter, _bad_delimiter(tag, low), odd)
    if special:
        length = np.where(enters, 0, length)
    return _Step(tag, vr, length, header, enters, delimiter, odd, special)


def _bad_delimiter(tag: Ints, length: Ints) -> Flags:
    """Neither an item nor an end without content."""
    end = (tag == ITEM_END) | (tag == SEQUENCE_END)
    bad: Flags = (tag != ITEM) & ~(end & (length == 0))
    return bad


def _keep(places: Places, files: Ints, position: Ints, step: _Step, allowed: Flags) -> None:
    slot = np.searchsorted(_WANTED_AND_END, step.tag)
    hit = np.flatnonzero((_WANTED_AND_END[slot] == step.tag) & allowed)
    if not len(hit):
        return
    if step.special:
        hit = hit[~step.enters[hit]]
    slots, rows = slot[hit], files[hit]
    places.start[slots, rows] = position[hit] + step.header[hit]
    places.length[slots, rows] = step.length[hit]
    places.vr[slots, rows] = step.vr[hit]
