"""What a TIFF file says that Pillow does not: which page is the picture, how its numbers are stored, and which way its grey runs.

Knows the tags of TIFF 6.0. Values are read as stored: a photometric interpretation of "white is zero" is told, never undone, whatever
the number of bits, so that the object of a mask keeps its value.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION, _SAMPLE_FORMAT = 254, 258, 259, 262, 270, 339
_REDUCED = 1
_FORMATS = {1: "uint", 2: "int", 3: "float"}
#: What Pillow cannot open, tifffile reads.
_TIFFFILE_KINDS = ("uint64", "int64", "float16", "float64")
WHITE_IS_ZERO = "white is stored as 0 (TIFF WhiteIsZero): values are read as stored"


def picture_page(image: Any, path: Path) -> None:
    """Go to the only page that is not a thumbnail (BadInput where there are several)."""
    pages = []
    for page in range(getattr(image, "n_frames", 1)):
        image.seek(page)
        if not int(image.tag_v2.get(_SUBFILE, 0)) & _REDUCED:
            pages.append(page)
    if len(pages) > 1:
        raise BadInput(f"has {len(pages)} pages, one is read", path, "Save it as .nii.gz or one file per page")
    image.seek(pages[0] if pages else 0)
    described = str(image.tag_v2.get(_DESCRIPTION, ""))
    counts = [line[7:] for line in described.splitlines() if line.startswith("images=") and line[7:].isdecimal()]
    if described.startswith("ImageJ=") and counts and int(counts[0]) > 1:
        raise BadInput(f"is an ImageJ stack of {counts[0]} images", path, "Save it as .nii.gz or one file per image")


def stored_type(image: Any) -> np.dtype[Any] | None:
    """The type of a grey page's numbers as the file has it; None for color and for bits that Pillow unpacks."""
    bits, kinds = image.tag_v2.get(_BITS, (1,)), image.tag_v2.get(_SAMPLE_FORMAT, (1,))
    if len(bits) != 1 or bits[0] not in (8, 16, 32) or kinds[0] not in _FORMATS:
        return None
    return np.dtype(f"{_FORMATS[kinds[0]]}{bits[0]}")


def as_stored(pixels: NDArray[Any], image: Any) -> NDArray[Any]:
    """Decoded grey pixels with what Pillow does to them undone: wrapped signs, widened types, inverted greys."""
    kind = stored_type(image)
    if white_is_zero(image) and pixels.dtype.kind == "b":
        pixels = ~pixels
    elif white_is_zero(image) and pixels.dtype == np.uint8:
        pixels = 255 - pixels
    if kind is None or kind == pixels.dtype:
        return pixels
    same_size = kind.itemsize == pixels.dtype.itemsize and pixels.dtype.kind in "iu"
    return pixels.view(kind) if same_size else pixels.astype(kind)


def white_is_zero(image: Any) -> bool:
    """Whether a page shows 0 as white."""
    return image.format == "TIFF" and int(image.tag_v2.get(_PHOTOMETRIC, 1)) == 0


def wide_pixels(path: Path) -> NDArray[Any] | None:
    """The pixels (rows, columns) of a grey TIFF of 64-bit or half-precision numbers; None for any other file.

    Raises BadInput for several pages, and for compressions that only Pillow knows.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            every: list[Any] = list(file.pages)
            if str(every[0].dtype) not in _TIFFFILE_KINDS:
                return None
            pages = [page for page in every if not int(page.tags.valueof(_SUBFILE, 0)) & _REDUCED]
            if len(pages) != 1:
                raise BadInput(f"has {len(pages)} pages, one is read", path, "Save it as .nii.gz or one file per page")
            room = path.stat().st_size * (1 if pages[0].compression == 1 else 1032)
            if pages[0].nbytes > room:
                return None
            pixels = pages[0].asarray()
    except BadInput:
        raise
    except Exception:  # damaged bytes let the library raise nearly anything; the caller says what is wrong
        return None
    return np.ascontiguousarray(pixels) if pixels.ndim == 2 else None
