"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz), read and written without a detour.

Knows the header of the standard (https://nifti.nimh.nih.gov/nifti-1): sform, qform, units, intensity scale, both byte
orders. A vector image (dimension 5) has channels; dimension 4 is time and is refused by ``read``. Does not know ANALYZE
pairs, extensions or complex voxels.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats.checks import check_bomb, check_file, check_finite, check_room, check_shape, format_shape, rescale
from voxloom.formats.gunzip import GZIP, ByteStream, empty_like_file, gzip_pieces, is_gzip
from voxloom.formats.header import Header
from voxloom.formats.quaternion import from_quaternion, to_quaternion
from voxloom.volume import Volume, check_affine, grid_distance

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}
_CODES = {np.dtype(name): code for code, name in _TYPES.items()}
_COLORS = {128: 3, 2304: 4}
_REFUSED = {1: "1-bit", 32: "complex", 1536: "128-bit float", 1792: "complex", 2048: "complex"}
_UNITS_MM = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
_ORDERS: tuple[Literal["<", ">"], ...] = ("<", ">")
_VECTOR = 1007


@dataclass(frozen=True)
class _Fields:
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

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(_TYPES[2 if self.datatype in _COLORS else self.datatype]).newbyteorder(self.order)

    @property
    def grid(self) -> tuple[int, int, int]:
        i, j, k = (*self.dim[1 : min(self.dim[0], 3) + 1], 1, 1)[:3]
        return (i, j, k)

    @property
    def frames(self) -> int:
        return self.dim[4] if self.dim[0] >= 4 else 1

    @property
    def vectors(self) -> int:
        return _COLORS.get(self.datatype) or (self.dim[5] if self.dim[0] >= 5 else 1)


def read(path: Path) -> Volume:
    """Read one 3D (or 2D) volume, shape (C, I, J, K), in its stored type where the intensity scale allows it.

    Raises
    ------
    BadInput : time frames (dimension 4), a file shorter than its header says, a cut gzip, NaN or infinite values, an
        affine that cannot be inverted, voxels that are complex.
    """
    return _read(path, frames_are_channels=False)


def read_channels(path: Path) -> Volume:
    """Read a 4D file whose fourth axis holds channels, as in the Medical Segmentation Decathlon; else like ``read``."""
    return _read(path, frames_are_channels=True)


def read_header(path: Path) -> Header:
    """Grid, channels and stored type without the voxels (raises BadInput as ``read``, but for the voxels)."""
    size = check_file(path)
    compressed = is_gzip(path)
    fields = _parse(ByteStream(path, compressed=GZIP if compressed else None), path)
    _check_size(fields, size, path, compressed)
    affine, _ = _geometry(fields, path)
    channels = fields.frames * fields.vectors
    return Header(fields.grid, channels, affine, str(fields.dtype.newbyteorder("=")), str(path))


def write(volume: Volume, path: Path) -> None:
    """Write NIfTI-1 with sform, and qform where the axes are orthogonal; channels become a vector image.

    bool becomes uint8, float16 float32, and 64-bit integers shrink to int32 where they fit.
    """
    data = _storable(volume.data, path)
    planes = (np.ascontiguousarray(channel.T).data.cast("B") for channel in data)
    buffers = chain([memoryview(_header_bytes(volume, data.dtype))], planes)
    with atomic_path(path) as temporary, temporary.open("wb") as f:
        f.writelines(gzip_pieces(buffers) if path.name.lower().endswith(".gz") else buffers)


def _read(path: Path, *, frames_are_channels: bool) -> Volume:
    size = check_file(path)
    compressed = is_gzip(path)
    stream = ByteStream(path, compressed=GZIP if compressed else None)
    fields = _parse(stream, path)
    if fields.frames > 1 and not frames_are_channels:
        raise BadInput(
            f"is 4D ({format_shape(fields.dim[1 : fields.dim[0] + 1])}: {fields.frames} time frames), 3D is needed",
            path,
            "Split it into one file per frame",
        )
    _check_size(fields, size, path, compressed)
    affine, meta = _geometry(fields, path)
    data = _voxels(stream, fields, path)
    check_finite(data, path)
    return Volume(data, affine, {"source": str(path), **meta})


def _parse(stream: ByteStream, path: Path) -> _Fields:
    head = stream.take(4)
    for order in _ORDERS:
        length = struct.unpack(f"{order}i", head)[0] if len(head) == 4 else 0
        if length in (348, 540):
            head += stream.take(length - 4)
            if len(head) < length:
                break
            fields = _fields1(head, order) if length == 348 else _fields2(head, order)
            _check_fields(fields, path)
            stream.skip(fields.vox_offset - length)
            return fields
    raise BadInput("is not a NIfTI file (its header is missing or cut)", path, "Check the file, or copy it again")


def _fields1(b: bytes, o: Literal["<", ">"]) -> _Fields:
    offset, slope, intercept = struct.unpack_from(f"{o}3f", b, 108)
    return _Fields(
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
    )


def _fields2(b: bytes, o: Literal["<", ">"]) -> _Fields:
    offset, slope, intercept = struct.unpack_from(f"{o}qdd", b, 168)
    return _Fields(
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
    )


def _check_fields(fields: _Fields, path: Path) -> None:
    count = fields.dim[0]
    if not 1 <= count <= 7:
        raise BadInput(f"the header gives {count} dimensions", path, "The header is damaged; copy the file again")
    check_shape(fields.dim[1 : count + 1], path)
    if any(n > 1 for n in fields.dim[6 : count + 1]):
        raise BadInput(f"has {count} dimensions, 3 and channels are read", path, "Split it into 3D files")
    if fields.datatype in _REFUSED:
        raise BadInput(f"holds {_REFUSED[fields.datatype]} voxels", path, "Save magnitude or real values")
    if fields.datatype not in _TYPES and fields.datatype not in _COLORS:
        raise BadInput(f"the voxel type {fields.datatype} is unknown", path, "The header is damaged; copy it again")
    if not 0 <= fields.vox_offset < 1 << 31:
        raise BadInput(f"the voxels begin at byte {fields.vox_offset}", path, "The header is damaged; copy it again")


