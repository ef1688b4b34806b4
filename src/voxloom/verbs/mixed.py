"""A run's figures by a mixed model: how much sites, patients and cases differ, and which factors move the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.evaluation.factors import factor_columns
from voxloom.evaluation.statistics import holm
from voxloom.evaluation.statistics.mixed import MixedModel, mixed_model
from voxloom.verbs.case_figures import CaseFigures
from voxloom.verbs.contenders import Cases


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
    figures = CaseFigures.of(path, table=table, metric=metric, cases=cases)
    patients = {
        case: str(figures.known.get(case, {}).get("patient") or own) for case, own in figures.found.patients.items()
    }
    sites = None if site is None else {case: str(value) for case, value in _column(site, figures).items()}
    columns: dict[str, dict[str, float]] = {}
    for name in factors:
        columns |= factor_columns(name, _column(name, figures), figures.where, most=2)
    models, labels = {}, figures.labels
    for label in labels:
        values = figures.values(label, labels)
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


def _column(name: str, figures: CaseFigures) -> dict[str, Any]:
    """An attribute that every case has (BadInput where one has none)."""
    if not figures.knows(name):
        fix = f"There are {', '.join(figures.attributes) or 'none'}; or give --table"
        raise BadInput(f"no attribute {name}", figures.where, fix)
    column = figures.column(name)
    lost = [case for case, value in column.items() if value in (None, "") or value != value]
    if lost:
        fix = "Name another attribute, or complete the table"
        raise BadInput(f"{name} is not known for {name_some(lost)}", figures.where, fix)
    return column
