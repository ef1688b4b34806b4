"""One figure of two tables of the same cases: their difference with an interval, and the test that goes with the figure.

What figures a table has is said by the comparison of its kind. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from voxloom.evaluation.scores import Score
from voxloom.evaluation.statistics import Estimate, Outcome, mean_ci, wilcoxon
from voxloom.evaluation.statistics.arrays import rankable


@dataclass(frozen=True)
class Drawn:
    """A curve that stands behind a figure: values along both axes, and what the axes are."""

    x: Sequence[float]
    y: Sequence[float]
    x_title: str
    y_title: str


@dataclass(frozen=True)
class Paired:
    """One figure of a table against that of the reference.

    Parameters
    ----------
    cases, patients : that both have.
    reference, value : the figure of each; infinite where a mask was missed.
    difference : value minus reference, with an interval over patients.
    test : its p-value and effect are above 0 where the value is larger than the reference.
    infinite : cases left out of ``difference`` because a distance is infinite; the test ranks them last.
    """

    cases: int
    patients: int
    reference: float
    value: float
    difference: Estimate
    test: Outcome
    infinite: int = 0


class Comparison(Protocol):
    """How tables of one kind are compared."""

    @property
    def default(self) -> str:
        """The figure that is compared where nothing is said."""
        ...

    @property
    def case_default(self) -> str:
        """The figure that every case has where one is asked for and nothing is said."""
        ...

    @property
    def metrics(self) -> Mapping[str, Score]:
        """Figures that can be compared."""
        ...

    @property
    def text(self) -> str:
        """How differences and p-values come about, for a page."""
        ...

    def holds(self, columns: Sequence[str]) -> bool:
        """Whether a ``metrics.csv`` with these columns is of this kind."""
        ...

    def read(self, paths: Sequence[Path]) -> Any:
        """The table of one or several files together."""
        ...

    def patients(self, table: Any) -> dict[str, str]:
        """Patient by case, in the order of the cases."""
        ...

    def labels(self, tables: Mapping[str, Any], metric: str) -> tuple[list[str], list[str]]:
        """What the figure is given for in all tables, the main one first; and what is left out, in words.

        Raises
        ------
        BadInput : the tables have nothing in common.
        """
        ...

    def pair(
        self, first: Any, second: Any, metric: str, label: str, labels: Sequence[str], cases: Sequence[str]
    ) -> Paired:
        """One figure of two tables on common cases (BadInput where their truths differ)."""
        ...

    def values(self, table: Any, metric: str, label: str, labels: Sequence[str]) -> dict[str, float]:
        """The figure of every case; empty for one that only many cases together have."""
        ...

    def curve(self, table: Any, metric: str, label: str, cases: Sequence[str]) -> Drawn | None:
        """The curve that stands behind the figure; None for one that has none."""
        ...


def pair_cases(first: ArrayLike, second: ArrayLike, patients: Sequence[str]) -> Paired:
    """A figure that every case has: mean difference with its interval, and the signed-rank test of the patients' means."""
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    finite = np.isfinite(a) & np.isfinite(b)
    kept = (b - a)[finite]
    ends = mean_ci(kept, [p for p, ok in zip(patients, finite, strict=True) if ok])
    mean = float(kept.mean()) if len(kept) else math.nan
    test = wilcoxon(*reversed(rankable(a, b)), groups=patients)
    return Paired(
        len(a), len(set(patients)), float(a.mean()), float(b.mean()), Estimate(mean, *ends), test, int((~finite).sum())
    )
