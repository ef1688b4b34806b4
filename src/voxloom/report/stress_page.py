"""``stress.html``: how far a model holds while scans get worse. Knows the figures of a stress test; runs no model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.evaluation.statistics import Estimate
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, picture, table_of
from voxloom.report.plots import robustness_plot


def write_stress_report(result: Mapping[str, Any], name: str, folder: str | Path) -> Path:
    """Write ``stress.html`` and a figure per stress as SVG and PNG.

    Parameters
    ----------
    result : as ``voxloom.verbs.stress.to_dict`` gives it.
    name : of the run.
    """
    root = Path(folder)
    page = {
        "name": f"Stress test · {name}",
        "lead": lead_sentence(result),
        "subtitle": f"{result['cases']} cases of {result['patients']} patients",
        "warnings": result["warnings"],
        "parts": [_table_part(result), _figure_part(result, root)],
    }
    return write_page(root / "stress.html", "page.html", page)


def lead_sentence(result: Mapping[str, Any]) -> str:
    """Which stresses cost the agreed fall, and which do not."""
    points = f"{100 * result['fall']:.0f} points"
    broken = [c["title"].lower() for c in result["curves"] if c["first_bad"] is not None]
    held = [c["title"].lower() for c in result["curves"] if c["first_bad"] is None]
    parts = [f"Mean Dice falls by {points} under {', '.join(broken)}."] if broken else []
    parts += [f"It holds against {', '.join(held)} at all levels tested."] if held else []
    return " ".join(parts)


def _table_part(result: Mapping[str, Any]) -> Part:
    rows = []
    for curve in result["curves"]:
        means = [Estimate(**m) for m in curve["means"]]
        steps = "; ".join(f"{level}: {m.value:.3f}" for level, m in zip(curve["levels"], means, strict=True))
        bad = curve["first_bad"]
        rows.append([curve["title"], curve["unit"] or "direction", steps, "–" if bad is None else curve["levels"][bad]])
    head = [
        "Stress",
        "Unit of the levels",
        "Mean Dice per level",
        f"First level {100 * result['fall']:.0f} points down",
    ]
    text = "Mean over cases of the mean Dice over labels. The truth follows what is rotated, mirrored or cropped."
    return Part("Where it breaks", text, table_of(head, rows))


def _figure_part(result: Mapping[str, Any], root: Path) -> Part:
    pictures = []
    for curve in result["curves"]:
        means = [Estimate(**m) for m in curve["means"]]
        title = f"{curve['title']} ({curve['unit']})" if curve["unit"] else curve["title"]
        figure = robustness_plot(title, curve["levels"], means, means[0].value - result["fall"], curve["first_bad"])
        pictures.append(picture(figure, curve["sentence"], root / "figures" / f"stress_{curve['stress']}"))
    text = (
        "Bands are 95 % intervals over patients; the dashed line is the allowed fall, the ring the first level below."
    )
    return Part("Robustness curves", text, pictures=pictures)
