"""Decoded and scaled voxels of image planes.

Knows pydicom's decoders (GDCM or pylibjpeg for JPEG, JPEG-LS, JPEG 2000 and RLE) and the slope and intercept of each
plane. Does not know geometry.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.checks import DEFLATE_LIMIT, check_bomb, check_room, rescale
from voxloom.formats.dicom.files import read_dataset
from voxloom.formats.dicom.frames import Frame


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
    _check_promise(dataset, len(indices), path)
    decoded = iter_pixels(dataset, indices=list(indices))
    while (plane := _next(decoded, dataset, path)) is not None:
        yield plane


def _next(decoded: Iterator[NDArray[Any]], dataset: Any, path: Path) -> NDArray[Any] | None:
    """The next plane, None after the last one. Raises BadInput for whatever a decoder raises on damaged bytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return next(decoded, None)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders in Rust raise a PanicException, which is no Exception
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise BadInput(f"the pixels ({syntax}) cannot be decoded ({error})", path, "Copy the file again") from None


def _check_promise(dataset: Any, planes: int, path: Path) -> None:
    """Refuse, before memory is taken, planes that are far larger than the file can hold (BadInput)."""
    try:
        counts = [int(dataset.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    except (TypeError, ValueError):
        raise BadInput("rows, columns, samples or bits are no numbers", path, "The header is damaged") from None
    needed = planes * math.prod(counts) // 8
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise BadInput(f"the transfer syntax {syntax} is unknown", path, "Copy the file again")
    if syntax.is_encapsulated:
        check_bomb(needed, path.stat().st_size, path)
    else:
        check_room(needed, path.stat().st_size * DEFLATE_LIMIT, path)
