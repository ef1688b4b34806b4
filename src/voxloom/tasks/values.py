"""What tasks and verbs hand each other: cases, plans, networks, tables of scores, and what is wanted beside a prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Dataset, Labels
from voxloom.evaluation.losses import CaseLoss
from voxloom.recipe.recipe import Recipe
from voxloom.volume import Volume

if TYPE_CHECKING:
    from torch import nn

    from voxloom.tasks.study import Study

Triple = tuple[str, str, str]


@dataclass(frozen=True)
class Material:
    """What a task learns from.

    Parameters
    ----------
    dataset : the usable training cases.
    labels : of the label maps that are prepared beside the images; None where the targets are none.
    """

    dataset: Dataset
    labels: Labels | None = None

    def of(self, dataset: Dataset) -> Self:
        """The same for some of the cases."""
        return replace(self, dataset=dataset)


@dataclass(frozen=True)
class Planned:
    """A complete recipe, and why: (choice, value, reason) rows and the text of ``plan.md``."""

    recipe: Recipe
    rows: tuple[Triple, ...]
    text: str


@dataclass(frozen=True)
class Example:
    """A held-out case that a report shows.

    Parameters
    ----------
    case : its id.
    answers : that are explained.
    caption : what was asked, what was answered.
    right : whether it stands for the right answers, else for the worst.
    """

    case: str
    answers: tuple[str, ...]
    caption: str
    right: bool = False


@dataclass(frozen=True)
class Calibrated:
    """What a calibration came to: its figures, rows of (figure, value) for the screen, and the files written."""

    about: Mapping[str, Any]
    rows: list[list[str]]
    files: tuple[Path, ...]


@dataclass(frozen=True)
class Extras:
    """What is wanted beside a prediction.

    Parameters
    ----------
    maps : the networks' probability maps.
    cutouts : side in mm of a small volume around every predicted point; None for none.
    """

    maps: bool = False
    cutouts: float | None = None

    def __bool__(self) -> bool:
        return self.maps or self.cutouts is not None


class Predictor(Protocol):
    """Networks that are ready to predict."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that a scan must have."""
        ...

    @property
    def may_lack(self) -> bool:
        """Whether the networks learned to do without a channel."""
        ...

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The torch modules, one per fold (or member)."""
        ...

    def predict(self, source: str | Path | Volume | Sequence[Path], *, resample_tilt: bool = False) -> Any:
        """The task's answer for one scan."""
        ...


class Features(Protocol):
    """What scans look like to the first network of a run: a row of numbers each, all of one length."""

    @property
    def of_whole_scans(self) -> bool:
        """Whether a scan alone is enough; not for networks that look at a crop of it."""
        ...

    def of_scan(self, volume: Volume) -> NDArray[np.float32]:
        """The row of a scan that is not predicted otherwise; the same as ``watch`` sees where that sees any."""
        ...

    def watch(self) -> AbstractContextManager[list[NDArray[np.float32]]]:
        """While the block predicts one scan: rows whose mean is that of the scan; none where the networks do not show it."""
        ...

    def of_training(self, study: Study, names: Sequence[str], windows: int) -> dict[str, NDArray[np.float32]]:
        """Rows of training cases, cheaply: by at most ``windows`` windows of each, as the training had it prepared.

        Cases that it cannot look at so are left out.
        """
        ...


class Table(Protocol):
    """Scores of cases: rows that are summed up, written and read back."""

    def losses(self) -> list[CaseLoss]:
        """How wrong every case was, the worst first."""
        ...

    @property
    def cases(self) -> list[str]:
        """Ids of the cases, in order of first appearance."""
        ...

    def extend(self, other: Any) -> None:
        """Add all rows of another table of the same kind."""
        ...

    def summary(self) -> dict[str, Any]:
        """JSON-able figures."""
        ...

    def write_csv(self, path: str | Path) -> Path:
        """Write ``metrics.csv``, whole or not at all."""
        ...
