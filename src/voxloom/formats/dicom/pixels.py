"""Decoded and scaled voxels of image planes.

Knows pydicom's decoders (GDCM or pylibjpeg for JPEG, JPEG-LS, JPEG 2000 and RLE), color and pictures of many planes. What
the numbers mean is left to ``values``. Does not know geometry.
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
from voxloom.formats.checks import DEFLATE_LIMIT, check_bomb, check_room
from voxloom.formats.dicom.files import read_dataset, syntax_of
from voxloom.formats.dicom.frame import Frame
from voxloom.formats.dicom.jpeg import is_deep, iter_deep
from voxloom.formats.dicom.plain import read_plain_pixels
from voxloom.formats.dicom.values import real_values

_GREY = ("MONOCHROME1", "MONOCHROME2")


def load_voxels(frames: Sequence[Frame]) -> tuple[NDArray[Any], list[str]]:
    """Voxels (C, I, J, K) of the planes in their order, with slope and intercept applied per plane, and notes for people.

    The type is the stored one, int16 or int32 where that is exact, float32 where scales are fractions or differ between
    planes. Color is RGB; numbers of a palette become its colors. Raises BadInput for an object without pixel data,
    damaged pixels and compressions that nobody decodes.
    """
    planes: NDArray[Any] | None = None
    for place, array in _decode(frames):
        if planes is None:
            planes = np.empty((len(frames), *array.shape), array.dtype.newbyteorder("="))
        elif planes.shape[1:] != array.shape:
            raise BadInput("mixes grey and color, or pictures of other sizes", frames[place].path, "Give one series")
        elif not np.can_cast(array.dtype, planes.dtype):
            planes = planes.astype(np.promote_types(planes.dtype, array.dtype))
        planes[place] = array
    if planes is None:
        raise ValueError("no planes")
    if planes.ndim == 4:
        return planes.transpose(3, 2, 1, 0), []
    data, notes = real_values(planes, frames)
    return data.transpose(2, 1, 0)[None], notes


def _decode(frames: Sequence[Frame]) -> Iterator[tuple[int, NDArray[Any]]]:
    """(place in ``frames``, pixels) file by file, every file opened once and every picture decoded once."""
    by_file: dict[Path, dict[int, list[int]]] = {}
    for place, frame in enumerate(frames):
        by_file.setdefault(frame.path, {}).setdefault(frame.index, []).append(place)
    for path, pictures in by_file.items():
        first = frames[next(iter(pictures.values()))[0]]
        for places, picture in zip(pictures.values(), _pixels(path, list(pictures), first), strict=True):
            for place in places:
                yield place, _cut(picture, frames[place])


def _cut(picture: NDArray[Any], frame: Frame) -> NDArray[Any]:
    if frame.tile is None:
        return picture
    i, j = frame.tile.column, frame.tile.row
    return picture[j : j + frame.shape[1], i : i + frame.shape[0]]


def _pixels(path: Path, indices: Sequence[int], first: Frame) -> Iterator[NDArray[Any]]:
    from pydicom.pixels import apply_color_lut, iter_pixels

    if (plain := _plain_picture(path, indices, first)) is not None:
        yield plain
        return
    dataset = read_dataset(path)
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise BadInput("holds no pixel data", path, "It was probably copied by half; copy it again")
    dataset.file_meta.TransferSyntaxUID = syntax_of(dataset)
    _check_promise(dataset, len(indices), path)
    if is_deep(dataset):
        decoded = iter_deep(dataset, indices)
    else:
        decoded = iter_pixels(dataset, indices=list(indices), correct_unused_bits=first.high_bit < first.bits_stored)
    if first.photometric == "PALETTE COLOR":
        decoded = (_eight_bits(apply_color_lut(plane, dataset)) for plane in decoded)
    while (plane := _next(decoded, dataset, path)) is not None:
        yield plane


def _plain_picture(path: Path, indices: Sequence[int], first: Frame) -> NDArray[Any] | None:
    """The picture of a file that holds one grey one as it is, None for others."""
    if list(indices) != [0] or first.photometric not in _GREY:
        return None
    return read_plain_pixels(path, lowest_bits=first.high_bit < first.bits_stored)


def _eight_bits(colors: NDArray[Any]) -> NDArray[Any]:
    """Colors of a 16-bit palette as the 8 bits of all other color images."""
    return (colors >> 8).astype(np.uint8) if colors.dtype == np.uint16 else colors


def _next(decoded: Iterator[NDArray[Any]], dataset: Any, path: Path) -> NDArray[Any] | None:
    """The next plane, None after the last one. Raises BadInput for whatever a decoder raises on damaged bytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return next(decoded, None)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # decoders in Rust raise a PanicException, which is not an Exception
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise BadInput(f"the pixels ({syntax}) cannot be decoded ({error})", path, "Copy the file again") from None


def _check_promise(dataset: Any, planes: int, path: Path) -> None:
    """Refuse, before memory is taken, planes that are far larger than the file can hold (BadInput)."""
    try:
        counts = [int(dataset.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")]
    except (TypeError, ValueError):
        raise BadInput("rows, columns, samples or bits are not numbers", path, "The header is damaged") from None
    needed = planes * math.prod(counts) // 8
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_transfer_syntax:
        raise BadInput(f"the transfer syntax {syntax} is unknown", path, "Copy the file again")
    if syntax.is_encapsulated:
        check_bomb(needed, path.stat().st_size, path)
    else:
        check_room(needed, path.stat().st_size * DEFLATE_LIMIT, path)
