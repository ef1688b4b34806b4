"""The section on slices of a run's page: mean Dice over slices, and Dice against the place of the slice for some cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.evaluation.slice_table import SliceTable
from voxloom.evaluation.statistics import interval_text
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import slice_bars

#: The table, beside ``metrics.csv`` or in the folder of the run.
SLICES = "slices.csv"
#: Labels and cases (the worst and the best) that are drawn.
_LABELS, _CASES = 2, 4


def slice_part(name: str, table: Path) -> Part | None:
    """Figures and pictures of a ``slices.csv``; None where there is none.

    Parameters
    ----------
    name : of the cases, for the title.
    """
    if not table.is_file():
        return None
    slices = SliceTable.read_csv(table)
    if not slices.rows:
        return None
    rows = [_cells(label, figures) for label, figures in slices.summary().items()]
    head = ["Label", "Slices", "Dice, mean [95 % CI]", "SD", "With truth", "Dice, mean [95 % CI]", "SD"]
    text = (
        "Dice of every slice, and its mean over the slices of all cases. A slice that is empty in truth and prediction counts as 1, "
        "which lifts the mean over all slices; the mean over the slices with truth stands beside it. All slices are in slices.csv."
    )
    pictures = [
        picture(_bars(slices, case, label), f"{label} in {case}")
        for label in list(slices.summary())[:_LABELS]
        for case in shown_cases(slices, label)
    ]
    return Part(f"{name}: slices", text, table_of(head, rows), pictures, columns=2)


def shown_cases(slices: SliceTable, label: str) -> Sequence[str]:
    """The cases with the lowest and the highest mean Dice over their slices with truth."""
    means: dict[str, list[float]] = {}
    for row in slices.rows:
        if row.label == label and row.truth:
            means.setdefault(row.case, []).append(row.dice)
    ordered = sorted(means, key=lambda case: float(np.mean(means[case])))
    return ordered if len(ordered) <= _CASES else [*ordered[: _CASES // 2], *ordered[-_CASES // 2 :]]


def _bars(slices: SliceTable, case: str, label: str) -> Any:
    rows = slices.of_case(case, label)
    return slice_bars([row.dice for row in rows], [row.truth for row in rows])


def _cells(label: str, figures: dict[str, Any]) -> list[object]:
    cells: list[object] = [label]
    for part in ("all", "with_truth"):
        f = figures[part]
        cells += [f["n"], f"{number(f['mean'])} [{interval_text(f['ci'], 3)}]", number(f["sd"])]
    return cells
