"""A run's figures by the attributes of its cases: sex, age, site, scanner."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset.columns import CASE, called
from voxloom.dataset.tables import columns_of, name_some, read_table
from voxloom.errors import BadInput
from voxloom.evaluation.subgroups import Fairness, fairness
from voxloom.files import read_json
from voxloom.verbs.contenders import Cases, read_contenders, tables_of

Attributes = Mapping[str, Mapping[str, Any]]


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
    folder = Path(path)
    on: Cases = cases or ("test" if tables_of(folder, "test") else "held-out")
    kind, (found,) = read_contenders([folder], on)
    metric = metric or kind.case_default
    if metric not in kind.metrics:
        raise BadInput(f"no metric {metric!r}", None, f"Choose one of {', '.join(kind.metrics)}")
    known = attributes_of(folder, on) if table is None else table_attributes(Path(table), list(found.patients))
    names = list(by) or sorted({name for values in known.values() for name in values})
    columns = {name: {case: known.get(case, {}).get(name) for case in found.patients} for name in names}
    if absent := [name for name in by if not any(name in values for values in known.values())]:
        there = sorted({name for values in known.values() for name in values})
        raise BadInput(f"no attribute {absent[0]}", table or path, f"There are {', '.join(there) or 'none'}")
    if not by:
        columns = {name: column for name, column in columns.items() if _divides(column.values())}
    if not columns:
        raise BadInput(
            "no attribute of the cases is known", table or path, "Give --table with a column case and others"
        )
    labels, _ = kind.labels({found.name: found.evaluation}, metric)
    patient, result = found.patients, {}
    for label in labels:
        values = kind.values(found.evaluation, metric, label, labels)
        if not values:
            raise BadInput(f"{metric} is not a figure of single cases", path, "Choose another metric")
        lost = [case for case, value in values.items() if not math.isfinite(value)]
        if lost:
            fix = "Choose a metric that every case has, such as dice"
            raise BadInput(f"{metric} of {label} is infinite or undefined for {name_some(lost)}", path, fix)
        kept = {name: [column[case] for case in values] for name, column in columns.items()}
        result[label] = fairness(
            list(values.values()),
            [patient[case] for case in values],
            kept,
            larger_is_better=kind.metrics[metric].goal != "min",
        )
    return result


def _divides(column: Iterable[Any]) -> bool:
    """Whether an attribute makes groups: more than one value, and numbers or few words."""
    known = {value for value in column if value not in (None, "") and value == value}
    numbers = all(isinstance(value, (int, float)) for value in known)
    return len(known) > 1 and (numbers or len(known) <= 12)


def attributes_of(folder: Path, cases: Cases) -> dict[str, dict[str, Any]]:
    """Case -> attributes, as a run kept them of its data set; empty for a folder that is not a run."""
    file = folder / "test" / "cases.json" if cases == "test" else folder / "data.json"
    if not file.is_file():
        return {}
    read = read_json(file)
    return {case["id"]: dict(case.get("attributes") or {}) for case in (read if cases == "test" else read["cases"])}


def table_attributes(table: Path, cases: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Case -> the other columns of a table (BadInput where it has no column of cases, or lacks all of them)."""
    rows = read_table(table)
    usual = called(columns_of(rows), CASE)
    if not usual:
        raise BadInput("has no column `case`", table, f"There are {', '.join(columns_of(rows))}")
    found = {str(row[usual[0]]): {k: v for k, v in row.items() if k != usual[0]} for row in rows if usual[0] in row}
    if not set(found) & set(cases):
        raise BadInput("names none of the cases", table, f"Cases are {name_some(list(cases))}")
    return found
