"""Windows of a prepared volume that may reach beyond its ends, where the image is 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]


class ImageSource(Protocol):
    """What is asked of a prepared case (``voxloom.prepare.PreparedCase`` has it)."""

    @property
    def shape(self) -> Triple: ...
    def image(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.float32]: ...


def read_padded(source: ImageSource, start: Sequence[int], size: Triple) -> NDArray[np.float32]:
    """Image (C, *size) of a window that may reach outside the volume, where it is 0."""
    inside = [(min(max(s, 0), n), min(max(s + w, 0), n)) for s, w, n in zip(start, size, source.shape, strict=True)]
    image = source.image((slice(*inside[0]), slice(*inside[1]), slice(*inside[2])))
    before = [min(max(-s, 0), w) for s, w in zip(start, size, strict=True)]
    after = [w - b - (stop - first) for w, b, (first, stop) in zip(size, before, inside, strict=True)]
    return np.pad(image, [(0, 0), *zip(before, after, strict=True)])
