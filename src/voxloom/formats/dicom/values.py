"""From the stored numbers of image planes to what they mean.

Knows high bits (old files store above the lowest bits), padding, MONOCHROME1 (bright is small) and slope and intercept
per plane (DICOM PS3.3 C.7.6.3, C.7.5.1.1.2, C.11.1). Does not decode.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.formats.checks import rescale
from voxloom.formats.dicom.frame import Frame


def real_values(planes: NDArray[Any], frames: Sequence[Frame]) -> tuple[NDArray[Any], list[str]]:
    """Values of grey ``planes`` (K, J, I) in the order of ``frames``, and notes on what was changed for people.

    Padding that would outshine or outweigh the image becomes the darkest value; MONOCHROME1 is turned so that more is
    brighter, unless its values are measurements; slope and intercept are applied per plane.
    """
    notes: list[str] = []
    planes = _lowest_bits(planes, frames)
    inverted = np.array([f.photometric == "MONOCHROME1" for f in frames])
    turned = inverted & np.array([not f.measured for f in frames])
    planes = _without_padding(planes, frames, turned, notes)
    if turned.any():
        planes = planes.copy() if not planes.flags.writeable else planes
        planes[turned] = _complement(planes[turned])
        some = "" if turned.all() else f"{int(turned.sum())} of {len(turned)} slices are "
        notes.append(f"{some}MONOCHROME1 (white is the smallest number): turned so that more is brighter")
    if (inverted & ~turned).any():
        notes.append("MONOCHROME1 is only a way to show it: the measured values are read as they are")
    return _scaled(planes, frames), notes


def _lowest_bits(planes: NDArray[Any], frames: Sequence[Frame]) -> NDArray[Any]:
    """Numbers that stand above the lowest bits (HighBit) are moved down; a header that only says so is not believed."""
    shift = max(f.high_bit + 1 - f.bits_stored for f in frames)
    if shift <= 0 or planes.dtype.kind not in "iu":
        return planes
    if not (planes & ((1 << shift) - 1)).any():
        return planes >> shift
    unused = planes.dtype.itemsize * 8 - frames[0].bits_stored
    return (planes << unused) >> unused


def _complement(stored: NDArray[Any]) -> NDArray[Any]:
    """Numbers counted from the other end: within the fewest bits that hold all of them, signed ones around -1/2."""
    if stored.dtype.kind == "f":
        return stored.max() + stored.min() - stored
    if stored.dtype.kind == "i":
        return ~stored
    top = (1 << int(stored.max()).bit_length()) - 1
    return stored.dtype.type(top) - stored


def _without_padding(
    planes: NDArray[Any], frames: Sequence[Frame], turned: NDArray[np.bool_], notes: list[str]
) -> NDArray[Any]:
    """Padding brighter than the image, or further below it than the image is wide, as the darkest value of the image."""
    ranges = sorted({f.padding for f in frames if f.padding is not None})
    if not ranges or planes.dtype.kind not in "iu":
        return planes
    padded = np.zeros(planes.shape, bool)
    for k, frame in enumerate(frames):
        if frame.padding is not None:
            padded[k] = (planes[k] >= frame.padding[0]) & (planes[k] <= frame.padding[1])
    if not padded.any() or padded.all():
        return planes
    image, low, high = planes[~padded], int(planes[padded].min()), int(planes[padded].max())
    least, most = int(image.min()), int(image.max())
    dark, bright = (most, low < least) if turned.all() else (least, high > most)
    if not bright and max(least - low, high - most) <= max(most - least, 1):
        return planes
    share = 100 * float(padded.mean())
    notes.append(
        f"{share:.1f} % of the voxels are padding (PixelPaddingValue {ranges[0][0]}): read as the darkest value"
    )
    return np.where(padded, planes.dtype.type(dark), planes)


def _scaled(planes: NDArray[Any], frames: Sequence[Frame]) -> NDArray[Any]:
    scales = {(f.slope, f.intercept) for f in frames}
    if len(scales) == 1:
        return rescale(planes, *scales.pop())
    real = np.float64 if planes.dtype.itemsize > 4 or planes.dtype in (np.uint32, np.int32) else np.float32
    slopes, intercepts = (
        np.array([getattr(f, n) for f in frames], real)[:, None, None] for n in ("slope", "intercept")
    )
    scaled = planes * slopes
    scaled += intercepts
    return scaled
