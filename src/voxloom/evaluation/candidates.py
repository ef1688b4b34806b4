"""Lesion candidates: what a probability map points at, with a confidence each, and which true lesion each is. Knows arrays only.

A candidate is a connected piece (26 neighbors) of the voxels above the highest of ``LEVELS`` at which it stands alone: pieces above
the first level, then those pieces above the next lower one that hold none of the former, and so on. So a faint lesion is a candidate
of its own, and a sure one is not drawn larger by its doubtful rim.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.evaluation.lesions import MatchRule, Pieces, overlaps
from voxloom.evaluation.surface import Mask

#: Probabilities whose pieces are candidates, from the surest; nothing below the last is one.
LEVELS = (0.5, 0.4, 0.3, 0.2, 0.1)
Confidence = Literal["mean", "max"]


@dataclass(frozen=True)
class Candidate:
    """One candidate of a case.

    Parameters
    ----------
    confidence : mean, or largest, probability of its voxels.
    lesion : number of the true lesion that it is, from 1; 0 for none.
    iou : with that lesion.
    voxels : its size.
    """

    confidence: float
    lesion: int
    iou: float
    voxels: int


@dataclass(frozen=True)
class CaseCandidates:
    """The candidates of one label of a case, the surest first, and how many true lesions there are."""

    lesions: int
    candidates: tuple[Candidate, ...] = ()


def find_candidates(probability: NDArray[np.floating[Any]]) -> Pieces:
    """The candidates of a probability map (I, J, K)."""
    numbers, count = np.zeros(probability.shape, np.int32), 0
    for level in LEVELS:
        pieces = Pieces.of(probability >= level)
        taken = np.zeros(pieces.count + 1, bool)
        taken[pieces.numbers[numbers > 0]] = True
        taken[0] = True
        new = np.where(taken, 0, count + np.cumsum(~taken)).astype(np.int32)
        numbers = np.where(numbers > 0, numbers, new[pieces.numbers])
        count += int((~taken).sum())
    return Pieces(numbers, count)


def case_candidates(
    probability: NDArray[np.floating[Any]], truth: Mask, rule: MatchRule, confidence: Confidence = "mean"
) -> CaseCandidates:
    """Candidates and lesions of a case, matched: the surest candidate chooses first, of free lesions that the rule allows the one of
    the largest IoU; every lesion is matched once, so that a second candidate on it is none.

    Parameters
    ----------
    probability, truth : (I, J, K) of one shape.
    """
    ours, theirs = find_candidates(probability), Pieces.of(truth)
    if not ours.count:
        return CaseCandidates(theirs.count)
    sure = _confidences(probability, ours, confidence)
    iou, allowed = overlaps(ours, theirs, rule)
    free, found = np.ones(theirs.count, bool), []
    for n in np.lexsort((-ours.sizes, -sure)):
        open_ = allowed[n] & free
        best = int(np.argmax(np.where(open_, iou[n], -1.0))) if open_.any() else -1
        if best >= 0:
            free[best] = False
        found.append(Candidate(float(sure[n]), best + 1, float(iou[n, best]) if best >= 0 else 0.0, int(ours.sizes[n])))
    return CaseCandidates(theirs.count, tuple(found))


def _confidences(probability: NDArray[np.floating[Any]], pieces: Pieces, how: Confidence) -> NDArray[np.float64]:
    inside = pieces.numbers > 0
    of, p = pieces.numbers[inside] - 1, probability[inside].astype(np.float64)
    if how == "mean":
        return np.asarray(np.bincount(of, weights=p, minlength=pieces.count) / pieces.sizes)
    order = np.lexsort((p, of))
    return np.asarray(p[order[np.searchsorted(of[order], np.arange(pieces.count), side="right") - 1]])


class SparseMap:
    """The voxels of a probability map that can be part of a candidate, gathered a few planes at a time."""

    def __init__(self) -> None:
        self.places: list[NDArray[np.int32]] = []
        self.values: list[NDArray[np.float32]] = []

    def add(self, axis: int, start: int, planes: NDArray[np.floating[Any]]) -> None:
        """Take planes of the map, along ``axis`` from ``start`` on; ``planes`` has them first."""
        found = np.argwhere(planes >= LEVELS[-1]).astype(np.int32)
        self.values.append(planes[tuple(found.T)].astype(np.float32))
        found[:, 0] += start
        self.places.append(np.insert(found[:, 1:], axis, found[:, 0], axis=1))

    def with_truth(self, truth: Mask) -> tuple[NDArray[np.float32], Mask]:
        """The map and the truth in the box of both."""
        places = np.concatenate([*self.places, np.zeros((0, 3), np.int32)])
        both = np.concatenate([places, np.argwhere(truth).astype(np.int32)])
        low = both.min(axis=0) if len(both) else np.zeros(3, np.int32)
        high = both.max(axis=0) + 1 if len(both) else low
        dense = np.zeros(tuple(high - low), np.float32)
        if len(places):
            dense[tuple((places - low).T)] = np.concatenate(self.values)
        return dense, truth[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
