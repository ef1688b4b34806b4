"""JPEG Extended with 12 bits, which pydicom's own decoders refuse: decoded by libjpeg-turbo (imagecodecs).

GDCM decodes it too, to the same numbers, but ends the process on some damaged files. Knows one frame at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_END = b"\xff\xd9"
EXTENDED = "1.2.840.10008.1.2.4.51"


def is_deep(dataset: Any) -> bool:
    """Whether the pixels are JPEG Extended of more than 8 bits."""
    return dataset.file_meta.TransferSyntaxUID == EXTENDED and int(dataset.get("BitsStored") or 8) > 8


def iter_deep(dataset: Any, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Frames (rows, columns) in stored numbers. Raises ValueError for damaged or colored ones."""
    from imagecodecs import jpeg8_decode
    from pydicom.encaps import get_frame

    total = int(dataset.get("NumberOfFrames") or 1)
    shape = (int(dataset.Rows), int(dataset.Columns))
    for index in indices:
        code = get_frame(dataset.PixelData, index, number_of_frames=total)
        if _END not in code[-16:]:  # the decoder would fill up what is missing
            raise ValueError("the JPEG is cut")
        plane = np.empty(shape, np.uint16)  # of the header's size: a damaged code may claim gigabytes
        jpeg8_decode(code, out=plane)
        yield _signed(plane, int(dataset.BitsStored)) if dataset.get("PixelRepresentation") == 1 else plane


def _signed(plane: NDArray[Any], bits: int) -> NDArray[Any]:
    """The lowest ``bits`` as numbers with a sign."""
    return (plane.astype(np.int16) << (16 - bits)) >> (16 - bits)
