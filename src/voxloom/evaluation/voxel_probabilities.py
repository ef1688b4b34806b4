"""Whether a voxel's probability means what it says: Brier score, calibration errors, reliability, AUROC, of every voxel of a case.

Brier (Monthly Weather Review 1950); expected calibration error of the most likely label (Guo et al., ICML 2017) and of every label
against the rest (class-wise: Kull et al., NeurIPS 2019). Probabilities are counted by their float16 value, so that a case is seen
once, a few planes at a time, and nothing of it is kept but two rows of counts per label. Knows arrays only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Float16 values from 0 to 1, in their order; and equal bins of 0 to 1 that calibration is told in.
_VALUES = 15361
BINS = 10


@dataclass(frozen=True)
class Bins:
    """Voxels of a case by their probability: of every bin the voxels, the sum of their probabilities, and those that were right."""

    voxels: tuple[int, ...]
    sums: tuple[float, ...]
    right: tuple[int, ...]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of probability and share that was right, weighted by the voxels; NaN of none."""
        total = sum(self.voxels)
        gaps = (abs(s - r) for s, r in zip(self.sums, self.right, strict=True))
        return sum(gaps) / total if total else math.nan

    def with_more(self, other: Bins) -> Bins:
        """The voxels of both."""
        columns = ((self.voxels, other.voxels), (self.sums, other.sums), (self.right, other.right))
        voxels, sums, right = (tuple(a + b for a, b in zip(*pair, strict=True)) for pair in columns)
        return Bins(voxels, sums, right)  # type: ignore[arg-type]


NO_VOXELS = Bins((0,) * BINS, (0.0,) * BINS, (0,) * BINS)


class VoxelCounts:
    """Voxels by the float16 value of their probability, and how many of them were right."""

    def __init__(self) -> None:
        self.voxels = np.zeros(_VALUES, np.int64)
        self.right = np.zeros(_VALUES, np.int64)

    def add(self, probability: NDArray[np.floating], right: NDArray[np.bool_]) -> None:
        """Count voxels: probabilities 0 to 1 and whether what they speak of was so, of one shape."""
        values = np.clip(probability, 0, 1).astype(np.float16).ravel() + np.float16(0)  # -0 is 0
        place = values.view(np.uint16)
        self.voxels += np.bincount(place, minlength=_VALUES)
        self.right += np.bincount(place[right.ravel()], minlength=_VALUES)

    @property
    def brier(self) -> float:
        """Mean squared distance of the probability from what was so (0 or 1): 0 is perfect, 1 the worst; NaN without voxels."""
        total = int(self.voxels.sum())
        p = _probabilities()
        return float((self.voxels * p**2 - 2 * self.right * p + self.right).sum() / total) if total else math.nan

    @property
    def auroc(self) -> float:
        """Chance that a voxel that was so has a larger probability than one that was not, ties counting half; NaN where one lacks."""
        wrong = self.voxels - self.right
        positive, negative = int(self.right.sum()), int(wrong.sum())
        if not positive or not negative:
            return math.nan
        below = np.cumsum(wrong) - wrong
        return float((self.right * (below + wrong / 2)).sum() / positive / negative)

    @property
    def bins(self) -> Bins:
        """The voxels in equal bins of their probability; a bin holds its upper edge."""
        p = _probabilities()
        place = np.clip(np.ceil(p * BINS - 1e-9).astype(int) - 1, 0, BINS - 1)
        voxels, right = (np.bincount(place, counts, BINS).astype(int) for counts in (self.voxels, self.right))
        sums = np.bincount(place, self.voxels * p, BINS)
        return Bins(tuple(voxels.tolist()), tuple(sums.tolist()), tuple(right.tolist()))


def _probabilities() -> NDArray[np.float64]:
    """The float16 values from 0 to 1."""
    return np.arange(_VALUES, dtype=np.uint16).view(np.float16).astype(np.float64)


class Calibration:
    """The counts of one case: every label against the rest, and the most likely label where labels exclude each other.

    Parameters
    ----------
    labels : names.
    exclusive : whether each voxel has one of the labels or none, so that one of them is most likely.
    """

    def __init__(self, labels: Iterable[str], exclusive: bool) -> None:
        self.of = {name: VoxelCounts() for name in labels}
        self.most_likely = VoxelCounts() if exclusive else None

    def add(
        self,
        maps: Iterable[NDArray[np.floating]],
        truths: Iterable[NDArray[np.bool_]],
        counted: NDArray[np.bool_] | None = None,
    ) -> None:
        """Count some voxels.

        Parameters
        ----------
        maps : probabilities of every label in its order, arrays of one shape; of exclusive labels that of the background before them.
        truths : where each label is, in the same order and without the background.
        counted : the voxels that count; None counts all.
        """
        rest = iter(maps)
        best = None if self.most_likely is None else _chosen(next(rest), counted).astype(np.float32)
        winner, actual = (np.zeros(0 if best is None else len(best), np.uint16) for _ in range(2))
        for n, (counts, map_, truth) in enumerate(zip(self.of.values(), rest, truths, strict=True), start=1):
            p, true = _chosen(map_, counted), _chosen(truth, counted)
            counts.add(p, true)
            if best is not None:
                actual[true] = n
                winner[p > best] = n
                np.maximum(best, p, out=best)
        if self.most_likely is not None and best is not None:
            self.most_likely.add(best, winner == actual)


def _chosen(values: NDArray[Any], counted: NDArray[np.bool_] | None) -> NDArray[Any]:
    return values.ravel() if counted is None else values[counted]
