"""Connected pieces of two masks, matched: how many lesions were found, missed and invented. Knows two masks of one label.

Pieces are connected components (26 neighbors), plain: structures that touch are one, unlike in ``touching.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

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


@dataclass(frozen=True)
class Pieces:
    """Numbered pieces of a mask: ``numbers`` (I, J, K), 0 outside, 1 to ``count`` inside."""

    numbers: NDArray[Any]
    count: int

    @classmethod
    def of(cls, mask: Mask) -> Pieces:
        """The connected pieces of a boolean mask (26 neighbors)."""
        found = connected(mask) if mask.any() else np.zeros(mask.shape, np.uint16)
        return cls(found, int(found.max(initial=0)))

    @cached_property
    def sizes(self) -> NDArray[np.intp]:
        """Voxels of each, (count,)."""
        return np.bincount(self.numbers.ravel(), minlength=self.count + 1)[1:]


def match_lesions(prediction: Mask, truth: Mask, rule: MatchRule) -> LesionMatch:
    """Pair the pieces of two masks one to one so that the sum of their IoU is largest.

    Parameters
    ----------
    prediction, truth : boolean (I, J, K).
    """
    return match_pieces(Pieces.of(prediction), Pieces.of(truth), rule)


def match_pieces(ours: Pieces, theirs: Pieces, rule: MatchRule) -> LesionMatch:
    """As ``match_lesions``, of masks whose pieces are numbered already."""
    from scipy.optimize import linear_sum_assignment

    iou, allowed = overlaps(ours, theirs, rule)
    rows, columns = linear_sum_assignment(-np.where(allowed, 1 + iou, 0.0))  # as many pairs as can be, then the best
    pairs = [(r, c) for r, c in zip(rows, columns, strict=True) if allowed[r, c]]
    return LesionMatch(
        len(pairs), theirs.count - len(pairs), ours.count - len(pairs), tuple(float(iou[pair]) for pair in pairs)
    )


def overlaps(ours: Pieces, theirs: Pieces, rule: MatchRule) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """IoU of each of our pieces with each of theirs (ours, theirs), and whether the rule takes the one for the other."""
    both = (ours.numbers > 0) & (theirs.numbers > 0)
    place = ours.numbers[both].astype(np.int64) * (theirs.count + 1) + theirs.numbers[both]
    counts = np.bincount(place, minlength=(ours.count + 1) * (theirs.count + 1))
    shared = counts.reshape(ours.count + 1, theirs.count + 1)[1:, 1:].astype(np.float64)
    iou = shared / np.maximum(ours.sizes[:, None] + theirs.sizes[None, :] - shared, 1)
    allowed = _centers_in(ours, theirs) if rule.by == "center" else shared > 0
    return iou, allowed & (iou >= rule.least) if rule.by == "iou" else allowed


def _centers_in(ours: Pieces, theirs: Pieces) -> NDArray[np.bool_]:
    """Whether the center of each of our pieces (its voxel nearest to the mean) lies in each of theirs."""
    found = np.zeros((ours.count, theirs.count), dtype=bool)
    voxels = np.argwhere(ours.numbers)
    of = ours.numbers[tuple(voxels.T)].astype(np.int64) - 1
    means = np.stack([np.bincount(of, weights=axis, minlength=ours.count) for axis in voxels.T], axis=1)
    away = ((voxels - (means / ours.sizes[:, None])[of]) ** 2).sum(axis=1)
    order = np.lexsort((away, of))  # of equally near ones the first
    first = np.searchsorted(of[order], np.arange(ours.count))
    hit = theirs.numbers[tuple(voxels[order[first]].T)].astype(np.int64)
    found[np.flatnonzero(hit), hit[hit > 0] - 1] = True
    return found
