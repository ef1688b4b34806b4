"""Labels that are structures in a row, such as vertebrae: which they are, and in which order they lie from head to feet.

Knows the label maps of a data set. Does not know what is made of a row (``voxloom.inference.order``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Case, Labels
from voxloom.volume import Volume

#: Cases that are read to find the order of labels.
READ_FOR_ORDER = 8
#: The fewest labels that are told to be a row without being asked: any two things lie one above the other.
FEWEST = 3
#: In a row neighboring volumes differ by this factor at most, and so do distances within a case.
ALIKE = 3.0
#: Neighbors lie at most so many cube roots of their volume apart, and at least by this share of it above one another.
NEAR, UPRIGHT = 2.5, 0.5


@dataclass(frozen=True)
class Piece:
    """One label in one case: middle (3,) in RAS mm, and volume in mm3."""

    middle: NDArray[np.float64]
    volume: float


def from_head_to_feet(cases: Sequence[Case], labels: Labels) -> tuple[str, ...]:
    """The labels by the mean height (RAS z) of their voxels in a few cases, the highest first; labels that are in none left out."""
    return _from_head_to_feet(_pieces(cases, labels))


def labels_in_a_row(cases: Sequence[Case], labels: Labels) -> tuple[str, ...]:
    """All labels from head to feet, where they are structures in a row; () where they are not, or it is not sure.

    At least three labels, each a structure of its own; in every one of a few cases those that are there follow one another
    downward without a gap, and are alike in volume and distance.
    """
    if labels.has_regions or len(labels.names) < FEWEST:
        return ()
    found = list(_pieces(cases, labels))
    order = _from_head_to_feet(found)
    if set(order) != set(labels.names) or not all(_is_row(pieces, order) for pieces in found):
        return ()
    medians = [float(np.median([pieces[name].volume for pieces in found if name in pieces])) for name in order]
    return order if all(_alike(pair) for pair in pairwise(medians)) else ()


def _pieces(cases: Sequence[Case], labels: Labels) -> Iterator[dict[str, Piece]]:
    """The labels of the first labelled cases."""
    for case in [case for case in cases if case.label is not None][:READ_FOR_ORDER]:
        truth = case.read_label()
        assert truth is not None
        yield {name: _piece(mask, truth) for name, mask in labels.masks(truth.data[0]) if mask.any()}


def _piece(mask: NDArray[np.bool_], truth: Volume) -> Piece:
    middle = truth.affine[:3] @ [*np.argwhere(mask).mean(axis=0), 1.0]
    return Piece(middle, float(mask.sum()) * abs(float(np.linalg.det(truth.affine[:3, :3]))))


def _from_head_to_feet(found: Iterable[dict[str, Piece]]) -> tuple[str, ...]:
    heights: dict[str, list[float]] = {}
    for pieces in found:
        for name, piece in pieces.items():
            heights.setdefault(name, []).append(float(piece.middle[2]))
    return tuple(sorted(heights, key=lambda name: -float(np.mean(heights[name]))))


def _is_row(pieces: dict[str, Piece], order: Sequence[str]) -> bool:
    """Whether the labels of a case follow one another downward, without a gap, at like distances."""
    there = [number for number, name in enumerate(order) if name in pieces]
    if len(there) < 2 or there != list(range(there[0], there[-1] + 1)):
        return False
    steps = []
    for upper, lower in pairwise(pieces[order[number]] for number in there):
        down = upper.middle - lower.middle
        steps.append(float(np.linalg.norm(down)))
        size = max(upper.volume, lower.volume) ** (1 / 3)
        if not UPRIGHT * size <= down[2] or steps[-1] > NEAR * size:
            return False
    return _alike((min(steps), max(steps)))


def _alike(values: Sequence[float]) -> bool:
    return max(values) <= ALIKE * min(values)
