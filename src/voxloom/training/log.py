"""The log of one training: rows of numbers, written as ``log.csv`` whole after every row.

Knows its columns; does not know who measures.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxloom.evaluation.scores import goal_of
from voxloom.files import write_text
from voxloom.ranks import first

#: Columns before ``val_dice``, one ``val_dice_<label>`` per label, ``val_loss``, and what is measured beside.
COLUMNS = ("step", "seconds", "epoch", "lr", "train_loss")

_EPOCH = COLUMNS.index("epoch")

#: Numbers that differ by less are equal.
_ROUNDING = 1e-12

#: The loss on the validation cases.
VAL_LOSS = "val_loss"


@dataclass
class TrainingLog:
    """Rows of (step, seconds, epoch, lr, train_loss, val_dice, val_dice per label, val_loss), or of another score than Dice.

    Parameters
    ----------
    path : of ``log.csv``.
    labels : names, in the order of the label columns.
    rows : what was logged so far.
    monitor : the column that says which row is best: the lowest of a loss, the highest of a score (``voxloom.evaluation.scores``).
    least_gain : by how much a row must beat the best one before it, to be the best itself.
    score : what the validation measures, larger is better; part of the columns' names.
    further : columns after the loss.
    """

    path: Path
    labels: Sequence[str]
    rows: list[list[float]] = field(default_factory=list)
    monitor: str = "val_dice"
    least_gain: float = 0.0
    score: str = "dice"
    further: Sequence[str] = ()

    @property
    def columns(self) -> list[str]:
        """Names of the columns of ``rows``."""
        scores = (f"val_{self.score}_{label}" for label in self.labels)
        return [*COLUMNS, f"val_{self.score}", *scores, VAL_LOSS, *self.further]

    def restore(self, rows: Sequence[Sequence[float]]) -> None:
        """Take the rows of a checkpoint; columns that an earlier version did not have are not a number."""
        width = len(self.columns)
        self.rows = [[*map(float, row), *[math.nan] * (width - len(row))] for row in rows]
        self.write()

    @property
    def watched(self) -> list[float]:
        """The monitored values so far, their sign such that higher is better; a row without a value is worst."""
        place = self.columns.index(self.monitor)
        sign = -1.0 if goal_of(self.monitor) == "min" else 1.0
        return [-math.inf if math.isnan(row[place]) else sign * row[place] for row in self.rows]

    def is_best(self) -> bool:
        """Whether the last row is as good as the best one before it, and better by ``least_gain``; the first row always is."""
        best, last = -math.inf, False
        for value in self.watched:
            last = value >= best + self.least_gain - _ROUNDING
            best = value if last else best
        return last

    def add(self, row: Sequence[float]) -> None:
        """Append one row and write the file."""
        self.rows.append([float(v) for v in row])
        self.write()

    def write(self) -> None:
        """Write all rows; of processes that train together the first one does."""
        if not first():
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([[int(r[0]), *(f"{v:.6g}" for v in r[1:])] for r in self.rows])
        write_text(self.path, text.getvalue())

    def best(self) -> float:
        """Largest validation score so far, -1 before the first."""
        return max((row[5] for row in self.rows), default=-1.0)

    def epochs_since_best(self) -> float:
        """Passes over the training cases since the best validation."""
        return self.rows[-1][_EPOCH] - self.rows[-1 - self.since_best()][_EPOCH] if self.rows else 0.0

    def since_best(self) -> int:
        """Validations since the best one."""
        scores = self.watched
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0
