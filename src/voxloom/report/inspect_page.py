"""``inspect.html``: the problems of a data set, its figures and pictures on one page that opens offline.

Knows what goes on the page and which cases are pictured. Measures nothing; see ``voxloom.dataset.inspect``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.inspect import CaseFacts, Fingerprint, Problem, Suggestion
from voxloom.dataset.inspect.facts import HISTOGRAM_RANGE
from voxloom.dataset.inspect.text import label_rows
from voxloom.evaluation.units import PIXEL, distance_unit, volume_unit
from voxloom.files import write_text
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress
from voxloom.report.case_picture import CasePicture, draw_case
from voxloom.report.charts import Range, bar_chart, histogram_chart, range_chart, strip_chart
from voxloom.report.pages import render as render_page
from voxloom.report.style import COLORS

#: Most cases that are pictured, and of these at most how many because of a problem.
PICTURES = 35
_PROBLEM_PICTURES = 15
_ROWS = 1000
_LABEL_COLUMNS = 6
_STRIPS = 24
_RANGES = 400


def write_inspect_page(
    dataset: Dataset,
    found: Fingerprint,
    problems: Sequence[Problem],
    suggestion: Suggestion,
    path: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the page to ``path`` (a name ending in .html, or a folder for inspect.html) and return where it is."""
    target = Path(path) if Path(path).suffix.lower() in (".html", ".htm") else Path(path) / "inspect.html"
    pictures = _draw(dataset, found, problems, workers, progress)
    write_text(target, render(dataset, found, problems, suggestion, pictures))
    return target


def render(
    dataset: Dataset,
    found: Fingerprint,
    problems: Sequence[Problem],
    suggestion: Suggestion,
    pictures: Sequence[CasePicture],
) -> str:
    """The page as text."""
    values = {
        "name": found.name,
        "tiles": _tiles(dataset, found),
        "problems": problems,
        "suggestion": suggestion,
        "intensities": _intensity_charts(found, problems),
        "labels": label_rows(found),
        "volumes": _volume_chart(found),
        "classes": bar_chart(found.class_counts, "Cases per class") if found.task == "classification" else "",
        "pictures": pictures,
        "legend": list(enumerate(found.label_names)),
        "colors": COLORS,
        "rows": _rows(found, problems),
        "row_labels": found.label_names[:_LABEL_COLUMNS],
        "length": distance_unit(found.unit),
        "case_count": len(found.cases),
    }
    return render_page("inspect.html", values)


def choose_cases(found: Fingerprint, problems: Sequence[Problem], most: int = PICTURES) -> list[str]:
    """Readable cases to picture: those with errors and warnings first, then evenly spread over the set."""
    readable = [case.id for case in found.cases if case.readable]
    flagged = [name for p in problems if p.severity != "note" for name in p.cases]
    first = [name for name in dict.fromkeys(flagged) if name in set(readable)][: min(_PROBLEM_PICTURES, most // 2)]
    rest = [name for name in readable if name not in set(first)]
    room = most - len(first)
    spread = rest if len(rest) <= room else [rest[n * len(rest) // room] for n in range(room)]
    return first + spread


def _draw(
    dataset: Dataset, found: Fingerprint, problems: Sequence[Problem], workers: int | None, progress: Progress | None
) -> list[CasePicture]:
    labels = dataset.declared_labels
    if not isinstance(labels, Labels):
        values = {v for case in found.labeled for v in case.label_values}
        labels = Labels.from_values(values) if values - {0} and min(values) >= 0 else None
    tasks = [(name, (dataset[name], labels, dataset.channels)) for name in choose_cases(found, problems)]
    chosen = 0 if workers is None and sum(case.voxels for case in found.cases[:PICTURES]) < 1 << 26 else workers
    outcomes = map_outcomes(draw_case, tasks, step="drawing", workers=chosen, progress=progress)
    return [outcome for _, outcome in outcomes if isinstance(outcome, CasePicture)]


def _tiles(dataset: Dataset, found: Fingerprint) -> list[tuple[str, str, str]]:
    """Key figures: title, value, explanation."""
    patients = {case.patient for case in dataset}
    told = f"{len(patients)} patients" if dataset.names_patients else "no patient numbers"
    tiles = [("Cases", str(len(found.cases)), f"{told}, {found.task}")]
    tiles.append(("Channels", str(len(found.channels)), ", ".join(found.channels)))
    if found.readable:
        shapes, spacings = [c.shape for c in found.readable], [c.spacing for c in found.readable]
        tiles.append(("Size", _spans(shapes, "{:.0f}"), "voxels, axes as stored"))
        tiles.append(("Voxel", _spans(spacings, "{:.3g}"), f"{distance_unit(found.unit)}, axes as stored"))
        if found.unit != PIXEL:
            counts = ", ".join(f"{n}" for n in found.orientations.values()) + " cases"
            tiles.append(("Orientation", ", ".join(found.orientations), counts))
    if found.label_names:
        names = ", ".join(found.label_names[:6]) + (", …" if len(found.label_names) > 6 else "")
        tiles.append(("Labels", str(len(found.label_names)), names))
    return tiles


def _spans(values: Sequence[tuple[float, ...]], form: str) -> str:
    lows, highs = [min(v) for v in zip(*values, strict=True)], [max(v) for v in zip(*values, strict=True)]
    texts = [(form.format(a), form.format(b)) for a, b in zip(lows, highs, strict=True)]
    return " × ".join(a if a == b else f"{a}–{b}" for a, b in texts)


def _intensity_charts(found: Fingerprint, problems: Sequence[Problem]) -> list[tuple[str, Any, Any]]:
    """Channel name, chart of the gray scales, chart of the histograms."""
    flagged = {name for p in problems if p.severity != "note" for name in p.cases}
    shown = found.readable[:: max(1, -(-len(found.readable) // _RANGES))]
    charts = []
    for name in found.channels if shown else ():
        ranges = [_range(case, name, case.id in flagged) for case in shown if name in case.channels]
        histograms = [c.channels[name].histogram for c in found.having(name) if any(c.channels[name].histogram)]
        lines = histogram_chart(histograms, HISTOGRAM_RANGE, f"Histograms of {name}") if histograms else ""
        charts.append((name, range_chart(ranges, f"Gray scale of {name} per case"), lines))
    return charts


def _range(case: CaseFacts, channel: str, alert: bool) -> Range:
    whole = case.channels[channel].whole
    low, q1, middle, q3, high = (whole.percentile(q) for q in (0.5, 25.0, 50.0, 75.0, 99.5))
    return Range(case.id, (low, q1, middle, q3, high), alert)


def _volume_chart(found: Fingerprint) -> Any:
    flat = all(case.shape[2] == 1 for case in found.readable)
    cases = [case for case in found.labeled if case.readable]
    names = found.label_names[:_STRIPS]
    groups = {n: [c.label_voxels.get(n, 0) * (1.0 if flat else c.voxel_ml) for c in cases] for n in names}
    return strip_chart(groups, "Size of each label per case", "pixels" if flat else volume_unit(found.unit), COLORS)


def _rows(found: Fingerprint, problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """The table of cases, those with problems first."""
    worst = {name: p.severity for p in reversed(problems) for name in p.cases if p.severity != "note"}
    order = {"error": 0, "warning": 1}
    cases = sorted(found.cases, key=lambda case: order.get(worst.get(case.id, ""), 2))
    return [{"case": case, "severity": worst.get(case.id, "")} for case in cases[:_ROWS]]
