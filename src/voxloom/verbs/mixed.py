"""A run's figures by a mixed model: how much sites, patients and cases differ, and which factors move the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.evaluation.statistics import holm
from voxloom.evaluation.statistics.mixed import MixedModel, mixed_model
from voxloom.verbs.contenders import Cases, read_contenders, tables_of
from voxloom.verbs.fairness import attributes_of, table_attributes


def run_mixed(
    path: str | Path,
    *,
    site: str | None = None,
    factors: Sequence[str] = (),
    table: str | Path | None = None,
    metric: str | None = None,
    cases: Cases | None = None,
) -> dict[str, MixedModel]:
    """Label -> mixed model of the metric; p of the factors Holm-corrected over all labels.

    Parameters
    ----------
    path : a run, or a folder with a ``metrics.csv``.
    site : attribute that names the site (scanner, hospital) of every case; None leaves the level out.
    factors : attributes that may move the score: numbers, or two words.
    table : with a column of cases and the attributes, also ``patient``; None takes those that the run kept of its data set.
    metric : one of those of the task, a figure of single cases; None takes its main one.
    cases : "test" or "held-out"; None takes the test where there is one.

    Raises
    ------
    BadInput : unknown metric or attribute, a case without one, values that are not finite, or as ``mixed_model``.
    """
    folder = Path(path)
    on: Cases = cases or ("test" if tables_of(folder, "test") else "held-out")
    kind, (found,) = read_contenders([folder], on)
    metric = metric or kind.case_default
    if metric not in kind.metrics:
        raise BadInput(f"no metric {metric!r}", None, f"Choose one of {', '.join(kind.metrics)}")
    known = attributes_of(folder, on) if table is None else table_attributes(Path(table), list(found.patients))
    where = table or path
    patients = {case: str(known.get(case, {}).get("patient") or own) for case, own in found.patients.items()}
    sites = None if site is None else {c: str(v) for c, v in _column(site, known, list(patients), where).items()}
    columns = {name: _numbers(name, _column(name, known, list(patients), where), where) for name in factors}
    labels, _ = kind.labels({found.name: found.evaluation}, metric)
    models = {}
    for label in labels:
        values = kind.values(found.evaluation, metric, label, labels)
        if not values:
            raise BadInput(f"{metric} is not a figure of single cases", path, "Choose another metric")
        lost = [case for case, value in values.items() if not math.isfinite(value)]
        if lost:
            fix = "Choose a metric that every case has, such as dice"
            raise BadInput(f"{metric} of {label} is infinite or undefined for {name_some(lost)}", path, fix)
        models[label] = mixed_model(
            list(values.values()),
            [patients[case] for case in values],
            sites=None if sites is None else [sites[case] for case in values],
            factors={name: [column[case] for case in values] for name, column in columns.items()},
        )
    return models


def corrected(models: Mapping[str, MixedModel]) -> dict[str, list[float]]:
    """Label -> p of its factors (the mean left out), Holm-corrected over all labels."""
    ps = [(label, term.p) for label, model in models.items() for term in model.terms[1:]]
    held = holm([p for _, p in ps])
    return {label: [p for (own, _), p in zip(ps, held, strict=True) if own == label] for label in models}


def _column(
    name: str, known: Mapping[str, Mapping[str, Any]], cases: Sequence[str], where: str | Path
) -> dict[str, Any]:
    """An attribute of every case."""
    if not any(name in values for values in known.values()):
        there = sorted({key for values in known.values() for key in values})
        raise BadInput(f"no attribute {name}", where, f"There are {', '.join(there) or 'none'}; or give --table")
    column = {case: known.get(case, {}).get(name) for case in cases}
    lost = [case for case, value in column.items() if value in (None, "") or value != value]
    if lost:
        raise BadInput(
            f"{name} is not known for {name_some(lost)}", where, "Name another attribute, or complete the table"
        )
    return column


def _numbers(name: str, column: Mapping[str, Any], where: str | Path) -> dict[str, float]:
    """Numbers as they are; of two words the second in the alphabet is 1."""
    try:
        return {case: float(value) for case, value in column.items()}
    except (TypeError, ValueError):
        words = sorted({str(value) for value in column.values()})
    if len(words) != 2:
        fix = "Give a column of numbers, or compare the groups: voxloom fairness"
        raise BadInput(f"{name} is neither a number nor one of two words", where, fix)
    return {case: float(str(value) == words[1]) for case, value in column.items()}
