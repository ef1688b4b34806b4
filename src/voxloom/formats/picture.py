"""2D pictures: PNG, TIFF and JPEG of one page, grey or color.

Knows that a picture has no geometry: column is i, row is j, K is 1. Its unit is the pixel (``Volume.unit``), its axes grow as those of
LPS, which says nothing of the patient. Color with three equal channels is grey. Transparency is dropped. Does not know stacks of pages
or resolution tags.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats import tiff
from voxloom.formats.checks import check_bomb, check_file, check_finite, check_shape, format_shape
from voxloom.formats.header import Header
from voxloom.notes import tell
from voxloom.volume import Volume

#: Affine of every picture.
PICTURE_AFFINE = np.diag([-1.0, -1.0, 1.0, 1.0])
_EXIF_ORIENTATION = 0x0112
_GREY = {"1": "uint8", "L": "uint8", "LA": "uint8", "F": "float32", "I": "int32"}


def read(path: Path) -> Volume:
    """Read a picture: (1, I, J, 1) grey or (3, I, J, 1) RGB; I columns, J rows.

    Raises BadInput for several pages, 16-bit color (the decoder would round it), damaged files, NaN or infinite values.
    """
    return _volume(*_grey(*_pixels(path, palette=False)), path)


def read_colors(path: Path) -> Volume:
    """Read a picture like ``read``, but color keeps its three channels even where they are equal."""
    return _volume(*_pixels(path, palette=False), path)


def read_indices(path: Path) -> Volume:
    """Read a label picture: like ``read``, but a palette picture gives its indices instead of its colors."""
    return _volume(*_grey(*_pixels(path, palette=True)), path)


def read_header(path: Path) -> Header:
    """Size, channels and type of a picture; pixels are decoded only where color may be grey in three equal channels.

    Raises BadInput for damaged files.
    """
    opened = _open(path)
    if isinstance(opened, np.ndarray):
        return _header((opened.shape[1], opened.shape[0]), 1, str(opened.dtype), path)
    with opened as image:
        mode = _target(image)
        kind = tiff.stored_type(image) if image.format == "TIFF" and mode != "RGB" else None
        size, dtype = image.size, _dtype(mode) if kind is None else str(kind)
    channels = read(path).channels if mode == "RGB" else 1
    return _header(size, channels, dtype, path)


def _header(size: tuple[int, int], channels: int, dtype: str, path: Path) -> Header:
    return Header((size[0], size[1], 1), channels, PICTURE_AFFINE, dtype, str(path), {"unit": "pixel"})


def write(volume: Volume, path: Path) -> None:
    """Write one slice with 1 or 3 channels: 8 or 16-bit grey, 8-bit RGB; TIFF also int32 and float32 grey.

    Raises BadInput for more than one slice, other channel counts, and values that the format cannot hold exactly.
    """
    from PIL import Image

    if volume.shape[2] != 1 or volume.channels not in (1, 3):
        found = f"{volume.channels} channels, {format_shape(volume.shape)}"
        raise BadInput(f"a picture holds one slice with 1 or 3 channels, not {found}", path, "Write .nii.gz instead")
    pixels = _storable(volume.data[..., 0], path)
    array = pixels.transpose(2, 1, 0) if volume.channels == 3 else pixels[0].T
    image = Image.fromarray(np.ascontiguousarray(array))
    content = io.BytesIO()
    image.save(content, format="PNG" if path.suffix.lower() == ".png" else "TIFF")
    with atomic_path(path) as temporary:  # Pillow's own writing of TIFF says nothing when the disk is full
        temporary.write_bytes(content.getbuffer())


def _pixels(path: Path, *, palette: bool) -> tuple[NDArray[Any], str | None]:
    """The pixels (rows, columns) or (rows, columns, 3), and a note on their grey scale."""
    opened = _open(path)
    if isinstance(opened, np.ndarray):
        return opened, None
    with opened as image:
        try:
            keep = palette and image.mode == "P"
            _tell_transparency(image, path)
            array = np.array(image if keep else image.convert(_target(image)))
        except Exception as error:  # Pillow's decoders raise nearly anything on damaged bytes
            reason = f"the picture is damaged or cut ({error})"
            raise BadInput(reason, path, "Copy the file again") from None
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        if image.format == "TIFF" and array.ndim == 2 and image.mode != "P":
            array = tiff.as_stored(array, image)
        inverted = array.ndim == 2 and tiff.white_is_zero(image)
    return array.astype(np.uint8) if array.dtype == np.bool_ else array, tiff.WHITE_IS_ZERO if inverted else None


def _grey(array: NDArray[Any], note: str | None) -> tuple[NDArray[Any], str | None]:
    """One channel where three are equal."""
    return (array[..., 0] if array.ndim == 3 and (array == array[..., :1]).all() else array), note


def _volume(array: NDArray[Any], note: str | None, path: Path) -> Volume:
    data = array.transpose(2, 1, 0)[..., None] if array.ndim == 3 else array.T[None, ..., None]
    check_finite(data, path)
    told = {} if note is None else {"geometry_note": note}
    return Volume(data, PICTURE_AFFINE, {"source": str(path), "unit": "pixel", **told})


def _open(path: Path) -> Any:
    """The picture, its pixels not decoded yet; or the pixels, where Pillow does not know their type."""
    from PIL import Image

    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(path)
            if image.format == "TIFF":
                tiff.picture_page(image, path)
            elif (pages := getattr(image, "n_frames", 1)) > 1:
                raise BadInput(f"has {pages} pages, one is read", path, "Save it as .nii.gz or one file per page")
    except BadInput:
        raise
    except Exception as error:  # Pillow's parsers raise nearly anything on damaged bytes
        if path.suffix.lower() in (".tif", ".tiff") and (pixels := tiff.wide_pixels(path)) is not None:
            return pixels
        reason = f"cannot be read as a picture ({type(error).__name__})"
        raise BadInput(reason, path, "Check the file, or copy it again") from None
    check_shape(image.size, path)
    check_bomb(image.width * image.height * 4, path.stat().st_size, path)
    if image.format == "JPEG":
        _check_jpeg(image, path)
    if image.mode in ("RGB", "RGBA") and ";16" in str(image.tile[:1]):
        raise BadInput("is a color picture of 16 bits per channel", path, "Save it with 8 bits per channel")
    return image


def _check_jpeg(image: Any, path: Path) -> None:
    """Refuse a JPEG whose decoded pixels would not be what viewers show: printing colors, or a turn noted in EXIF (BadInput)."""
    if image.mode not in ("L", "RGB"):
        raise BadInput(f"is a JPEG with {image.mode} colors", path, "Save it as grey or RGB")
    try:
        turn = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # damaged EXIF says nothing about a turn
        turn = 1
    if turn not in (0, 1):
        raise BadInput(f"is stored turned (EXIF orientation {turn})", path, "Save it upright, e.g. as .png")


def _tell_transparency(image: Any, path: Path) -> None:
    """Tell of a picture whose transparency differs from pixel to pixel, since it is not read."""
    if image.mode in ("RGBA", "LA"):
        low, high = image.getchannel("A").getextrema()
        if low != high:
            tell(path, "its transparency, which differs from pixel to pixel, is not read", warning=True)


def _target(image: Any) -> str:
    """The mode to decode to: grey kept as it is, palettes and colors to RGB."""
    mode = str(image.mode)
    if mode.startswith("I;16"):
        return mode
    if mode in ("1", "L", "LA", "I", "F"):
        return "L" if mode == "LA" else mode
    if mode == "P" and _grey_palette(image):
        return "L"
    return "RGB"


def _grey_palette(image: Any) -> bool:
    colors = np.array(image.getpalette("RGB") or []).reshape(-1, 3)
    return bool((colors == colors[:, :1]).all())


def _dtype(mode: str) -> str:
    return "uint16" if mode.startswith("I;16") else _GREY.get(mode, "uint8")


def _storable(data: NDArray[Any], path: Path) -> NDArray[Any]:
    """The pixels in a type that PNG or TIFF holds exactly."""
    if data.dtype.kind == "b":
        return data.astype(np.uint8)
    is_tiff = path.suffix.lower() != ".png"
    if data.dtype.kind == "f":
        if is_tiff and data.dtype.itemsize <= 4 and len(data) == 1:
            return data.astype(np.float32)
        raise BadInput(f"cannot hold values of type {data.dtype}", path, "Write .nii.gz, or round to uint8 first")
    kinds = ["uint8"] if len(data) == 3 else ["uint8", "uint16", "int32"] if is_tiff else ["uint8", "uint16"]
    if data.dtype.name in kinds:
        return data
    low, high = int(data.min()), int(data.max())
    for kind in kinds:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return data.astype(kind)
    raise BadInput(f"cannot hold values from {low} to {high}", path, "Write .nii.gz instead")
