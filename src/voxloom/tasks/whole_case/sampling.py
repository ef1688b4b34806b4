"""Which case is read at which step: every draw is a pure function of (seed, step). Knows prepared cases; no augmentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxloom.training.windows import ImageSource, Triple, read_padded


class GriddedSource(ImageSource, Protocol):
    """A prepared image that knows its voxel size."""

    @property
    def spacing(self) -> tuple[float, float, float]: ...


@dataclass(frozen=True)
class WholeCase:
    """A prepared image, its target vector and its scaled covariates."""

    source: GriddedSource
    target: NDArray[np.float32]
    numbers: NDArray[np.float32]

    @property
    def shape(self) -> Triple:
        """Voxels of the prepared image."""
        return self.source.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, order i j k."""
        return self.source.spacing


def middle_of(source: ImageSource, size: Triple) -> NDArray[np.float32]:
    """The middle (C, *size) of a volume; 0 beyond its ends."""
    start = [(n - s) // 2 for n, s in zip(source.shape, size, strict=True)]
    return read_padded(source, start, size)


@dataclass(frozen=True)
class CaseSampler:
    """Draws and reads batches of whole cases.

    Parameters
    ----------
    cases : the training cases.
    size : voxels that are read around the middle, order i j k.
    batch : cases per step.
    seed : of all draws.
    repeats : how often each case is drawn in a pass.
    """

    cases: Sequence[WholeCase]
    size: Triple
    batch: int
    seed: int
    repeats: tuple[int, ...]

    @cached_property
    def _order(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(len(self.cases)), self.repeats)

    @property
    def per_pass(self) -> int:
        """Cases of one pass, repeated ones counted."""
        return len(self._order)

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Images (B, C, *size), and targets with the covariates behind them (B, T + n)."""
        chosen = [self._case_at(step * self.batch + n) for n in range(self.batch)]
        images = np.stack([middle_of(case.source, self.size) for case in chosen])
        return images, np.stack([np.concatenate([case.target, case.numbers]) for case in chosen])

    def spacing(self, step: int) -> NDArray[np.float32]:
        """Mm (B, 3) along i, j, k of the cases of one step."""
        chosen = (self._case_at(step * self.batch + n) for n in range(self.batch))
        return np.array([case.spacing for case in chosen], dtype=np.float32)

    def _case_at(self, position: int) -> WholeCase:
        turn, place = divmod(position, len(self._order))
        random = np.random.default_rng((self.seed, 2, turn))
        return self.cases[int(random.permutation(self._order)[place])]
