"""FreeSurfer volumes (.mgz, .mgh), read by nibabel. Knows that RAS millimetres are in the header; several frames are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.checks import check_bomb, check_file, check_finite, check_room, check_shape, format_shape
from voxloom.formats.gunzip import is_gzip
from voxloom.formats.header import Header
from voxloom.volume import Volume, check_affine

_HEADER_BYTES = 284


def read(path: Path) -> Volume:
    """Read one volume, (1, I, J, K), in its stored type. Raises BadInput for frames, damaged files, NaN and infinite values."""
    image = _open(path)
    try:
        data = np.asanyarray(image.dataobj).reshape(_grid(image))
    except Exception as error:  # damaged bytes let the library raise nearly anything
        raise BadInput(f"the voxels cannot be read ({_line(error)})", path, "Copy the file again") from None
    data = data.astype(data.dtype.newbyteorder("="), copy=False)[None]
    check_finite(data, path)
    return Volume(data, np.array(image.affine, dtype=np.float64), {"source": str(path), **_meta(image)})


def read_header(path: Path) -> Header:
    """Grid and type without the voxels. Raises BadInput as ``read``, but for the voxels."""
    image = _open(path)
    dtype = np.dtype(image.get_data_dtype()).newbyteorder("=")
    return Header(_grid(image), 1, np.array(image.affine, dtype=np.float64), str(dtype), str(path), _meta(image))


def _open(path: Path) -> Any:
    """The checked image, its voxels still in the file."""
    import nibabel

    size = check_file(path)
    try:
        image = nibabel.MGHImage.from_filename(path)
        shape, dtype = tuple(int(n) for n in image.shape), np.dtype(image.get_data_dtype())
        affine = np.array(image.affine, dtype=np.float64)
    except Exception as error:  # damaged bytes let the library raise nearly anything
        raise BadInput(
            f"the FreeSurfer header is damaged or cut ({_line(error)})", path, "Copy the file again"
        ) from None
    check_shape(shape, path)
    if any(n > 1 for n in shape[3:]):
        what = f"is 4D ({format_shape(shape)}: {shape[3]} frames), 3D is needed"
        raise BadInput(what, path, "Split it into one file per frame")
    needed = int(np.prod(shape, dtype=np.float64)) * dtype.itemsize
    packed = is_gzip(path)
    check_room(needed, size if packed else size - _HEADER_BYTES, path, compressed=packed)
    check_bomb(needed, size, path)
    check_affine(affine, path)
    return image


def _grid(image: Any) -> tuple[int, int, int]:
    i, j, k = (*(int(n) for n in image.shape[:3]), 1, 1)[:3]
    return (i, j, k)


def _meta(image: Any) -> dict[str, str]:
    """FreeSurfer assumes coronal slices of 1 mm where the header has no geometry (``goodRASFlag`` 0)."""
    if int(image.header["goodRASFlag"]) == 1:
        return {}
    return {"geometry_note": "the header has no geometry: FreeSurfer's coronal orientation is assumed"}


def _line(error: Exception) -> str:
    """The first line of an error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
