"""How far a case lies from the nearest training case in the features of a network, beside cases that it was not trained on either.

Training cases look nearer than they are to the network that learned them, so new cases are compared with held-out ones. Knows
numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from voxloom.errors import BadInput

Numbers = NDArray[np.float64]
#: A case is rare where at most this share of the held-out cases is as far from the training cases.
RARE = 0.05


def is_rare(share: float, held_out: int) -> bool:
    """Whether a case lies as far as few held-out ones, or, where these are fewer than 19, farther than all of them."""
    return share <= max(RARE, 1 / (held_out + 1))


@dataclass(frozen=True)
class Nearness:
    """Training and held-out cases in the features of a network.

    Parameters
    ----------
    training, held_out : features (cases, features) of the cases that the network was trained on, and of cases that it was not.

    Raises
    ------
    BadInput : fewer than two training cases, or no held-out one.
    """

    training: ArrayLike
    held_out: ArrayLike

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

    def distances(self, rows: ArrayLike) -> Numbers:
        """Distance of every row (cases, features) to the nearest training case, over the median of the held-out cases'."""
        return self._nearest(rows) / self._unit

    def shares(self, distances: ArrayLike) -> Numbers:
        """Share of held-out cases that lie at least as far as each, the case itself counted.

        The p-value of "this case comes from where the held-out ones come from".
        """
        far = np.asarray(distances, dtype=np.float64)
        return (1 + (self.own[None, :] >= far[:, None]).sum(axis=1)) / (len(self._raw) + 1)
