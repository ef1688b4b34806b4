"""Patients that a test set needs, by the spread of the figures of one run, or of the differences of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.evaluation.paired import Comparison
from voxloom.evaluation.statistics import SampleSize, size_for_difference, size_for_width
from voxloom.verbs.contenders import Contender, common_cases, known_metric, read_contenders, tables_of


def sample_sizes(
    paths: Sequence[str | Path],
    *,
    metric: str | None = None,
    width: float | None = None,
    difference: float | None = None,
    power: float = 0.8,
) -> dict[str, SampleSize]:
    """Label -> patients that are needed.

    Parameters
    ----------
    paths : a run, or a folder with a ``metrics.csv``; two for a difference. Test figures are taken where all have them.
    metric : one of those of the task, a figure of single cases; None takes its main one.
    width, difference : one of both, in the unit of the metric.
    power : chance to find the difference.

    Raises
    ------
    BadInput : another number of runs, an unknown metric, or a pilot that says too little.
    """
    wanted = 1 if width is not None else 2
    if len(paths) != wanted:
        fix = "Give one run for --width, two for --difference"
        raise BadInput(f"{len(paths)} runs were given, {wanted} are needed", None, fix)
    folders = [Path(path) for path in paths]
    tested = all(tables_of(path, "test") for path in folders)
    kind, contenders = read_contenders(folders, "test" if tested else "held-out")
    metric = known_metric(kind, metric, kind.case_default)
    labels, _ = kind.labels({c.name: c.evaluation for c in contenders}, metric)
    cases = common_cases(contenders)[0] if wanted == 2 else list(contenders[0].patients)
    found = {}
    for label in labels:
        values, patients = _values(kind, contenders, label, labels, metric, cases)
        if not values:
            raise BadInput(f"{metric} is not a figure of single cases", None, "Choose another metric")
        found[label] = (
            size_for_width(values, width, patients)
            if width is not None
            else size_for_difference(values, float(difference or 0), patients, power)
        )
    return found


def _values(
    kind: Comparison,
    contenders: Sequence[Contender],
    label: str,
    labels: Sequence[str],
    metric: str,
    cases: Sequence[str],
) -> tuple[list[float], list[str]]:
    """The metric of one run, or the difference of two, per case with finite values, and the patients."""
    columns = [kind.values(contender.evaluation, metric, label, labels) for contender in contenders]
    kept = [case for case in cases if all(math.isfinite(column.get(case, math.nan)) for column in columns)]
    first = [columns[0][case] for case in kept]
    values = first if len(columns) == 1 else [b - a for a, b in zip(first, (columns[1][c] for c in kept), strict=True)]
    return values, [contenders[0].patients[case] for case in kept]
