"""What a stress test asks of a task: which figure is measured on a scan that gets worse, and by how much it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from voxloom.dataset import Case, Labels
from voxloom.evaluation.stress import Stressed
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.volume import Volume


@dataclass(frozen=True)
class Fall:
    """By how much a figure may get worse.

    Parameters
    ----------
    by : in the unit of the figure.
    text : the same in words, e.g. "fall by 5 points".
    down : whether small values are bad.
    """

    by: float
    text: str
    down: bool = True

    def reached(self, first: float, value: float) -> bool:
        """Whether a value is too far from the first."""
        return (first - value if self.down else value - first) >= self.by

    def lost(self, first: float, value: float) -> str:
        """How far it is, in words."""
        return f"{100 * (first - value):.1f} points lost" if self.down else f"{value - first:+.3g} error"

    def limit(self, first: float) -> float:
        """The value at which it has got too bad."""
        return first - self.by if self.down else first + self.by


#: Of shares.
POINTS = Fall(0.05, "fall by 5 points")


class StressTest(Protocol):
    """How a task's answers for stressed scans are made and scored."""

    @property
    def figure(self) -> str:
        """Name of what is measured per case."""
        ...

    def predictor(self, run: Run, folds: Sequence[RunFold]) -> Any:
        """The networks of folds, with what the run decided."""
        ...

    def follows(self, case: Case) -> Volume:
        """What is rotated, mirrored and cropped with the image (1, I, J, K), e.g. the true label map."""
        ...

    def values(self, predictor: Any, case: Case, stressed: Stressed, labels: Labels | None) -> Mapping[str, float]:
        """The figure of one case, by label; empty where it cannot be scored.

        Parameters
        ----------
        labels : what the values of the true label maps mean; None takes the networks' own.
        """
        ...

    def fall(self, run: Run, cases: Sequence[Case]) -> Fall:
        """By how much the mean of the figure over these cases may get worse."""
        ...
