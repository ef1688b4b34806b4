"""A run's figures by the attributes of its cases: sex, age, site, scanner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.evaluation.limits import limits_of
from voxloom.evaluation.subgroups import Fairness, fairness
from voxloom.verbs.case_figures import CaseFigures
from voxloom.verbs.contenders import Cases


def run_fairness(
    path: str | Path,
    *,
    by: Sequence[str] = (),
    table: str | Path | None = None,
    metric: str | None = None,
    cases: Cases | None = None,
) -> dict[str, list[Fairness]]:
    """Label -> the metric by every attribute.

    Parameters
    ----------
    path : a run, or a folder with a ``metrics.csv``.
    by : attributes; none takes all that divide the cases into groups.
    table : with a column of cases and the attributes; None takes those that the run kept of its data set.
    metric : one of those of the task, a figure of single cases; None takes its main one. Cases with an infinite or undefined value
        are refused, not left out.
    cases : "test" or "held-out"; None takes the test where there is one.

    Raises
    ------
    BadInput : unknown metric or attribute, no attributes at all, or values that are not finite.
    """
    figures = CaseFigures.of(path, table=table, metric=metric, cases=cases)
    if absent := [name for name in by if not figures.knows(name)]:
        raise BadInput(
            f"no attribute {absent[0]}", figures.where, f"There are {', '.join(figures.attributes) or 'none'}"
        )
    columns = {name: figures.column(name) for name in by or figures.attributes}
    if not by:
        columns = {name: column for name, column in columns.items() if _divides(column.values())}
    if not columns:
        raise BadInput(
            "no attribute of the cases is known", figures.where, "Give --table with a column case and others"
        )
    result, labels = {}, figures.labels
    for label in labels:
        values = figures.values(label, labels)
        kept = {name: [column[case] for case in values] for name, column in columns.items()}
        result[label] = fairness(
            list(values.values()),
            [figures.found.patients[case] for case in values],
            kept,
            larger_is_better=figures.kind.metrics[figures.metric].goal != "min",
            limits=limits_of(figures.metric),
        )
    return result


def _divides(column: Iterable[Any]) -> bool:
    """Whether an attribute makes groups: more than one value, and numbers or few words."""
    known = {value for value in column if value not in (None, "") and value == value}
    numbers = all(isinstance(value, (int, float)) for value in known)
    return len(known) > 1 and (numbers or len(known) <= 12)
