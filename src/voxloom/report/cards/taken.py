"""What a training did, from its summary and logs: steps, passes, validations, skipped steps, time. Phrases nothing."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxloom.runfiles import LOG


@dataclass(frozen=True)
class Taken:
    """How the training of one fold went.

    Parameters
    ----------
    name : of the fold.
    outcome : its entry of ``summary.json``: steps, corrections of their number (``pace``), seconds, skipped steps.
    log : rows of its ``log.csv``.
    training : section of the recipe.
    """

    name: str
    outcome: Mapping[str, Any]
    log: list[dict[str, float]]
    training: Mapping[str, Any]

    @property
    def steps(self) -> int:
        """Steps that were taken."""
        return int(self.outcome.get("steps") or 0)

    @cached_property
    def planned(self) -> int | None:
        """Steps that were planned last; None where they follow from epochs and no row tells how long one is."""
        if pace := self.outcome.get("pace"):
            return int(pace[-1][1])
        epochs = self.training.get("epochs")
        if not epochs:
            return int(self.training["steps"]) if self.training.get("steps") else None
        per_pass = self._steps_per_pass
        return None if per_pass is None else round(epochs * per_pass)

    @property
    def ended_early(self) -> bool:
        """Whether it stopped before the last planned step; a step less is rounding of epochs."""
        return self.planned is not None and 0 < self.steps < self.planned - 1

    @property
    def passes(self) -> float | None:
        """Passes over the training cases; None without a log."""
        per_pass = self._steps_per_pass
        return self.steps / per_pass if per_pass and self.steps else None

    @property
    def _steps_per_pass(self) -> float | None:
        row = next((row for row in self.log if row.get("epoch", 0) > 0), None)
        return None if row is None else row["step"] / row["epoch"]

    @property
    def skipped(self) -> Mapping[str, int]:
        """Steps that changed nothing, by "layer, precision"."""
        return dict(self.outcome.get("skipped") or {})

    @property
    def seconds(self) -> float:
        """Of the training, over all resumptions."""
        return float(self.outcome.get("seconds") or 0.0)


def trainings(folder: Path, summary: Mapping[str, Any], training: Mapping[str, Any]) -> list[Taken]:
    """Every fold of a run that has an outcome."""
    found = summary.get("folds") or {}
    return [
        Taken(name, outcome, read_log(folder / name / LOG), training)
        for name, outcome in found.items()
        if isinstance(outcome, Mapping)
    ]


def skipped_steps(taken: list[Taken]) -> Counter[str]:
    """Skipped steps of all folds by "layer, precision"."""
    return sum((Counter(one.skipped) for one in taken), Counter())


def read_log(path: Path) -> list[dict[str, float]]:
    """Rows of a ``log.csv``; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
