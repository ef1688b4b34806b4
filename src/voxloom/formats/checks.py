"""Refusals that every format shares: numbers that are none, headers that promise more than the file holds.

Knows voxels and byte counts. Does not know any format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

#: Deflate cannot shrink data by more than this factor, so a larger claim is a lie.
DEFLATE_LIMIT = 1032
#: Voxels of so many bytes, packed more than so many times, are taken for a trap (a "zip bomb").
BOMB_BYTES, BOMB_RATIO = 1 << 30, 256
#: A label value may be this far from a whole number.
_ROUNDING = 1e-4


def check_file(path: Path) -> int:
    """Size of a file in bytes. Raises BadInput when it is missing, a folder or empty."""
    if not path.exists():
        raise BadInput("there is no such file", path, "Check the spelling of the path")
    if path.is_dir():
        raise BadInput("is a folder, a file is needed", path)
    size = path.stat().st_size
    if size == 0:
        raise BadInput("the file is empty (0 bytes)", path, "Copy it again")
    return size


def check_shape(shape: Sequence[int], where: str | Path) -> None:
    """Refuse a grid with an axis of no voxels (BadInput)."""
    if any(n < 1 for n in shape):
        raise BadInput(f"the header gives the impossible size {format_shape(shape)}", where, "Copy the file again")


def check_room(needed: int, available: int, where: str | Path, *, compressed: bool = False) -> None:
    """Refuse, before memory is taken, voxels of ``needed`` bytes from ``available`` bytes that cannot hold them."""
    if compressed and needed > (available + 64) * DEFLATE_LIMIT:
        raise BadInput(
            f"the header promises {needed:,} bytes of voxels, more than {available:,} compressed bytes can hold",
            where,
            "The header is damaged or the file was copied by half; copy it again",
        )
    if compressed:
        check_bomb(needed, available, where)
    if not compressed and needed > available:
        raise BadInput(
            f"the header promises {needed:,} bytes of voxels, the file holds {max(available, 0):,}",
            where,
            "It was probably copied by half; copy it again",
        )


def check_bomb(needed: int, available: int, where: str | Path) -> None:
    """Refuse packed bytes that would take a lot of memory and hold next to nothing (BadInput)."""
    if needed > max(BOMB_BYTES, available * BOMB_RATIO):
        raise BadInput(
            f"{available / 2**20:.1f} MiB unpack to {needed / 2**30:.1f} GiB, as in files that are made to fill the memory",
            where,
            "If it is a real image, save it without compression",
        )


def check_finite(data: NDArray[Any], where: str | Path) -> None:
    """Refuse NaN and infinite voxels, with their count (BadInput)."""
    if data.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        total = data.sum(dtype=np.float64)
    if math.isfinite(total):
        return
    nan, infinite = int(np.isnan(data).sum()), int(np.isinf(data).sum())
    if nan + infinite:
        found = " and ".join(f"{n:,} {name}" for n, name in ((nan, "NaN"), (infinite, "infinite")) if n)
        raise BadInput(f"holds {found} of {data.size:,} values", where, "Replace them by numbers and save it again")


def as_integers(data: NDArray[Any], where: str | Path) -> NDArray[Any]:
    """Label values as integers, the array itself where it already is one.

    What arithmetic in 32 bits leaves of an integer (1.0000001) is one. Raises BadInput for a fraction.
    """
    if data.dtype.kind in "iu":
        return data
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    rounded = np.rint(data)
    wrong = np.abs(rounded - data) > _ROUNDING
    if wrong.any():
        values = ", ".join(f"{v:.9g}" for v in np.unique(data[wrong])[:3])
        raise BadInput(
            f"is not a label map: {int(wrong.sum()):,} voxels are not whole numbers (such as {values})",
            where,
            "Give the label file, resampled with nearest neighbor",
        )
    return rounded.astype(smallest_integer(float(rounded.min()), float(rounded.max()), where))


def smallest_integer(low: float, high: float, where: str | Path | None = None) -> np.dtype[Any]:
    """The smallest of uint8, uint16, int16, int32, int64 that holds ``low`` to ``high`` (BadInput when none does)."""
    for name in ("uint8", "uint16", "int16", "int32", "int64"):
        info = np.iinfo(name)
        if info.min <= low and high <= info.max:
            return np.dtype(name)
    raise BadInput(f"values from {low:g} to {high:g} fit no integer type", where)


def rescale(data: NDArray[Any], slope: float, intercept: float) -> NDArray[Any]:
    """``data * slope + intercept``: integers stay integers where that is exact, else float32 (float64 from 32 bits on).

    The stored type is kept where it can hold the result, else int16 or int32 is used.
    """
    if slope == 1 and intercept == 0:
        return data
    if data.dtype.kind in "iu" and slope == int(slope) and intercept == int(intercept):
        ends = [int(v) * int(slope) + int(intercept) for v in (data.min(), data.max())]
        own = [data.dtype] if data.dtype.kind == "i" or intercept >= 0 else []
        for kind in (*own, np.dtype(np.int16), np.dtype(np.int32)):
            if np.iinfo(kind).min <= min(ends) and max(ends) <= np.iinfo(kind).max:
                return _rescale_integers(data, int(slope), int(intercept), kind)
    wide = data.dtype.itemsize > 4 or (data.dtype.kind in "iu" and data.dtype.itemsize == 4)
    real = np.float64 if wide else np.float32
    scaled = np.multiply(data, real(slope), dtype=real)
    scaled += real(intercept)
    return scaled


def _rescale_integers(data: NDArray[Any], slope: int, intercept: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Reckoned modulo 2**bits of ``kind``, which holds the result: exact, and nothing wider is in memory."""
    bits = 8 * kind.itemsize
    scaled = data.astype(kind)
    if slope != 1:
        scaled *= _wrapped(slope, bits, kind)
    scaled += _wrapped(intercept, bits, kind)
    return scaled


def _wrapped(number: int, bits: int, kind: np.dtype[Any]) -> Any:
    """The number of ``kind`` that equals ``number`` modulo 2**bits."""
    return np.array(number % (1 << bits), np.uint64).astype(kind)


def format_shape(shape: Sequence[int]) -> str:
    """``(2, 3, 4)`` as ``"2 x 3 x 4"``."""
    return " x ".join(str(int(n)) for n in shape)
