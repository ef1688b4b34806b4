"""Bytes of a plain, gzip or bzip2 file, straight into the array that needs them, and back.

Knows gzip, zlib and bzip2 data and their check sums. Deflate is done by Intel's ISA-L (package ``isal``): the same format as zlib's,
written 6 to 15 times and read 1.7 times as fast, see docs/formats.md. Does not know what the bytes mean.
"""

from __future__ import annotations

import bz2
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from voxloom.errors import BadInput

_PIECE = 1 << 20
_DEFLATE = 8
#: Window bits that ask for gzip, or for whichever of zlib and gzip there is.
GZIP, ZLIB_OR_GZIP = 31, 47
#: Asks for bzip2.
BZIP2 = -1
#: More bytes than this after the voxels are not padding: the file is not what its header says.
_MOST_SURPLUS = 64 << 20
#: Higher levels gain 2 % of size and take up to four times as long.
GZIP_LEVEL = 1


def is_gzip(path: Path) -> bool:
    """Whether the file begins with the two gzip bytes, whatever its name."""
    with path.open("rb") as f:
        return f.read(2) == b"\x1f\x8b"


class ByteStream:
    """The content of a file from byte ``offset`` on, read forward once; compression is undone on the way.

    ``compressed`` tells how: None (not at all), ``GZIP``, ``ZLIB_OR_GZIP`` or ``BZIP2``. Raises BadInput
    when the data is cut or damaged.
    """

    def __init__(self, path: Path, *, compressed: int | None, offset: int = 0) -> None:
        self._path = path
        if compressed is None:
            self._pieces = _plain(path, offset)
        else:
            self._pieces = _bunzip(path, offset) if compressed == BZIP2 else _gunzip(path, offset, compressed)
        self._rest = memoryview(b"")

    def take(self, count: int) -> bytes:
        """The next ``count`` bytes, fewer at the end of the file."""
        taken = bytearray()
        while len(taken) < count and (piece := self._next(count - len(taken))):
            taken += piece
        return bytes(taken)

    def fill(self, array: NDArray[Any]) -> int:
        """Fill a C-contiguous array with the next bytes; returns how many bytes there were."""
        target = array.data.cast("B")
        done = 0
        while done < len(target) and (piece := self._next(len(target) - done)):
            target[done : done + len(piece)] = piece
            done += len(piece)
        return done

    def skip(self, count: int) -> None:
        """Pass over ``count`` bytes."""
        while count > 0 and (piece := self._next(min(count, _PIECE))):
            count -= len(piece)

    def finish(self) -> None:
        """Read to the end, so that a check sum is verified (BadInput when the end is far away)."""
        surplus = 0
        while piece := self._next(_PIECE):
            surplus += len(piece)
            if surplus > _MOST_SURPLUS:
                raise BadInput("holds far more data than its header promises", self._path, "Save it again")

    def _next(self, most: int) -> memoryview:
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        piece, self._rest = self._rest[:most], self._rest[most:]
        return piece


def _plain(path: Path, offset: int) -> Iterator[bytes]:
    with path.open("rb") as f:
        f.seek(offset)
        while piece := f.read(_PIECE):
            yield piece


def _gunzip(path: Path, offset: int, kind: int) -> Iterator[bytes]:
    """Pieces of at most 1 MiB, gzip member after member."""
    name = "gzip" if kind == GZIP else "compressed"
    with path.open("rb") as f:
        f.seek(offset)
        engine, waiting = isal_zlib.decompressobj(wbits=kind), b""
        while waiting or (waiting := f.read(_PIECE)):
            try:
                piece = engine.decompress(waiting, _PIECE)
            except isal_zlib.error as error:  # type: ignore[misc]
                raise BadInput(f"the {name} data is damaged ({error})", path, "Copy the file again") from None
            waiting = engine.unconsumed_tail
            if piece:
                yield piece
            if engine.eof:
                waiting = engine.unused_data or f.read(_PIECE)
                if waiting[:2] != b"\x1f\x8b":
                    return
                engine = isal_zlib.decompressobj(wbits=kind)
        raise BadInput(f"the {name} data ends too early", path, "It was probably copied by half; copy it again")


def _bunzip(path: Path, offset: int) -> Iterator[bytes]:
    """Pieces of at most 1 MiB of one bzip2 stream."""
    with path.open("rb") as f:
        f.seek(offset)
        engine = bz2.BZ2Decompressor()
        while not engine.eof:
            more = f.read(_PIECE) if engine.needs_input else b""
            if engine.needs_input and not more:
                raise BadInput("the bzip2 data ends too early", path, "It was probably copied by half; copy it again")
            try:
                piece = engine.decompress(more, _PIECE)
            except (OSError, ValueError) as error:
                raise BadInput(f"the bzip2 data is damaged ({error})", path, "Copy the file again") from None
            if piece:
                yield piece


def gzip_pieces(buffers: Iterable[memoryview]) -> Iterator[bytes]:
    """The buffers as one gzip member, piece by piece."""
    engine = isal_zlib.compressobj(GZIP_LEVEL, _DEFLATE, GZIP)
    for buffer in buffers:
        for start in range(0, len(buffer), _PIECE):
            yield engine.compress(buffer[start : start + _PIECE])
    yield engine.flush()


def empty_like_file(shape: tuple[int, ...], dtype: np.dtype[Any], where: Path) -> NDArray[Any]:
    """An array to be filled. Raises BadInput when the memory is not there."""
    try:
        return np.empty(shape, dtype)
    except MemoryError:
        size = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
        raise BadInput(f"needs {size / 2**30:.1f} GiB of memory, more than there is", where) from None
