"""Which scans to annotate next: uncertain ones that are unlike each other.

Greedy maximal marginal relevance (Carbonell and Goldstein 1998) over uncertainty and the distance to what was chosen before.
Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """One scan in the order of annotation.

    Parameters
    ----------
    index : of the scan as given.
    score : what it was chosen by, 0 to 1.
    distance : to the most similar scan chosen before, as a share of the largest distance between any two; None for the first.
    nearest : index of that scan.
    """

    index: int
    score: float
    distance: float | None
    nearest: int | None


def uncertainty_ranks(columns: Sequence[ArrayLike]) -> Numbers:
    """Mean over figures of each scan's rank, from 0 (least uncertain of all) to 1; larger values are more uncertain, ties share."""
    from scipy.stats import rankdata

    table = np.array([rankdata(np.asarray(column, dtype=float)) for column in columns])
    found: Numbers = (table.mean(axis=0) - 1) / max(1, table.shape[1] - 1)
    return found


def distances(features: ArrayLike) -> Numbers:
    """Distance (n, n) of every two rows (n, features), each feature in units of its SD; the largest is 1."""
    rows = np.asarray(features, dtype=float)
    spread = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    squares = (scaled**2).sum(axis=1)
    found: Numbers = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * scaled @ scaled.T, 0))
    np.fill_diagonal(found, 0)
    return found / found.max() if found.size and found.max() > 0 else found


def choose(uncertainty: ArrayLike, apart: ArrayLike, count: int, diversity: float = 0.5) -> list[Choice]:
    """The first ``count`` scans to annotate, best first.

    Parameters
    ----------
    uncertainty : 0 to 1 per scan.
    apart : distances (n, n), 0 to 1.
    diversity : weight of the distance to what was chosen before, against the uncertainty; 0 orders by uncertainty alone.

    Raises
    ------
    BadInput : a diversity outside 0 to 1, or fewer than one scan asked for.
    """
    if not 0 <= diversity <= 1:
        raise BadInput(
            f"a diversity of {diversity:g} is not from 0 to 1", None, "Choose 0.5, or 0 for uncertainty alone"
        )
    if count < 1:
        raise BadInput(f"{count} scans cannot be chosen", None, "Choose at least 1")
    doubt, between = np.asarray(uncertainty, dtype=float), np.asarray(apart, dtype=float)
    left = list(np.argsort(-doubt, kind="stable"))
    first = int(left.pop(0))
    chosen = [Choice(first, float(doubt[first]), None, None)]
    while left and len(chosen) < count:
        done = [choice.index for choice in chosen]
        away = between[np.ix_(left, done)]
        score = (1 - diversity) * doubt[left] + diversity * away.min(axis=1)
        best = int(np.argmax(score))
        nearest = done[int(away[best].argmin())]
        chosen.append(Choice(int(left.pop(best)), float(score[best]), float(away[best].min()), nearest))
    return chosen
