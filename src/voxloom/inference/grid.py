"""Where overlapping windows lie in a volume, how they are weighted, and in which order they are visited.

The windows form a grid and the Gaussian is separable, so the weights are normalized per axis beforehand: at every voxel
they sum to 1 and no map of weights is kept. Does not know what windows show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Triple = tuple[int, int, int]


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """Evenly spaced starts of windows of ``patch`` voxels, overlapping by at least ``overlap``, that cover ``size``."""
    step = max(1.0, patch * (1 - overlap))
    count = int(np.ceil((size - patch) / step - 1e-9)) + 1
    return [round(at) for at in np.linspace(0, size - patch, count)]


def evenly(count: int, most: int) -> list[int]:
    """At most ``most`` of the numbers 0 to ``count - 1``, from all over them: the middle of as many equal parts."""
    taken = min(count, most)
    return [(2 * n + 1) * count // (2 * taken) for n in range(taken)]


def window_weights(size: int, patch: int, starts: Sequence[int]) -> NDArray[np.float32]:
    """Gaussians (windows, patch) of SD patch / 8 along one axis, normalized to sum to 1 at each voxel."""
    distance = (np.arange(patch) - (patch - 1) / 2) / (patch / 8)
    bell = np.maximum(np.exp(-(distance**2) / 2), 1e-4)
    total = np.zeros(size)
    for start in starts:
        total[start : start + patch] += bell
    return np.stack([bell / total[start : start + patch] for start in starts]).astype(np.float32)


@dataclass(frozen=True)
class WindowGrid:
    """All windows of a volume of ``size``, ordered along ``axis``."""

    size: Triple
    patch: Triple
    starts: tuple[list[int], list[int], list[int]]
    weights: tuple[Tensor, Tensor, Tensor]
    axis: int

    @classmethod
    def plan(cls, size: Triple, patch: Triple, overlap: float, device: torch.device) -> WindowGrid:
        """Windows that overlap by ``overlap``; they advance along the axis whose active band is smallest."""
        starts = [window_starts(size[a], patch[a], overlap) for a in range(3)]
        weights = [torch.from_numpy(window_weights(size[a], patch[a], starts[a])).to(device) for a in range(3)]
        axis = min((2, 1, 0), key=lambda a: patch[a] / size[a])
        return cls(size, patch, (starts[0], starts[1], starts[2]), (weights[0], weights[1], weights[2]), axis)

    def indices(self) -> list[Triple]:
        """Window numbers per axis, in order of visit."""
        first, second, third = (range(len(self.starts[a])) for a in self._order())
        back = np.argsort(self._order())
        return [(n[back[0]], n[back[1]], n[back[2]]) for n in product(first, second, third)]

    def _order(self) -> list[int]:
        return [self.axis, *(a for a in range(3) if a != self.axis)]

    def where(self, index: Triple) -> tuple[slice, slice, slice]:
        """The voxels of a window."""
        i, j, k = (slice(self.starts[a][n], self.starts[a][n] + self.patch[a]) for a, n in enumerate(index))
        return (i, j, k)

    def axis_weights(self, index: Triple) -> tuple[Tensor, Tensor, Tensor]:
        """The window's weights along i, j and k; their product weighs a voxel."""
        i, j, k = (self.weights[a][n] for a, n in enumerate(index))
        return (i, j, k)
