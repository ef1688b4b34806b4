"""One metric of the cases of one run, and what is known of these cases: what tables by attribute and mixed models begin with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset.columns import CASE, called
from voxloom.dataset.tables import columns_of, name_some, read_table
from voxloom.errors import BadInput
from voxloom.evaluation.paired import Comparison
from voxloom.files import read_json
from voxloom.runfiles import test_in
from voxloom.verbs.contenders import Cases, Contender, known_metric, read_contenders, tables_of

Attributes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CaseFigures:
    """Figures of single cases, label by label.

    Parameters
    ----------
    kind : how figures of the run's task are read.
    found : the run's rows, and the patient of every case.
    metric : that is read.
    known : case -> attribute -> value.
    path : of the run, for messages.
    where : the table of the attributes, or the run, for messages.
    """

    kind: Comparison
    found: Contender
    metric: str
    known: Attributes
    path: str | Path
    where: str | Path

    @classmethod
    def of(
        cls, path: str | Path, *, table: str | Path | None = None, metric: str | None = None, cases: Cases | None = None
    ) -> CaseFigures:
        """The figures of a run, or of a folder with a ``metrics.csv``.

        Parameters
        ----------
        table : with a column of cases and the attributes; None takes those that the run kept of its data set.
        metric : one of those of the task, a figure of single cases; None takes its main one.
        cases : "test" or "held-out"; None takes the test where there is one.

        Raises
        ------
        BadInput : there are no such figures, the metric is unknown, or the table has no cases of the run.
        """
        folder = Path(path)
        on: Cases = cases or ("test" if tables_of(folder, "test") else "held-out")
        kind, (found,) = read_contenders([folder], on)
        chosen = known_metric(kind, metric, kind.case_default)
        known = attributes_of(folder, on) if table is None else table_attributes(Path(table), list(found.patients))
        return cls(kind, found, chosen, known, path, table or path)

    @property
    def labels(self) -> list[str]:
        """Labels, landmarks or answers that the metric is told of."""
        return list(self.kind.labels({self.found.name: self.found.evaluation}, self.metric)[0])

    @property
    def attributes(self) -> list[str]:
        """Names of everything that is known of any case, by the alphabet."""
        return sorted({name for values in self.known.values() for name in values})

    def knows(self, attribute: str) -> bool:
        """Whether any case has it."""
        return any(attribute in values for values in self.known.values())

    def column(self, attribute: str) -> dict[str, Any]:
        """An attribute of every case; None where it is not known."""
        return {case: self.known.get(case, {}).get(attribute) for case in self.found.patients}

    def values(self, label: str, labels: Sequence[str]) -> dict[str, float]:
        """The metric of every case, for one of ``labels``.

        Raises
        ------
        BadInput : it is not a figure of single cases, or infinite or undefined for one: nothing is left out.
        """
        values = self.kind.values(self.found.evaluation, self.metric, label, labels)
        if not values:
            raise BadInput(f"{self.metric} is not a figure of single cases", self.path, "Choose another metric")
        lost = [case for case, value in values.items() if not math.isfinite(value)]
        if lost:
            fix = "Choose a metric that every case has, such as dice"
            what = f"{self.metric} of {label} is infinite or undefined for {name_some(lost)}"
            raise BadInput(what, self.path, fix)
        return values


def attributes_of(folder: Path, cases: Cases) -> dict[str, dict[str, Any]]:
    """Case -> attributes, as a run kept them of its data set; empty for a folder that is not a run."""
    file = test_in(folder).cases if cases == "test" else folder / "data.json"
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
