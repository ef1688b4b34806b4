"""Targets, loss and validation score of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from voxloom.dataset import Case, Dataset
from voxloom.errors import BadInput
from voxloom.losses.classification import NumberLoss
from voxloom.tasks.whole_case.material import Vector, columns_of, number_of, value_of
from voxloom.tasks.whole_case.settings import RegressionSettings


@dataclass(frozen=True)
class Scale:
    """What answers stand for; JSON-able.

    Parameters
    ----------
    names : of the targets.
    columns : that were read; ``None`` is the data set's own target.
    means, sds : of the training cases; the network learns SDs from the mean.
    gaussian : whether answers hold variances too.
    """

    names: tuple[str, ...]
    columns: tuple[str | None, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    gaussian: bool

    @property
    def outputs(self) -> int:
        """Answers of the network."""
        return len(self.names) * (2 if self.gaussian else 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Scale:
        """The inverse of ``to_dict``."""
        lists = {name: tuple(values[name]) for name in ("names", "columns", "means", "sds")}
        return cls(**lists, gaussian=values["gaussian"])

    def raw(self, case: Case) -> list[float]:
        """Targets in their own units; NaN where one is missing."""
        return [np.nan if (v := value_of(case, c)) is None else number_of(v, case.id, c, None) for c in self.columns]

    def target(self, case: Case) -> Vector | None:
        """Targets in SDs from the mean; None for a case without any."""
        numbers = (np.array(self.raw(case)) - self.means) / self.sds
        return None if np.isnan(numbers).all() else numbers.astype(np.float32)

    def words(self, target: Vector) -> str:
        """A target for people, in its own units."""
        told = zip(self.names, target * self.sds + self.means, strict=True)
        return ", ".join(f"{name} {'unknown' if np.isnan(v) else format(v, '.4g')}" for name, v in told)

    def check_part(self, train: Sequence[Vector], val: Sequence[Vector], name: str, where: Any) -> list[str]:
        """Nothing to note (BadInput for a target that does not vary among the training cases of a part)."""
        spread = np.nanstd(np.array(train, dtype=float), axis=0)
        if flat := [target for target, sd in zip(self.names, spread, strict=True) if not sd > 0]:
            what = f"{flat[0]} does not vary among the training cases of {name}"
            raise BadInput(what, where, "Hold out less (folds.hold_out, folds.count), or add cases")
        return []

    def values(self, answers: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Numbers (n, T) in their own units, and their SDs where the network says them, of answers (n, L)."""
        width = len(self.names)
        mean = answers[:, :width] * self.sds + self.means
        if not self.gaussian:
            return mean, None
        return mean, np.exp(0.5 * np.clip(answers[:, width:], -10, 10)) * self.sds


def find_scale(dataset: Dataset, settings: RegressionSettings) -> Scale:
    """The targets of a data set.

    Raises
    ------
    BadInput : text or impossible values in a column, or a target that does not vary.
    """
    columns = columns_of(dataset, settings.target)
    names = tuple(column or "target" for column in columns)
    means, sds = [], []
    for column, name in zip(columns, names, strict=True):
        values = []
        for case in dataset:
            if (value := value_of(case, column)) is None:
                continue
            number = number_of(value, case.id, column, dataset.root)
            check_range(number, settings, case.id, name, dataset)
            values.append(number)
        if len(set(values)) < 2:
            what = f"column {name} does not vary" if values else f"no case has a value in column {name}"
            raise BadInput(what, dataset.root, "There is nothing to learn; name another with regression.target")
        means.append(float(np.mean(values)))
        sds.append(float(np.std(values)))
    return Scale(names, columns, tuple(means), tuple(sds), settings.loss == "gaussian")


def check_range(number: float, settings: RegressionSettings, case: str, name: str, dataset: Dataset) -> None:
    """Refuse impossible values; ages are never negative, whatever the recipe says."""
    least = 0.0 if settings.least is None and "age" in name.lower().split("_") else settings.least
    below = least is not None and number < least
    above = settings.most is not None and number > settings.most
    if below or above:
        limit = least if below else settings.most
        what = f"case {case}: {name} is {number:g}, beyond the possible {limit:g}"
        raise BadInput(what, dataset.root, "Correct the cell, or leave the case out: data.exclude")


@dataclass(frozen=True)
class NumberObjective:
    """See :class:`voxloom.tasks.whole_case.training.Objective`."""

    scale: Scale
    settings: RegressionSettings

    score = "r2"

    @property
    def names(self) -> tuple[str, ...]:
        """The targets."""
        return self.scale.names

    def loss(self, targets: Sequence[np.ndarray]) -> nn.Module:
        """In SDs of the training targets."""
        return NumberLoss(self.settings.loss, self.settings.delta)

    def scores(self, answers: Tensor, targets: Tensor) -> list[float]:
        """1 minus the mean squared error in units of the training variance, which few validation cases cannot blow up as R2 can."""
        found = []
        for n in range(len(self.scale.names)):
            truth, guess = targets[:, n].double(), answers[:, n].double()
            known = truth.isfinite()
            found.append(1 - float(((guess - truth)[known] ** 2).mean()) if bool(known.any()) else 0.0)
        return found
