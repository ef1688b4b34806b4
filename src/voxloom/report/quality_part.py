"""The section on predicted quality of a run's page. Reads ``quality.json`` and the tables beside it; runs no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from voxloom.dataset.tables import read_table
from voxloom.evaluation.quality import QualityCheck, check_quality
from voxloom.evaluation.selective import risk_coverage
from voxloom.files import read_json
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import quality_plot, risk_coverage_plot

#: Cases that a table names.
_NAMED = 10
_TITLES = {"predicted_dice": "Predicted Dice", "bound": "Bound", "true_dice": "True Dice"}


def quality_parts(run: Path) -> Iterator[Part]:
    """How well the run knows its own Dice: on the cases of calibration, and on the test cases where there are any."""
    if not (run / "quality.json").is_file() or not (run / "quality.csv").is_file():
        return
    about = read_json(run / "quality.json")
    rows = read_table(run / "quality.csv")
    promise = float(about["model"]["promise"])
    without = "Each case's Dice is predicted from the other patients alone, by features of the network that never saw the case."
    yield _part("Predicted quality: held-out cases", f"{about['sentence']} {without}", rows, promise, bounded=False)
    tested = run / "test" / "quality.csv"
    if tested.is_file():
        found = read_table(tested)
        text = _check(found, promise).sentence()
        yield _part("Predicted quality: test cases", text, found, promise, bounded=True)


def _check(rows: list[dict[str, Any]], promise: float) -> QualityCheck:
    true, predicted, bounds = (
        [float(row.get(name, 0.0)) for row in rows] for name in ("true_dice", "predicted_dice", "bound")
    )
    patients = [str(row["patient"]) for row in rows] if all("patient" in row for row in rows) else None
    return check_quality(true, predicted, bounds, promise, patients)


def _part(title: str, text: str, rows: list[dict[str, Any]], promise: float, *, bounded: bool) -> Part:
    check = _check(rows, promise)
    true, predicted = ([float(row[name]) for row in rows] for name in ("true_dice", "predicted_dice"))
    bounds = [float(row["bound"]) for row in rows] if bounded else None
    scatter = "Predicted over true Dice; every point is a case" + (", the tick below it its bound" if bounded else "")
    curve = risk_coverage([*predicted], [1 - dice for dice in true])
    pictures = [
        picture(quality_plot(true, predicted, bounds), scatter),
        picture(risk_coverage_plot(curve), "Mean error of the cases that the run is surest of, by predicted Dice"),
    ]
    rho = "unknown" if check.rho is None else f"{check.rho:.2f}"
    facts = (
        f" The predicted Dice is off by {check.mean_error:.3f} on average (Spearman's correlation {rho}). The table has the "
        "cases to look at first."
    )
    least = sorted(rows, key=lambda row: float(row["predicted_dice"]))[:_NAMED]
    columns = ["predicted_dice", *(["bound"] if bounded else []), "true_dice"]
    head = ["Case", *(_TITLES[name] for name in columns)]
    table = table_of(head, [[row["case"], *(_cell(row, name) for name in columns)] for row in least])
    return Part(title, text + facts, table, pictures)


def _cell(row: Mapping[str, Any], name: str) -> str:
    return number(float(row.get(name, 0.0)))
