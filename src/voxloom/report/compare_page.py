"""``compare.html``: runs against the first of them, label by label. Knows a comparison's figures; draws no conclusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxloom.evaluation.paired import Drawn
from voxloom.evaluation.statistics import Estimate, p_text
from voxloom.files import file_stem
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import differences_plot, scatter_with_marginals, violin_with_points
from voxloom.report.plots.classes import curves_beside

#: Labels beyond this many are in the table only.
_SHOWN = 20


def write_compare_report(
    comparison: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Sequence[float]]],
    patients: Mapping[str, Sequence[str]],
    folder: str | Path,
    alpha: float,
    curves: Mapping[str, Mapping[str, Drawn]] = MappingProxyType({}),
) -> Path:
    """Write ``compare.html`` and its figures as SVG and PNG.

    Parameters
    ----------
    comparison : as ``Comparison.to_dict`` gives it.
    values : label -> run -> metric per common case, in one order of cases.
    patients : label -> patient of the same cases.
    alpha : corrected p-values below it are drawn filled.
    curves : label -> run -> the curve that stands behind the figure, where there is one.
    """
    root = Path(folder)
    rows = comparison["differences"]
    first = rows[0]
    page = {
        "name": " · ".join(comparison["names"]),
        "lead": " ".join(comparison["conclusions"]),
        "subtitle": f"{comparison['metric']} on {first['cases']} common {comparison['cases']} cases ({comparison['patients_note']}); "
        f"the reference is {comparison['reference']}",
        "warnings": comparison["warnings"],
        "parts": [
            _table_part(comparison, root, alpha),
            *_rank_parts(comparison),
            *_curve_parts(comparison, curves, root),
            *_label_parts(comparison, values, patients, root),
        ],
    }
    return write_page(root / "compare.html", "page.html", page)


def _table_part(comparison: Mapping[str, Any], root: Path, alpha: float) -> Part:
    rows = comparison["differences"]
    digits = 4 if comparison["share"] else 2
    cells = [
        [
            f"{r['name']}, {r['label']}",
            number(r["reference_mean"], digits),
            number(r["mean"], digits),
            Estimate(**r["difference"]).text(digits),
            p_text(r["p"]),
            p_text(r["p_holm"]),
            number(r["effect"], 2),
            r["cases"],
            r["patients"],
            r["tested"],
        ]
        for r in rows
    ]
    head = [
        "Run, label",
        "Reference",
        "Run",
        "Difference [95 % CI]",
        "p",
        "p, Holm",
        "Effect",
        "Cases",
        "Patients",
        "Tested",
    ]
    text = " ".join([comparison["text"], *(f"{note}." for note in comparison.get("conventions", ()))])
    if overall := comparison["overall"]:
        text += (
            f" {overall['test']} over all runs, {rows[0]['label']}: {p_text(overall['p'])} ({overall['effect_name']} "
            f"{overall['effect']:.2f}, {overall['n']} patients)."
        )
    names = [f"{r['name']}, {r['label']}" for r in rows[:_SHOWN]]
    estimates = [Estimate(**r["difference"]) for r in rows[:_SHOWN]]
    figure = differences_plot(
        names, estimates, f"difference of {comparison['metric']}", [r["p_holm"] < alpha for r in rows[:_SHOWN]]
    )
    drawn = picture(figure, f"Filled: corrected p below {alpha}", root / "figures" / "differences")
    return Part("Differences", text, table_of(head, cells), [drawn])


def _rank_parts(comparison: Mapping[str, Any]) -> list[Part]:
    """Ranks with their uncertainty and the significance map of three or more runs, and the tests against a margin."""
    parts = []
    if comparison["margins"]:
        parts.append(Part("Within the margin", " ".join(m["sentence"] for m in comparison["margins"])))
    ranking = comparison["ranking"]
    if ranking is None:
        return parts
    names = [m["name"] for m in ranking["models"]]
    p = {(a, b): held for a, b, _, held in ranking["better"]}
    cells = [
        [
            m["name"],
            f"{m['rank']:g}",
            "no interval" if m["low"] is None else f"{m['low']:g} to {m['high']:g}",
            "" if m["first"] is None else f"{100 * m['first']:.0f} %",
            *("" if m["name"] == other else p_text(p[m["name"], other]) for other in names),
        ]
        for m in ranking["models"]
    ]
    head = ["Run", "Rank", "95 % of draws", "First in", *(f"better than {name}" for name in names)]
    text = (
        f"Ranks by mean {comparison['metric']} over {ranking['patients']} patients; patients are drawn 2000 times with replacement "
        "and runs ranked anew. Significance map: one-sided Wilcoxon tests of the row being better than the column, Holm-corrected "
        "over all pairs."
    )
    return [*parts, Part("Ranking", text, table_of(head, cells))]


def _curve_parts(comparison: Mapping[str, Any], curves: Mapping[str, Mapping[str, Drawn]], root: Path) -> list[Part]:
    if not curves:
        return []
    path = root / "figures"
    pictures = [
        picture(curves_beside(by_run), label, path / file_stem(label, comparison["metric"], "curves"))
        for label, by_run in list(curves.items())[:_SHOWN]
    ]
    return [Part("Curves", "All runs on the common cases.", pictures=pictures)]


def _label_parts(
    comparison: Mapping[str, Any],
    values: Mapping[str, Mapping[str, Sequence[float]]],
    patients: Mapping[str, Sequence[str]],
    root: Path,
) -> list[Part]:
    parts, metric = [], comparison["metric"]
    for label, runs in list(values.items())[:_SHOWN]:
        names = list(runs)
        limits = (0.0, 1.0) if comparison["share"] else None
        stem = root / "figures" / file_stem(label, metric)
        pictures = [picture(violin_with_points(runs, metric, limits=limits), f"{metric} of {label}", stem)]
        for other in names[1:]:
            columns = zip(runs[names[0]], runs[other], patients[label], strict=True)
            pairs = [(a, b, patient) for a, b, patient in columns if abs(a) + abs(b) < float("inf")]
            if len(pairs) >= 3:
                first, second, groups = zip(*pairs, strict=True)
                axes = (f"{metric}, {names[0]}", f"{metric}, {other}")
                figure = scatter_with_marginals(first, second, *axes, groups=groups)
                path = root / "figures" / file_stem(label, metric, names[0], other)
                what = "patient (mean of the scans)" if len(set(groups)) < len(groups) else "case"
                pictures.append(picture(figure, f"Every point is a {what}", path))
        parts.append(Part(label, pictures=pictures))
    return parts
