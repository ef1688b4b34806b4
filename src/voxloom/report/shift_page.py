"""``shift.html``: what of a data set is unlike the training cases of a run. Knows the figures; measures nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.evaluation.statistics import p_text
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.style import ALERT, MARK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_shift_page(result: Mapping[str, Any], name: str, path: Path) -> Path:
    """Write the page.

    Parameters
    ----------
    result : ``ShiftReport.to_dict``.
    name : of the run.
    """
    cases, patients = result["training"]
    rows = [
        [
            s["name"],
            s["training"],
            s["test"],
            f"{100 * s['outside']:.0f} %",
            f"{s['effect']:+.2f}",
            p_text(_known(s["p_holm"])),
        ]
        for s in result["shifts"]
    ]
    head = ["Fact", "Training: median (range)", "Test: median (range)", "Outside", "Effect", "p (Holm)"]
    text = (
        "One value per patient. Outside: share of the test patients beyond the range, or the categories, of the training's. Effect: "
        "rank-biserial correlation, above 0 where the test's values are larger; of categories Cramér's V. p: Mann-Whitney or "
        "Fisher's test, Holm-corrected over the table. A difference need not harm a model, and no difference shown is not equality."
    )
    parts = [Part("Facts of the scans", text, table_of(head, rows), longest=40)]
    if result["embedding"] is not None:
        parts.append(_features(result["embedding"]))
    if result["told"]:
        listed = [[case, sentence] for case, sentence in result["told"].items()]
        parts.append(
            Part("Scans far from all training scans", "As predict says of them.", table_of(["Case", "What"], listed))
        )
    values = {
        "name": f"Shift · {result['name']} against {name}",
        "lead": result["conclusion"],
        "subtitle": (
            f"{result['cases']} cases of {result['patients']} patients; trained on {cases} cases of {patients} patients"
        ),
        "warnings": [] if result["embedding"] is not None else [f"Features are not compared: {result['why']}"],
        "parts": parts,
    }
    return write_page(path, "page.html", values)


def _known(p: float | None) -> float:
    return float("nan") if p is None else p


def _features(found: Mapping[str, Any]) -> Part:
    ordered = sorted(found["distances"], key=lambda case: -found["distances"][case])
    rows = [[case, number(found["distances"][case], 2), number(found["rarer"][case])] for case in ordered]
    text = (
        "Distance of each case to the nearest training case in the deepest features of the first fold's network (each in units of its "
        f"SD over {found['training']} training cases), over the median of that distance of the {found['held_out']} cases that the "
        "fold held out. Rarer: share of held-out patients with a case at least as far. Red: so far that at most one of 100 cases like "
        "the held-out ones is."
    )
    return Part(
        "How far each case is from the training cases",
        text,
        table_of(["Case", "Distance", "Rarer"], rows),
        [
            picture(
                distance_plot(found),
                "Distance of every case to the nearest training case; 1 is the median held-out case",
            )
        ],
        longest=20,
    )


def distance_plot(found: Mapping[str, Any]) -> Figure:
    """Distances in order; those of cases that are unlike the training stand out."""
    figure = new_figure(6.4, 2.6)
    axes = figure.subplots()
    unlike = found["unlike"] or ()
    pairs = sorted((distance, case) for case, distance in found["distances"].items())
    for n, (distance, case) in enumerate(pairs):
        axes.plot([n], [distance], "o", markersize=4, color=ALERT if case in unlike else MARK)
    axes.axhline(1, linewidth=0.8, linestyle=":", color=MARK)
    axes.set(xlabel="cases, nearest first", ylabel="distance", ylim=(0, None))
    tidy(axes)
    return figure
