"""Conformal sets of classes and intervals of numbers: they hold the truth with a promised chance for an exchangeable new patient.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2023). One score per patient, the worst of its
cases, since cases of one patient are alike. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.evaluation.statistics.arrays import place_in_groups

Numbers = NDArray[np.float64]


def class_scores(probabilities: ArrayLike, truth: ArrayLike) -> Numbers:
    """1 minus the probability of the true class, per case."""
    p = np.asarray(probabilities, dtype=float)
    return 1 - p[np.arange(len(p)), np.asarray(truth, dtype=int)]


def quantile(scores: ArrayLike, promise: float, groups: Sequence[Any] | None = None) -> float:
    """The score that a new patient's stays below with at least the chance ``promise``; infinite where there are too few patients."""
    values = np.asarray(scores, dtype=float)
    if not len(values):
        return math.inf
    place = place_in_groups(groups, len(values))
    worst = np.full(int(place.max()) + 1, -np.inf)
    np.maximum.at(worst, place, values)
    rank = math.ceil((len(worst) + 1) * promise - 1e-9)
    return math.inf if rank > len(worst) else float(np.sort(worst)[rank - 1])


def class_set(probabilities: Sequence[float], limit: float) -> tuple[int, ...]:
    """The classes that cannot be ruled out; all of them where the limit is infinite, the likeliest one at least."""
    kept = tuple(n for n, p in enumerate(probabilities) if 1 - p <= limit)
    return kept or (int(np.argmax(probabilities)),)
