"""Decoded and scaled voxels of image planes.

Knows pydicom's decoders (GDCM or pylibjpeg for JPEG, JPEG-LS, JPEG 2000 and RLE) and the slope and intercept of each
plane. Does not know geometry.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import rescale
from voxloom.formats.dicom.files import read_dataset
from voxloom.formats.dicom.frames import Frame

_FAULTS = (
    struct.error,
    RuntimeError,
    ValueError,
    AttributeError,
    KeyError,
    TypeError,
    NotImplementedError,
    OSError,
    EOFError,
)


def load_voxels(frames: Sequence[Frame]) -> NDArray[Any]:
    """Voxels (C, I, J, K) of the planes in their order, with slope and intercept applied per plane.

    The type is the stored one, int16 or int32 where that is exact, float32 where scales are fractions or differ between
    planes. Raises BadInput for an object without pixel data, damaged pixels and compressions that nobody decodes.
    """
    scales = {(f.slope, f.intercept) for f in frames}
    by_plane = len(scales) > 1
    planes: NDArray[Any] | None = None
    for place, array in _decode(frames):
        if by_plane:
            array = array * np.float32(frames[place].slope) + np.float32(frames[place].intercept)
        if planes is None:
            planes = np.empty((len(frames), *array.shape), array.dtype.newbyteorder("="))
        elif not np.can_cast(array.dtype, planes.dtype):
            planes = planes.astype(np.promote_types(planes.dtype, array.dtype))
        planes[place] = array
    if planes is None:
        raise ValueError("no planes")
    data = planes.transpose(3, 2, 1, 0) if planes.ndim == 4 else planes.transpose(2, 1, 0)[None]
    return data if by_plane else rescale(data, *scales.pop())


def _decode(frames: Sequence[Frame]) -> Iterator[tuple[int, NDArray[Any]]]:
    """(place in ``frames``, pixels) file by file, every file opened once."""
    by_file: dict[Path, list[int]] = {}
    for place, frame in enumerate(frames):
        by_file.setdefault(frame.path, []).append(place)
    for path, places in by_file.items():
        yield from zip(places, _pixels(path, [frames[p].index for p in places]), strict=True)


def _pixels(path: Path, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    from pydicom.pixels import iter_pixels

    dataset = read_dataset(path)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadInput("holds no pixel data", path, "It was probably copied by half; copy it again")
    if "TransferSyntaxUID" not in dataset.file_meta:
        from pydicom.uid import ImplicitVRLittleEndian

        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from iter_pixels(dataset, indices=list(indices))
    except _FAULTS as error:
        syntax = dataset.file_meta.TransferSyntaxUID.name
        reason = " ".join(str(error).split())
        raise BadInput(f"the pixels ({syntax}) cannot be decoded ({reason})", path, "Copy the file again") from None
