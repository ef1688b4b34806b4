"""How far a case lies from the nearest training case in the features of a network, beside cases that it was not trained on either.

Training cases look nearer than they are to the network that learned them, so new cases are compared with held-out ones. Knows
numbers only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import place_in_groups

Numbers = NDArray[np.float64]
#: A case is unlike the training where at most this share of those from where the held-out ones come would be as far.
UNLIKE = 0.01
#: With fewer held-out patients nothing is said: their spread cannot tell what 1 of 100 is.
LEAST_HELD_OUT = 10
#: Distances below this (1 is the usual one), and spreads of their logarithm, count as so much: a case beside a training case, or
#: cases that are all alike, say little about how far others lie.
_NEAR, _SPREAD = 0.1, 0.05


@dataclass(frozen=True)
class Nearness:
    """Training and held-out cases in the features of a network.

    Parameters
    ----------
    training, held_out : features (cases, features) of the cases that the network was trained on, and of cases that it was not.
    patients : of the held-out cases, since cases of one patient are alike; None takes each for a patient of its own.

    Raises
    ------
    BadInput : fewer than two training cases, or no held-out one.
    """

    training: ArrayLike
    held_out: ArrayLike
    patients: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if len(np.asarray(self.training)) < 2 or not len(np.asarray(self.held_out)):
            raise BadInput("distances need two training cases and a held-out one")

    @cached_property
    def _known(self) -> Numbers:
        return np.asarray(self.training, dtype=np.float64)

    @cached_property
    def _varied(self) -> NDArray[np.bool_]:
        """The features that differ between training cases."""
        return np.asarray(self._known.std(axis=0) > 1e-9 * np.abs(self._known).max(axis=0, initial=1e-30))

    def _nearest(self, rows: ArrayLike) -> Numbers:
        """Euclidean distance of each row to the nearest training case, every feature in units of its SD over training cases."""
        known = self._known[:, self._varied]
        center, spread = known.mean(axis=0), known.std(axis=0)
        looked = np.asarray(rows, dtype=np.float64)[:, self._varied]
        found: Numbers = cdist((looked - center) / spread, (known - center) / spread).min(axis=1)
        return found

    @cached_property
    def _raw(self) -> Numbers:
        return self._nearest(self.held_out)

    @cached_property
    def _unit(self) -> float:
        return float(np.median(self._raw)) or 1.0

    @property
    def own(self) -> Numbers:
        """Distances (held-out cases,); their median is 1."""
        return self._raw / self._unit

    @cached_property
    def farthest(self) -> Numbers:
        """Distances (held-out patients,): of every patient the largest, as the worst case stands for the patient."""
        place = place_in_groups(self.patients, len(self._raw))
        found = np.full(int(place.max()) + 1, -np.inf)
        np.maximum.at(found, place, self.own)
        return found

    def distances(self, rows: ArrayLike) -> Numbers:
        """Distance of every row (cases, features) to the nearest training case, over the median of the held-out cases'."""
        return self._nearest(rows) / self._unit

    def shares(self, distances: ArrayLike) -> Numbers:
        """Share of held-out patients with a case that lies at least as far as each, the case itself counted as one.

        The p-value of "this case comes from where the held-out ones come from".
        """
        far = np.asarray(distances, dtype=np.float64)
        return (1 + (self.farthest[None, :] >= far[:, None]).sum(axis=1)) / (len(self.farthest) + 1)

    def unlike(self, distances: ArrayLike) -> NDArray[np.bool_] | None:
        """Whether each distance is one that at most ``UNLIKE`` of cases like the held-out ones reach; None with too few patients.

        With 99 patients or more by ``shares``, which assume nothing. With fewer a case must lie farther than all of them, and beyond
        the upper end of Student's prediction interval of the logarithm of a new patient's distance: twelve patients alone could not
        tell 1 of 13 from 1 of 100.
        """
        far, count = np.asarray(distances, dtype=np.float64), len(self.farthest)
        if count < LEAST_HELD_OUT:
            return None
        if (count + 1) * UNLIKE >= 1:
            return np.asarray(self.shares(far) <= UNLIKE)
        return np.asarray((far > self.farthest.max()) & (np.log(np.maximum(far, _NEAR)) > self._reach))

    @cached_property
    def _reach(self) -> float:
        """The logarithm of the distance that a new patient exceeds with half the chance ``UNLIKE``, if these are normal.

        Half, since they have longer tails than that: docs/trust.md has what comes of it.
        """
        from scipy.stats import t

        logs, count = np.log(np.maximum(self.farthest, _NEAR)), len(self.farthest)
        spread = max(float(logs.std(ddof=1)), _SPREAD) * np.sqrt(1 + 1 / count)
        return float(logs.mean() + t.ppf(1 - UNLIKE / 2, count - 1) * spread)
