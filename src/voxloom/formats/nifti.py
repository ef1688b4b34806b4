"""NIfTI-1 and NIfTI-2 in one file (.nii, .nii.gz) or in two (.hdr and .img), read and written without a detour.

Knows the header of the standard (https://nifti.nimh.nih.gov/nifti-1): sform, qform, units, intensity scale, both byte
orders. A vector image (dimension 5) has channels; dimension 4 is time and is refused by ``read``. Pairs are read, not written.
Does not know ANALYZE 7.5 (it does not tell left from right), extensions or complex voxels.
"""

from __future__ import annotations

import struct
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats.checks import check_bomb, check_file, check_finite, check_room, format_shape, rescale
from voxloom.formats.gunzip import GZIP, ByteStream, empty_like_file, gzip_pieces, is_gzip
from voxloom.formats.header import Header
from voxloom.formats.nifti_header import COLORS, TYPES, Fields, geometry, parse
from voxloom.formats.nifti_pair import pair_of
from voxloom.formats.planes import planes_of
from voxloom.formats.quaternion import to_quaternion
from voxloom.volume import Volume

_CODES = {np.dtype(name): code for code, name in TYPES.items()}
_VECTOR = 1007


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
    fields, _ = _open(path)
    affine, meta = geometry(fields, path)
    channels = fields.frames * fields.vectors
    return Header(fields.grid, channels, affine, str(fields.dtype.newbyteorder("=")), str(path), meta)


def write(volume: Volume, path: Path) -> None:
    """Write NIfTI-1 with sform, and qform where the axes are orthogonal; channels become a vector image.

    bool becomes uint8, float16 float32, and 64-bit integers shrink to int32 where they fit.
    """
    data = _storable(volume.data, path)
    planes = (planes_of(channel).data.cast("B") for channel in data)
    buffers = chain([memoryview(_header_bytes(volume, data.dtype))], planes)
    with atomic_path(path) as temporary, temporary.open("wb") as f:
        f.writelines(gzip_pieces(buffers) if path.name.lower().endswith(".gz") else buffers)


def _read(path: Path, *, frames_are_channels: bool) -> Volume:
    fields, stream = _open(path)
    if fields.frames > 1 and not frames_are_channels:
        raise BadInput(
            f"is 4D ({format_shape(fields.dim[1 : fields.dim[0] + 1])}: {fields.frames} time frames), 3D is needed",
            path,
            "Split it into one file per frame",
        )
    affine, meta = geometry(fields, path)
    data = _voxels(stream, fields, path)
    check_finite(data, path)
    return Volume(data, affine, {"source": str(path), **meta})


def _open(path: Path) -> tuple[Fields, ByteStream]:
    """The checked header, and the bytes from the first voxel on."""
    head, voxels = pair_of(path) or (path, path)
    check_file(head)
    stream = _stream(head)
    fields = parse(stream, head)
    if head != voxels:
        if fields.magic not in (b"ni1", b"ni2"):
            fix = "Convert it to .nii.gz with the program that wrote it"
            raise BadInput("is an ANALYZE 7.5 pair, which does not tell left from right", head, fix)
        size, stream = check_file(voxels), _stream(voxels)
        stream.skip(fields.vox_offset)
        _check_size(fields, size - fields.vox_offset, voxels, is_gzip(voxels))
        return fields, stream
    compressed = is_gzip(path)
    size = check_file(path)
    _check_size(fields, size if compressed else size - max(fields.vox_offset, 348), path, compressed)
    stream.skip(fields.vox_offset - fields.length)
    return fields, stream


def _stream(path: Path) -> ByteStream:
    return ByteStream(path, compressed=GZIP if is_gzip(path) else None)


def _check_size(fields: Fields, size: int, path: Path, compressed: bool) -> None:
    """Refuse a header that promises more voxels than ``size`` bytes hold."""
    count = 1
    for n in (*fields.grid, fields.frames, fields.vectors):
        count *= int(n)
    check_room(count * fields.dtype.itemsize, size, path, compressed=compressed)
    if compressed and np.isfinite(fields.slope) and fields.slope != int(fields.slope):
        check_bomb(count * max(4, fields.dtype.itemsize), size, path)


def _voxels(stream: ByteStream, fields: Fields, path: Path) -> NDArray[Any]:
    i, j, k = fields.grid
    colors = fields.datatype in COLORS
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