def _check_size(fields: _Fields, size: int, path: Path, compressed: bool) -> None:
    count = 1
    for n in (*fields.grid, fields.frames, fields.vectors):
        count *= int(n)
    begin = 0 if compressed else max(fields.vox_offset, 348)
    check_room(count * fields.dtype.itemsize, size - begin, path, compressed=compressed)
    if compressed and np.isfinite(fields.slope) and fields.slope != int(fields.slope):
        check_bomb(count * max(4, fields.dtype.itemsize), size, path)


def _voxels(stream: ByteStream, fields: _Fields, path: Path) -> NDArray[Any]:
    i, j, k = fields.grid
    colors = fields.datatype in _COLORS
    shape = (k, j, i, fields.vectors) if colors else (fields.vectors * fields.frames, k, j, i)
    data = empty_like_file(shape, fields.dtype, path)
    found = stream.fill(data)
    if found < data.nbytes:
        raise BadInput(
            f"the header promises {data.nbytes:,} bytes of voxels, the file holds {found:,}",
            path,
            "It was probably copied by half; copy it again",
        )
    stream.finish()
    data = data.transpose(3, 2, 1, 0) if colors else data.transpose(0, 3, 2, 1)
    if not data.dtype.isnative:
        data = data.astype(data.dtype.newbyteorder("="))
    if colors or not np.isfinite(fields.slope) or fields.slope == 0:
        return data
    return rescale(data, fields.slope, fields.intercept if np.isfinite(fields.intercept) else 0.0)


def _geometry(fields: _Fields, path: Path) -> tuple[NDArray[np.float64], dict[str, str]]:
    """The affine in mm and where it came from: sform, else qform, else voxel sizes (the standard's method 3, 2, 1)."""
    q = _qform(fields) if fields.qform_code > 0 else None
    meta = {"geometry_from": "sform" if fields.sform_code > 0 else "qform" if q is not None else "pixdim"}
    if fields.sform_code > 0:
        affine = np.eye(4)
        affine[:3] = np.array(fields.sform).reshape(3, 4)
        if q is not None and (apart := grid_distance(affine, q, fields.grid)) > 0.1:
            meta["geometry_note"] = f"sform and qform differ by {apart:.1f} mm; the sform is used"
    elif q is not None:
        affine = q
    else:
        affine = np.diag([*(abs(p) for p in fields.pixdim[1:4]), 1.0])
        meta["geometry_note"] = "no sform and no qform: the voxel sizes are known, the orientation is not"
    affine[:3] *= _UNITS_MM.get(fields.units, 1.0)
    check_affine(affine, path)
    return affine, meta


def _qform(fields: _Fields) -> NDArray[np.float64]:
    b, c, d, *origin = fields.quaternion
    sign = -1.0 if fields.pixdim[0] < 0 else 1.0
    affine = np.eye(4)
    affine[:3, :3] = from_quaternion(b, c, d) * (np.abs(fields.pixdim[1:4]) * [1.0, 1.0, sign])
    affine[:3, 3] = origin
    return affine


def _storable(data: NDArray[Any], path: Path) -> NDArray[Any]:
    if data.dtype == np.bool_:
        return data.view(np.uint8)
    if data.dtype == np.float16:
        return data.astype(np.float32)
    if data.dtype in (np.int64, np.uint64) and data.size:
        bounds = np.iinfo(np.int32)
        if bounds.min <= int(data.min()) and int(data.max()) <= bounds.max:
            return data.astype(np.int32)
    if data.dtype.newbyteorder("=") not in _CODES:
        raise BadInput(f"cannot store voxels of type {data.dtype} in NIfTI", path, "Convert them to float32 first")
    return data.astype(data.dtype.newbyteorder("<"), copy=False)


def _header_bytes(volume: Volume, dtype: np.dtype[Any]) -> bytes:
    """NIfTI-1 header of 352 bytes, little endian."""
    shape, channels = volume.shape, volume.channels
    if max(*shape, channels) > 32767:
        raise BadInput(f"the grid {format_shape(shape)} exceeds NIfTI-1's 32,767 per axis", None, "Write .mha or .nrrd")
    dim = (5, *shape, 1, channels, 1, 1) if channels > 1 else (3, *shape, 1, 1, 1, 1)
    form = to_quaternion(volume.affine)
    quaternion, sign = form if form is not None else ((0.0, 0.0, 0.0), 1.0)
    b = bytearray(352)
    struct.pack_into("<i", b, 0, 348)
    struct.pack_into("<8h", b, 40, *dim)
    struct.pack_into("<h", b, 68, _VECTOR if channels > 1 else 0)
    struct.pack_into("<hh", b, 70, _CODES[dtype.newbyteorder("=")], 8 * dtype.itemsize)
    struct.pack_into("<8f", b, 76, sign, *volume.spacing, 1.0, 1.0, 1.0, 1.0)
    struct.pack_into("<3f", b, 108, 352.0, 1.0, 0.0)
    b[123] = 2
    struct.pack_into("<7s", b, 148, b"Voxloom")
    struct.pack_into("<hh", b, 252, int(form is not None), 1)
    struct.pack_into("<6f", b, 256, *quaternion, *volume.affine[:3, 3])
    struct.pack_into("<12f", b, 280, *volume.affine[:3].ravel())
    struct.pack_into("<4s", b, 344, b"n+1\0")
    return bytes(b)
