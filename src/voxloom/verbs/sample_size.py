"""Patients that a test set needs, by the spread of the figures of one run, or of the differences of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.evaluation.scores import MASK_SCORES
from voxloom.evaluation.statistics import SampleSize, size_for_difference, size_for_width
from voxloom.verbs.contenders import Contender, common_cases, common_labels, read_contenders, tables_of, values_of


def sample_sizes(
    paths: Sequence[str | Path],
    *,
    metric: str = "dice",
    width: float | None = None,
    difference: float | None = None,
    power: float = 0.8,
) -> dict[str, SampleSize]:
    """Label -> patients that are needed.

    Parameters
    ----------
    paths : a run, or a folder with a ``metrics.csv``; two for a difference. Test figures are taken where all have them.
    metric : one of ``MASK_SCORES``.
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
    if metric not in MASK_SCORES:
        raise BadInput(f"no metric {metric!r}", None, f"Choose one of {', '.join(MASK_SCORES)}")
    folders = [Path(path) for path in paths]
    tested = all(tables_of(path, "test") for path in folders)
    contenders = read_contenders(folders, "test" if tested else "held-out")
    labels, _ = common_labels(contenders)
    cases = common_cases(contenders)[0] if wanted == 2 else contenders[0].evaluation.cases
    found = {}
    for label in labels:
        values, patients = _values(contenders, label, labels, metric, cases)
        found[label] = (
            size_for_width(values, width, patients)
            if width is not None
            else size_for_difference(values, float(difference or 0), patients, power)
        )
    return found


def _values(
    contenders: Sequence[Contender], label: str, labels: Sequence[str], metric: str, cases: Sequence[str]
) -> tuple[list[float], list[str]]:
    """The metric of one run, or the difference of two, per case with finite values, and the patients."""
    columns = [values_of(contender, label, labels, metric) for contender in contenders]
    kept = [case for case in cases if all(math.isfinite(column.get(case, math.nan)) for column in columns)]
    first = [columns[0][case] for case in kept]
    values = first if len(columns) == 1 else [b - a for a, b in zip(first, (columns[1][c] for c in kept), strict=True)]
    patient = contenders[0].evaluation.patients
    return values, [patient[case] for case in kept]
