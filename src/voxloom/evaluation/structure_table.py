"""Figures of single structures over many cases: a row per structure, written as ``structures.csv``, and their summary.

Knows matches of structures. A true structure that nobody found has Dice 0, and one that is not there is counted: nothing
is left out of a mean in silence.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.evaluation.instances import Match, Structure
from voxloom.evaluation.limits import limits_of
from voxloom.evaluation.summary import summarize
from voxloom.evaluation.units import common, named
from voxloom.files import write_text

#: Columns of ``structures.csv``; numbers count from the head down, ``x, y, z`` is the middle in RAS mm.
COLUMNS = (
    "case", "patient", "number", "label", "predicted_number", "predicted_label", "dice", "hd95", "assd",
    "volume_ml_truth", "volume_ml_prediction", "x", "y", "z",
)  # fmt: skip
#: The same of predictions alone.
PREDICTED_COLUMNS = ("case", "number", "label", "volume_ml", "x", "y", "z")


@dataclass
class StructureTable:
    """Matches of structures by case, in the order they were added."""

    rows: list[tuple[str, str, Match]] = field(default_factory=list)

    def add(self, case: str, matches: Sequence[Match], *, patient: str | None = None) -> None:
        """Add one case."""
        self.rows += [(case, patient or case, match) for match in matches]

    def write_csv(self, path: Path) -> Path:
        """Write ``structures.csv``, whole or not at all."""
        return _write(path, [named(column, self.unit) for column in COLUMNS], [_cells(*row) for row in self.rows])

    @property
    def unit(self) -> str:
        """Of distances, as ``Evaluation.unit``."""
        return common(match.metrics.unit for _, _, match in self.rows)

    def summary(self) -> dict[str, Any]:
        """Counts, and the Dice and volume error of the true structures: all, and by number and label.

        ``true`` structures are ``found`` or ``missed`` (Dice 0); ``extra`` ones are predicted where there is none; of those
        found ``same_number`` have the number of the true one, counted from the head, and ``same_label`` its label.
        """
        true = [(patient, match) for _, patient, match in self.rows if match.truth is not None]
        pairs = [(m.truth, m.prediction) for _, m in true if m.truth is not None and m.prediction is not None]
        kinds = {f"{m.truth.number} {m.truth.label}": m.truth.number for _, m in true if m.truth is not None}
        return {
            "true": len(true),
            "found": len(pairs),
            "missed": len(true) - len(pairs),
            "extra": len(self.rows) - len(true),
            "same_number": sum(t.number == p.number for t, p in pairs),
            "same_label": sum(t.label == p.label for t, p in pairs),
            "dice": {
                "all": _figures(true),
                **{kind: _figures([row for row in true if _is(row[1], kind)]) for kind in sorted(kinds, key=_order)},
            },
            named("volume_error_ml", self.unit): _figures(
                [row for row in true if row[1].prediction is not None], "volume_error_ml"
            ),
        }


def write_predicted(path: Path, cases: Sequence[tuple[str, Sequence[Structure]]]) -> Path:
    """Write the structures of predictions, a row each: case, number from the head down, label, ml, middle in RAS mm."""
    lines = [
        [case, str(s.number), s.label, f"{s.ml:.4f}", *(f"{v:.2f}" for v in s.center)]
        for case, all_ in cases
        for s in all_
    ]
    return _write(path, PREDICTED_COLUMNS, lines)


def _figures(rows: Sequence[tuple[str, Match]], metric: str = "dice") -> dict[str, Any]:
    values = [float(getattr(match.metrics, metric)) for _, match in rows]
    return summarize(values, [patient for patient, _ in rows], limits_of(metric))


def _is(match: Match, kind: str) -> bool:
    return match.truth is not None and f"{match.truth.number} {match.truth.label}" == kind


def _order(kind: str) -> tuple[int, str]:
    number, _, label = kind.partition(" ")
    return int(number), label


def _cells(case: str, patient: str, match: Match) -> list[str]:
    names = [(str(s.number), s.label) if s else ("", "") for s in (match.truth, match.prediction)]
    where = match.truth or match.prediction
    assert where is not None
    m = match.metrics
    numbers = [m.dice, m.hd95, m.assd, m.volume_ml_truth, m.volume_ml_prediction]
    return [case, patient, *names[0], *names[1], *(f"{v:.6g}" for v in numbers), *(f"{v:.2f}" for v in where.center)]


def _write(path: Path, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    write_text(path, text.getvalue())
    return path
