"""What a MetaImage or NRRD header says: where the voxels are, what they are, where they lie in the patient.

Knows the value that both formats come down to and how its voxels are read. Does not know the fields of either.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import check_bomb, check_room, check_shape, format_shape
from voxloom.formats.gunzip import BZIP2, ZLIB_OR_GZIP, ByteStream, empty_like_file
from voxloom.volume import check_affine

#: No header of this kind is longer (bytes).
LONGEST_HEADER = 1 << 20
Encoding = Literal["raw", "zlib", "bzip2", "text"]
_COMPRESSED = {"raw": None, "zlib": ZLIB_OR_GZIP, "bzip2": BZIP2}


@dataclass(frozen=True, eq=False)
class TextHeader:
    """A header, understood and checked.

    Parameters
    ----------
    path : the file that holds the voxels, from byte ``offset`` on.
    axes : sizes of all axes of the file, the fastest first.
    channel_axis : which of them holds channels, or None.
    dtype : of one value as stored, with its byte order.
    encoding : ``"zlib"`` stands for gzip too; ``"text"`` is numbers written out.
    affine : (4, 4) voxel index to RAS+ millimetres.
    meta : for ``Volume.meta``: ``geometry_note`` (what the header leaves open), ``unit`` (``"pixel"`` without voxel sizes),
        ``segments`` (names of label values).

    Raises
    ------
    BadInput : an axis without voxels, a singular affine, more than three dimensions, or more voxels than the file can hold.
    """

    path: Path
    offset: int
    axes: tuple[int, ...]
    channel_axis: int | None
    dtype: np.dtype[Any]
    encoding: Encoding
    affine: NDArray[np.float64]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_shape(self.axes, self.path)
        if any(n > 1 for n in self.grid[3:]):
            found = format_shape(self.grid)
            raise BadInput(f"is {len(self.grid)}D ({found}), 3D is needed", self.path, "Split it into 3D files")
        if self.encoding == "bzip2":
            check_bomb(self.needed, self.available, self.path)
        elif self.encoding != "text":
            check_room(self.needed, self.available, self.path, compressed=self.encoding == "zlib")
        elif 2 * math.prod(self.axes) - 1 > self.available:
            check_room(2 * math.prod(self.axes) - 1, self.available, self.path)
        check_affine(self.affine, self.path)

    @property
    def grid(self) -> tuple[int, ...]:
        """Sizes of the axes without the channels."""
        return tuple(n for axis, n in enumerate(self.axes) if axis != self.channel_axis)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid size (I, J, K)."""
        i, j, k = (*self.grid[:3], 1, 1)[:3]
        return (i, j, k)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1 if self.channel_axis is None else self.axes[self.channel_axis]

    @property
    def needed(self) -> int:
        """Bytes of voxels, unpacked."""
        return math.prod(self.axes) * self.dtype.itemsize

    @property
    def available(self) -> int:
        """Bytes that there are."""
        return self.path.stat().st_size - self.offset

    def voxels(self) -> NDArray[Any]:
        """The voxels (C, I, J, K) in the machine's byte order. Raises BadInput when they are damaged or cut."""
        flat = self._text() if self.encoding == "text" else self._bytes()
        array = flat.reshape(self.axes[::-1]).T
        channels = array[None] if self.channel_axis is None else np.moveaxis(array, self.channel_axis, 0)
        return channels.reshape(self.channels, *self.shape) if channels.ndim != 4 else channels

    def _bytes(self) -> NDArray[Any]:
        data = empty_like_file((math.prod(self.axes),), self.dtype, self.path)
        stream = ByteStream(self.path, compressed=_COMPRESSED[self.encoding], offset=self.offset)
        check_room(data.nbytes, stream.fill(data), self.path)
        stream.finish()
        return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))

    def _text(self) -> NDArray[Any]:
        with self.path.open("rb") as f:
            f.seek(self.offset)
            words = f.read().split()
        try:
            numbers = np.array([float(word) for word in words[: math.prod(self.axes)]])
        except ValueError as error:
            raise BadInput(f"the voxels are not numbers ({error})", self.path, "Copy the file again") from None
        if len(numbers) < math.prod(self.axes):
            raise BadInput(
                f"the header promises {math.prod(self.axes):,} voxels, the file holds {len(numbers):,}", self.path
            )
        with np.errstate(invalid="ignore", over="ignore"):
            values = numbers.astype(self.dtype.newbyteorder("="))
        if not np.array_equal(values, numbers) and self.dtype.kind != "f":
            raise BadInput(f"the voxels do not fit the type {self.dtype}", self.path, "Copy the file again")
        return values


def numbers(text: str, count: int | None = None) -> list[float]:
    """The finite numbers of a field, ``count`` of them (ValueError otherwise)."""
    values = [float(word) for word in text.split()]
    if not all(map(math.isfinite, values)) or (count is not None and len(values) != count):
        raise ValueError(f"{text!r} is not {count or 'a list of'} numbers")
    return values


#: Millimetres per unit of length, by the names that headers use.
_UNIT_NAMES = {
    1.0: "mm millimeter millimeters millimetre millimetres",
    1e-3: "um \u00b5m \u03bcm micron microns micrometer micrometers micrometre micrometres",
    10.0: "cm centimeter centimeters centimetre centimetres",
    1000.0: "m meter meters metre metres",
    1e-6: "nm nanometer nanometers nanometre nanometres",
}
_UNITS_MM = {name: mm for mm, names in _UNIT_NAMES.items() for name in names.split()}


def unit_mm(name: str, path: Path) -> float:
    """Millimetres per unit; an empty name or ``?`` says nothing, which is mm. Raises BadInput for an unknown unit."""
    known = name.strip().strip('"').lower()
    if known in ("", "?", "???"):
        return 1.0
    if known not in _UNITS_MM:
        raise BadInput(f"its lengths are in {name!r}, which is not a known unit", path, "Save it in millimeters")
    return _UNITS_MM[known]


def sizes(text: str, count: int) -> tuple[int, ...]:
    """The ``count`` positive axis sizes of a field (ValueError otherwise)."""
    words = text.split()
    if len(words) != count or not all(word.isascii() and word.isdigit() and len(word) < 10 for word in words):
        raise ValueError(f"{text!r} is not {count} sizes")
    return tuple(int(word) for word in words)


def detached(path: Path, name: str) -> Path:
    """The file beside the header that holds its voxels (BadInput when it is not there)."""
    data = path.parent / name
    try:
        found = data.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise BadInput(f"its voxels should be in {name}, which is not there", path, "Copy both files into one folder")
    return data


def lps_affine(axes: NDArray[np.float64], origin: NDArray[np.float64]) -> NDArray[np.float64]:
    """RAS affine of LPS voxel axes (columns, in mm) and the LPS position of the first voxel."""
    lps = np.eye(4)
    lps[:3, :3], lps[:3, 3] = axes, origin
    affine: NDArray[np.float64] = np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps
    return affine
