"""Conformal sets of classes and intervals of numbers: they hold the truth with a promised chance for an exchangeable new patient.

Split conformal prediction (Vovk, Gammerman and Shafer 2005; Angelopoulos and Bates 2023). One score per patient, the worst of its
cases, since cases of one patient are alike. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.evaluation.probabilities import at_temperature, fit_temperature
from voxloom.evaluation.statistics.arrays import place_in_groups
from voxloom.evaluation.statistics.interval import exact_share

Numbers = NDArray[np.float64]
#: Parts of the patients by turns that a promise is checked on.
PARTS = 10


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


@dataclass(frozen=True)
class PromiseCheck:
    """How a promise did on patients that its limit was not fitted to.

    Parameters
    ----------
    promise : chance that was promised.
    held : share of the patients all of whose truths were kept, with the exact interval of a share (Clopper and Pearson 1934).
    size : mean number of classes of a set, or mean width of an interval; infinite where some have no bound.
    patients : that were checked.
    """

    promise: float
    held: float
    low: float
    high: float
    size: float
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values; a size without bound is None."""
        return {**asdict(self), "size": self.size if math.isfinite(self.size) else None}


def check_of(held: ArrayLike, size: ArrayLike, promise: float, groups: Sequence[Any] | None = None) -> PromiseCheck:
    """Of cases whose truth was kept or not (n,), and the sizes of their sets or intervals (n,)."""
    kept, sizes = np.asarray(held, dtype=bool), np.asarray(size, dtype=float)
    place = place_in_groups(groups, len(kept))
    whole = np.ones(int(place.max()) + 1, bool)
    np.logical_and.at(whole, place, kept)
    low, high = exact_share(int(whole.sum()), len(whole))
    return PromiseCheck(promise, float(whole.mean()), low, high, float(sizes.mean()), len(whole))


def parts_of(groups: Sequence[Any] | None, count: int) -> list[NDArray[np.bool_]]:
    """Which of ``count`` cases are in each of at most ten parts that divide no patient."""
    place = place_in_groups(groups, count)
    return [part for n in range(PARTS) if (part := place % PARTS == n).any() and not part.all()]


def check_classes(
    probabilities: ArrayLike, truth: ArrayLike, promise: float, groups: Sequence[Any] | None = None
) -> PromiseCheck | None:
    """The promise of sets on held-out cases: temperature and limit are fitted to nine tenths of the patients, checked on the rest.

    None with one patient only.
    """
    p, classes = np.asarray(probabilities, dtype=float), np.asarray(truth, dtype=int)
    names = np.asarray([str(g) for g in groups] if groups is not None else range(len(p)))
    held, size = np.zeros(len(p), bool), np.zeros(len(p))
    parts = parts_of(groups, len(p))
    for part in parts:
        temperature = fit_temperature(p[~part], classes[~part])
        own = at_temperature(p, temperature)
        limit = quantile(class_scores(own[~part], classes[~part]), promise, names[~part].tolist())
        for n in np.flatnonzero(part):
            kept = class_set(own[n].tolist(), limit)
            held[n], size[n] = classes[n] in kept, len(kept)
    return check_of(held, size, promise, groups) if parts else None


def check_errors(errors: ArrayLike, promise: float, groups: Sequence[Any] | None = None) -> PromiseCheck | None:
    """The promise of intervals on held-out cases, in the same way; sizes are whole widths. None with one patient only."""
    e = np.asarray(errors, dtype=float)
    names = np.asarray([str(g) for g in groups] if groups is not None else range(len(e)))
    held, size = np.zeros(len(e), bool), np.zeros(len(e))
    parts = parts_of(groups, len(e))
    for part in parts:
        limit = quantile(e[~part], promise, names[~part].tolist())
        held[part], size[part] = e[part] <= limit, 2 * limit
    return check_of(held, size, promise, groups) if parts else None
