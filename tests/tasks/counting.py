"""A fifth task outside Voxloom: how many structures a scan shows. Learned from label maps, answered by a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel
from scipy import ndimage

from voxloom.dataset import Case, Dataset
from voxloom.run.run import Run
from voxloom.tasks.regression.objective import Scale
from voxloom.tasks.regression.predictor import NumberPredictor
from voxloom.tasks.regression.task import Regression
from voxloom.tasks.whole_case.settings import RegressionSettings
from voxloom.tasks.wish import PLAIN, Wish


class CountingSettings(RegressionSettings):
    """Keys of ``options:``; ``value`` is what is counted in the label maps, None for all that is not 0."""

    value: int | None = None


class Counts(Scale):
    """Counts as targets; ``columns`` holds the value that is counted."""

    def raw(self, case: Case) -> list[float]:
        """The number of structures of a label map that touch nowhere."""
        if case.label is None:
            return [np.nan]
        label, (value,) = case.read_label().data[0], self.columns
        return [float(ndimage.label(label > 0 if value is None else label == int(value))[1])]


class Counting(Regression):
    """See :class:`voxloom.tasks.task.Task`."""

    name = "counting"
    section: str | None = "options"
    settings: type[BaseModel] | None = CountingSettings
    trained_on = "counts"
    title, needed, remedy = "Counts", "a label map", "Draw label maps"

    def annotated(self, case: Case) -> bool:
        return case.label is not None

    def meaning_of(self, dataset: Dataset, settings: Any) -> Counts:
        value = None if settings.value is None else str(settings.value)
        blank = Counts(("count",), (value,), (0.0,), (1.0,), settings.loss == "gaussian")
        found = [n for case in dataset for n in blank.raw(case) if not np.isnan(n)]
        return replace(blank, means=(float(np.mean(found)),), sds=(float(np.std(found)) or 1.0,))

    def meaning_from(self, values: Any) -> Counts:
        return Counts.from_dict(values)

    def load(self, folds: Sequence[Path], *, device: str = "auto") -> NumberPredictor:
        return counting(super().load(folds, device=device))

    def open(self, run: Run, wish: Wish = PLAIN) -> NumberPredictor:
        return counting(super().open(run, wish))


def counting(predictor: NumberPredictor) -> NumberPredictor:
    """The same networks, whose truth is counted."""
    return replace(predictor, meaning=Counts.from_dict(predictor.meaning.to_dict()))


TASK = Counting()
