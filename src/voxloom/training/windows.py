"""Windows of a prepared volume that may reach beyond its ends, where the image is 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]


class ImageSource(Protocol):
    """What is asked of a prepared case (``voxloom.prepare.PreparedCase`` has it)."""

    @property
    def shape(self) -> Triple: ...
    def image(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class InMemory:
    """A prepared image (C, I, J, K) in memory, as samplers and windows know it."""

    values: np.ndarray
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def shape(self) -> Triple:
        """Voxels."""
        i, j, k = self.values.shape[1:]
        return (i, j, k)

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """Float32 (C, I, J, K)."""
        return self.values if slices is None else self.values[(slice(None), *slices)]


def read_padded(source: ImageSource, start: Sequence[int], size: Triple) -> NDArray[np.float32]:
    """Image (C, *size) of a window that may reach outside the volume, where it is 0."""
    inside = [(min(max(s, 0), n), min(max(s + w, 0), n)) for s, w, n in zip(start, size, source.shape, strict=True)]
    image = source.image((slice(*inside[0]), slice(*inside[1]), slice(*inside[2])))
    before = [min(max(-s, 0), w) for s, w in zip(start, size, strict=True)]
    after = [w - b - (stop - first) for w, b, (first, stop) in zip(size, before, inside, strict=True)]
    return np.pad(image, [(0, 0), *zip(before, after, strict=True)])
