"""One prepared case in one file: compressed chunks, a JSON header, a checksum on every part.

Knows the file format; not what the arrays mean, nor where the file lies. Layout, little endian::

    8 bytes   "VOXCASE1"
    4 + 4     length of the header, CRC-32 of the header
    header    JSON: {"info": {...}, "size": bytes in all, "arrays": {name: {shape, dtype, chunk, index}}}
    chunks    blosc2-compressed (LZ4, shuffle) blocks of each array, in C order; "index" lists [offset, length, CRC-32]

A patch reads only the chunks that it meets. Chosen by the figures of ``benchmarks/store_formats.py``.
"""

from __future__ import annotations

import itertools
import json
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import VoxloomError
from voxloom.files import part_path

MAGIC = b"VOXCASE1"
_HEAD = struct.Struct("<8sII")
_CHUNK_SIDE = 48
_WHOLE_BYTES = 1 << 19
_MAX_HEADER = 1 << 26


class Damaged(VoxloomError):
    """A cache file is cut short or altered."""


@dataclass(frozen=True)
class StoredArray:
    """Where one array's chunks lie; offsets count from the end of the header."""

    shape: tuple[int, ...]
    dtype: str
    chunk: tuple[int, ...]
    index: tuple[tuple[int, int, int], ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of chunks per axis."""
        return tuple(-(-size // side) for size, side in zip(self.shape, self.chunk, strict=True))


@dataclass(frozen=True)
class Stored:
    """The header of a file: what the writer noted, and the arrays."""

    path: Path
    info: Mapping[str, Any]
    arrays: Mapping[str, StoredArray]
    start: int

    def read(self, name: str, where: Sequence[slice] | None = None) -> NDArray[Any]:
        """One array, or the part within ``where`` (one slice per axis, step 1); only its chunks are read and checked.

        Raises
        ------
        Damaged : a chunk is cut short or altered.
        """
        array = self.arrays[name]
        wanted = [slice(None)] * len(array.shape) if where is None else list(where)
        spans = [part.indices(size)[:2] for part, size in zip(wanted, array.shape, strict=True)]
        out = np.empty([max(0, stop - start) for start, stop in spans], array.dtype)
        if not out.size:
            return out
        cells = itertools.product(
            *(range(a // side, -(-b // side)) for (a, b), side in zip(spans, array.chunk, strict=True))
        )
        try:
            with self.path.open("rb") as file:
                for cell in cells:
                    self._copy_chunk(file, array, cell, spans, out)
        except OSError as error:
            raise Damaged(f"{self.path}: cannot be read ({error})") from error
        return out

    def _copy_chunk(
        self,
        file: Any,
        array: StoredArray,
        cell: tuple[int, ...],
        spans: list[tuple[int, int]],
        out: NDArray[Any],
    ) -> None:
        number = int(np.ravel_multi_index(cell, array.grid)) if cell else 0
        import blosc2  # it brings a web client along; a prediction reads no cache

        offset, length, checksum = array.index[number]
        file.seek(self.start + offset)
        packed = file.read(length)
        if len(packed) != length or zlib.crc32(packed) != checksum:
            raise Damaged(f"{self.path}: the file is damaged. Run the command again with this cache to make it anew")
        first = [index * side for index, side in zip(cell, array.chunk, strict=True)]
        size = [min(side, n - at) for side, n, at in zip(array.chunk, array.shape, first, strict=True)]
        source, target = [], []
        for (start, stop), at, count in zip(spans, first, size, strict=True):
            low, high = max(start, at), min(stop, at + count)
            source.append(slice(low - at, high - at))
            target.append(slice(low - start, high - start))
        if tuple(size) == out.shape:
            blosc2.decompress2(packed, dst=out, nthreads=1)
            return
        chunk = np.empty(size, array.dtype)
        blosc2.decompress2(packed, dst=chunk, nthreads=1)
        out[tuple(target)] = chunk[tuple(source)]

    def verify(self) -> None:
        """Check every chunk against its checksum (Damaged when one differs)."""
        for array in self.arrays.values():
            with self.path.open("rb") as file:
                for offset, length, checksum in array.index:
                    file.seek(self.start + offset)
                    if zlib.crc32(file.read(length)) != checksum:
                        raise Damaged(f"{self.path}: the file is damaged")


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Path:
    """Write arrays and a JSON-able ``info``, whole or not at all.

    The file is renamed into place when it is complete. It is not forced to the disk: should the power fail, checksums
    tell, and the case is prepared again.
    """
    path = Path(path)
    packed: list[bytes] = []
    table: dict[str, Any] = {}
    at = 0
    for name, array in arrays.items():
        chunk = _chunk_shape(array)
        index = []
        for part in _cut(array, chunk):
            data = _compress(part)
            index.append((at, len(data), zlib.crc32(data)))
            packed.append(data)
            at += len(data)
        table[name] = {
            "shape": array.shape,
            "dtype": array.dtype.str,
            "chunk": chunk,
            "index": index,
        }
    header = json.dumps({"info": dict(info), "size": at, "arrays": table}, separators=(",", ":")).encode()
    temporary = part_path(path.parent)
    try:
        with temporary.open("wb") as file:
            file.write(_HEAD.pack(MAGIC, len(header), zlib.crc32(header)) + header)
            file.writelines(packed)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def _compress(part: NDArray[Any]) -> bytes:
    import blosc2

    filters = [blosc2.Filter.SHUFFLE if part.itemsize > 1 else blosc2.Filter.NOFILTER]
    return bytes(
        blosc2.compress2(
            part,
            codec=blosc2.Codec.LZ4,
            clevel=5,
            typesize=part.itemsize,
            filters=filters,
            filters_meta=[0],
            nthreads=1,
        )
    )


def _chunk_shape(array: NDArray[Any]) -> tuple[int, ...]:
    """The whole of a small array, else cubes of 48 voxels in the last three axes."""
    if array.nbytes <= _WHOLE_BYTES or array.ndim < 3:
        return tuple(max(1, size) for size in array.shape)
    lead = (1,) * (array.ndim - 3)
    return (*lead, *(min(_CHUNK_SIDE, size) for size in array.shape[-3:]))


def _cut(array: NDArray[Any], chunk: tuple[int, ...]) -> Any:
    for corner in itertools.product(*(range(0, size, side) for size, side in zip(array.shape, chunk, strict=True))):
        yield np.ascontiguousarray(array[tuple(slice(at, at + side) for at, side in zip(corner, chunk, strict=True))])


def open_arrays(path: str | Path) -> Stored:
    """Read a file's header.

    Raises
    ------
    Damaged : the file is not of this format, cut short, or its header is altered.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            magic, length, checksum = _HEAD.unpack(file.read(_HEAD.size))
            header = file.read(length) if magic == MAGIC and length <= _MAX_HEADER else b""
            total = os.fstat(file.fileno()).st_size
    except (OSError, struct.error) as error:
        raise Damaged(f"{path}: cannot be read ({error})") from error
    if not header or len(header) != length or zlib.crc32(header) != checksum:
        raise Damaged(f"{path}: not a whole prepared case")
    value = json.loads(header)
    start = _HEAD.size + length
    if total != start + value["size"]:
        raise Damaged(f"{path}: cut short, {total} bytes instead of {start + value['size']}")
    arrays = {
        name: StoredArray(
            tuple(one["shape"]),
            one["dtype"],
            tuple(one["chunk"]),
            tuple(map(tuple, one["index"])),
        )
        for name, one in value["arrays"].items()
    }
    return Stored(path, value["info"], arrays, start)
