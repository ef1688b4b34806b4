"""Connected pieces of two masks, matched: how many lesions were found, missed and invented. Knows two masks of one label.

Pieces are connected components (26 neighbors), plain: structures that touch are one, unlike in ``touching.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.connected import connected
from voxloom.evaluation.surface import Mask


@dataclass(frozen=True)
class MatchRule:
    """When a predicted piece is a true one.

    Parameters
    ----------
    by : "overlap": they share a voxel; "iou": their IoU is at least ``least``; "center": the center of the predicted piece lies in the
        true one.
    """

    by: Literal["overlap", "iou", "center"] = "iou"
    least: float = 0.1


@dataclass(frozen=True)
class LesionMatch:
    """Pieces found, missed and invented, and the IoU of the pairs; every piece is in one pair at most."""

    found: int
    missed: int
    invented: int
    ious: tuple[float, ...]

    @property
    def recall(self) -> float:
        """Share of true pieces that are found; NaN where there is none."""
        true = self.found + self.missed
        return self.found / true if true else math.nan

    @property
    def precision(self) -> float:
        """Share of predicted pieces that are true; NaN where there is none."""
        told = self.found + self.invented
        return self.found / told if told else math.nan

    @property
    def f1(self) -> float:
        """2 found / (2 found + missed + invented); 1 without any piece."""
        whole = 2 * self.found + self.missed + self.invented
        return 2 * self.found / whole if whole else 1.0

    @property
    def panoptic_quality(self) -> float:
        """Sum of IoU / (found + missed / 2 + invented / 2) (Kirillov et al. 2019); 1 without any piece."""
        whole = self.found + self.missed / 2 + self.invented / 2
        return sum(self.ious) / whole if whole else 1.0


def match_lesions(prediction: Mask, truth: Mask, rule: MatchRule) -> LesionMatch:
    """Pair the pieces of two masks one to one so that the sum of their IoU is largest.

    Parameters
    ----------
    prediction, truth : boolean (I, J, K).
    """
    from scipy.optimize import linear_sum_assignment

    ours, our_count = _pieces(prediction)
    theirs, their_count = _pieces(truth)
    table = np.zeros((our_count + 1, their_count + 1))
    np.add.at(table, (ours.ravel(), theirs.ravel()), 1)
    sizes = table.sum(axis=1)[1:, None] + table.sum(axis=0)[None, 1:]
    shared = table[1:, 1:]
    iou = shared / np.maximum(sizes - shared, 1)
    allowed = _centers_in(ours, our_count, theirs, their_count) if rule.by == "center" else shared > 0
    if rule.by == "iou":
        allowed = allowed & (iou >= rule.least)
    rows, columns = linear_sum_assignment(-np.where(allowed, 1 + iou, 0.0))  # as many pairs as can be, then the best
    pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]
    return LesionMatch(
        len(pairs), their_count - len(pairs), our_count - len(pairs), tuple(float(iou[pair]) for pair in pairs)
    )


def _pieces(mask: Mask) -> tuple[NDArray[np.int64], int]:
    found = connected(mask).astype(np.int64)
    return found, int(found.max(initial=0))


def _centers_in(
    ours: NDArray[np.int64], our_count: int, theirs: NDArray[np.int64], their_count: int
) -> NDArray[np.bool_]:
    """Whether the center of each of our pieces (its voxel nearest to the mean) lies in each of theirs."""
    found = np.zeros((our_count, their_count), dtype=bool)
    voxels = np.argwhere(ours)
    of = ours[tuple(voxels.T)]
    for n in range(1, our_count + 1):
        own = voxels[of == n]
        center = own[np.argmin(((own - own.mean(axis=0)) ** 2).sum(axis=1))]
        hit = int(theirs[tuple(center)])
        if hit:
            found[n - 1, hit - 1] = True
    return found
