"""Which slices of which case are drawn in one pass over the training cases.

Every draw is a pure function of seed and place in the training, as in ``sampling``. Does not know what lies in a slice beyond
whether anything is labeled there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxloom.prepare import SliceSettings


class Sliced(Protocol):
    """What is asked of a prepared case."""

    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def foreground(self) -> dict[int, NDArray[np.int32]]: ...
    def label(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.integer] | None: ...


@dataclass(frozen=True)
class SliceOrder:
    """Cases and slices in the order in which a training visits them.

    Parameters
    ----------
    cases : the training cases.
    settings : how many slices per volume, or all of them, and whether slices without a label are among them.
    seed : of the order and of the slices.
    """

    cases: Sequence[Sliced]
    settings: SliceSettings
    seed: int
    _known: dict[int, NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)
    _orders: dict[int, NDArray[np.int64]] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def per_pass(self) -> int:
        """Patches of one pass over the cases."""
        if self.settings.per_volume == "all":
            return len(self.every)
        return len(self.cases) * (self.settings.per_volume or 1)

    @cached_property
    def every(self) -> list[tuple[int, int]]:
        """(case, slice) of all slices that may be drawn."""
        return [(case, int(at)) for case in range(len(self.cases)) for at in self.candidates(case)]

    def at(self, position: int) -> tuple[int, int | None]:
        """The case of the n-th patch of a training, and its slice where the settings draw slices.

        One pass takes ``per_volume`` different slices of every case (all of them, some repeatedly, where a case has fewer),
        in an order shuffled over all cases.
        """
        turn, place = divmod(position, self.per_pass)
        shuffled = int(self._shuffled(turn)[place])
        count = self.settings.per_volume
        if count == "all":
            return self.every[shuffled]
        case, number = divmod(shuffled, count or 1)
        return case, None if count is None else int(self.drawn(turn, case)[number])

    def _shuffled(self, turn: int) -> NDArray[np.int64]:
        """The order of one pass; that of the last pass is kept, as there may be half a million slices."""
        if turn not in self._orders:
            self._orders.clear()
            self._orders[turn] = np.random.default_rng((self.seed, 2, turn)).permutation(self.per_pass)
        return self._orders[turn]

    def drawn(self, turn: int, case: int) -> NDArray[np.int64]:
        """The slices of a case in one pass, ascending, where ``per_volume`` is a number."""
        assert isinstance(self.settings.per_volume, int)
        random = np.random.default_rng((self.seed, 4, turn, case))
        return np.sort(np.resize(random.permutation(self.candidates(case)), self.settings.per_volume))

    def spread(self, case: int, random: np.random.Generator) -> tuple[float, ...]:
        """Positions along k of ``settings.spread`` random slices of a case, ascending; zeros lie around a case with fewer."""
        assert self.settings.spread is not None
        found = self.candidates(case)
        chosen = np.sort(random.permutation(found)[: self.settings.spread])
        missing = self.settings.spread - len(chosen)
        outside = ((-1,) * (missing // 2), (self.cases[case].shape[2],) * (missing - missing // 2))
        return tuple(float(at) for at in (*outside[0], *chosen, *outside[1]))

    def candidates(self, case: int) -> NDArray[np.int64]:
        """Slices that may be drawn: all, or those with a label (all where a case has none)."""
        if case not in self._known:
            self._known[case] = self._find(self.cases[case])
        return self._known[case]

    def _find(self, case: Sliced) -> NDArray[np.int64]:
        everything = np.arange(case.shape[2])
        label = None if self.settings.background else case.label()
        if label is None:
            return everything
        wanted = [number for number, voxels in case.foreground.items() if len(voxels)]
        labelled = np.flatnonzero(np.isin(label, wanted).any(axis=(0, 1)))
        return labelled if len(labelled) else everything
