"""What the header of a NIfTI file says: its fields, whatever version and byte order they came in, and the geometry.

Knows https://nifti.nimh.nih.gov/nifti-1: sform, qform, units. Does not read voxels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import check_shape
from voxloom.formats.gunzip import ByteStream
from voxloom.formats.quaternion import from_quaternion
from voxloom.volume import check_affine, grid_distance

TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
COLORS = {128: 3, 2304: 4}
_REFUSED = {1: "1-bit", 32: "complex", 1536: "128-bit float", 1792: "complex", 2048: "complex"}
_UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")


@dataclass(frozen=True)
class Fields:
    """The header's fields that matter, whatever version and byte order they came in."""

    order: Literal["<", ">"]
    dim: tuple[int, ...]
    pixdim: tuple[float, ...]
    datatype: int
    vox_offset: int
    slope: float
    intercept: float
    units: int
    qform_code: int
    sform_code: int
    quaternion: tuple[float, ...]
    sform: tuple[float, ...]
    magic: bytes
    length: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(TYPES[2 if self.datatype in COLORS else self.datatype]).newbyteorder(self.order)

    @property
    def grid(self) -> tuple[int, int, int]:
        i, j, k = (*self.dim[1 : min(self.dim[0], 3) + 1], 1, 1)[:3]
        return (i, j, k)

    @property
    def frames(self) -> int:
        return self.dim[4] if self.dim[0] >= 4 else 1

    @property
    def vectors(self) -> int:
        return COLORS.get(self.datatype) or (self.dim[5] if self.dim[0] >= 5 else 1)


def parse(stream: ByteStream, path: Path) -> Fields:
    head = stream.take(4)
    for order in _ORDERS:
        length = struct.unpack(f"{order}i", head)[0] if len(head) == 4 else 0
        if length in (348, 540):
            head += stream.take(length - 4)
            if len(head) < length:
                break
            fields = _fields1(head, order) if length == 348 else _fields2(head, order)
            _check_fields(fields, path)
            return fields
    raise BadInput("is not a NIfTI file (its header is missing or cut)", path, "Check the file, or copy it again")


def _fields1(b: bytes, o: Literal["<", ">"]) -> Fields:
    offset, slope, intercept = struct.unpack_from(f"{o}3f", b, 108)
    return Fields(
        order=o,
        dim=struct.unpack_from(f"{o}8h", b, 40),
        pixdim=struct.unpack_from(f"{o}8f", b, 76),
        datatype=struct.unpack_from(f"{o}h", b, 70)[0],
        vox_offset=int(offset) if np.isfinite(offset) else -1,
        slope=slope,
        intercept=intercept,
        units=b[123] & 7,
        qform_code=struct.unpack_from(f"{o}h", b, 252)[0],
        sform_code=struct.unpack_from(f"{o}h", b, 254)[0],
        quaternion=struct.unpack_from(f"{o}6f", b, 256),
        sform=struct.unpack_from(f"{o}12f", b, 280),
        magic=b[344:347],
        length=348,
    )


def _fields2(b: bytes, o: Literal["<", ">"]) -> Fields:
    offset, slope, intercept = struct.unpack_from(f"{o}qdd", b, 168)
    return Fields(
        order=o,
        dim=struct.unpack_from(f"{o}8q", b, 16),
        pixdim=struct.unpack_from(f"{o}8d", b, 104),
        datatype=struct.unpack_from(f"{o}h", b, 12)[0],
        vox_offset=offset,
        slope=slope,
        intercept=intercept,
        units=struct.unpack_from(f"{o}i", b, 500)[0] & 7,
        qform_code=struct.unpack_from(f"{o}i", b, 344)[0],
        sform_code=struct.unpack_from(f"{o}i", b, 348)[0],
        quaternion=struct.unpack_from(f"{o}6d", b, 352),
        sform=struct.unpack_from(f"{o}12d", b, 400),
        magic=b[4:7],
        length=540,
    )


def _check_fields(fields: Fields, path: Path) -> None:
    count = fields.dim[0]
    if not 1 <= count <= 7:
        raise BadInput(f"the header gives {count} dimensions", path, "The header is damaged; copy the file again")
    check_shape(fields.dim[1 : count + 1], path)
    if any(n > 1 for n in fields.dim[6 : count + 1]):
        raise BadInput(f"has {count} dimensions, 3 and channels are read", path, "Split it into 3D files")
    if fields.datatype in _REFUSED:
        raise BadInput(f"holds {_REFUSED[fields.datatype]} voxels", path, "Save magnitude or real values")
    if fields.datatype not in TYPES and fields.datatype not in COLORS:
        raise BadInput(f"the voxel type {fields.datatype} is unknown", path, "The header is damaged; copy it again")
    if not 0 <= fields.vox_offset < 1 << 31:
        raise BadInput(f"the voxels begin at byte {fields.vox_offset}", path, "The header is damaged; copy it again")


def geometry(fields: Fields, path: Path) -> tuple[NDArray[np.float64], dict[str, str]]:
    """The affine in mm and where it came from: sform, else qform, else voxel sizes (the standard's method 3, 2, 1)."""
    q = _qform(fields) if fields.qform_code > 0 else None
    meta = {"geometry_from": "sform" if fields.sform_code > 0 else "qform" if q is not None else "pixdim"}
    notes, mm = [], _UNITS_MM.get(fields.units, 1.0)
    if fields.sform_code > 0:
        affine = np.eye(4)
        affine[:3] = np.array(fields.sform).reshape(3, 4)
        if q is not None and (apart := mm * grid_distance(affine, q, fields.grid)) > 0.1:
            notes.append(f"sform and qform differ by {apart:.1f} mm; the sform is used")
    elif q is not None:
        affine = q
    else:
        affine = np.diag([*(abs(p) for p in fields.pixdim[1:4]), 1.0])
        notes.append("no sform and no qform: the voxel sizes are known, the orientation is not")
    affine[:3] *= mm
    if _complete(affine, fields.grid):
        notes.append("the thickness of the single slice is not given: 1 mm is assumed")
    _check_sizes(affine, meta["geometry_from"], path)
    check_affine(affine, path)
    return affine, {**meta, **({"geometry_note": "; ".join(notes)} if notes else {})}


def _complete(affine: NDArray[np.float64], grid: tuple[int, int, int]) -> bool:
    """Give the only slice of a 2D image a normal of 1 mm where the header gives it no thickness; whether it was needed."""
    missing = [n for n in range(3) if grid[n] == 1 and not affine[:3, n].any()]
    if len(missing) != 1:
        return False
    others = [n for n in range(3) if n != missing[0]]
    normal = np.cross(affine[:3, others[0]], affine[:3, others[1]]) * (-1 if missing[0] == 1 else 1)
    length = float(np.linalg.norm(normal))
    if not np.isfinite(length) or length == 0:
        return False
    affine[:3, missing[0]] = normal / length
    return True


def _check_sizes(affine: NDArray[np.float64], origin: str, path: Path) -> None:
    """Refuse a voxel size of 0, naming the axis (BadInput)."""
    for n in range(3):
        if np.isfinite(affine).all() and not affine[:3, n].any():
            what = f"the header gives a voxel size of 0 along axis {n + 1} ({origin})"
            raise BadInput(what, path, "Write the true voxel size into the header, for example with 3D Slicer")


def _qform(fields: Fields) -> NDArray[np.float64]:
    b, c, d, *origin = fields.quaternion
    sign = -1.0 if fields.pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = from_quaternion(b, c, d) * (np.abs(fields.pixdim[1:4]) * [1.0, 1.0, sign])
    affine[:3, 3] = origin
    return affine
