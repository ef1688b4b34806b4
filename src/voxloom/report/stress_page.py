"""``stress.html``: how far a model holds while scans get worse. Knows the figures of a stress test; runs no model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.evaluation.statistics import Estimate
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, picture, table_of
from voxloom.report.plots import contrasts_plot, robustness_plot


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


def figure_title(result: Mapping[str, Any]) -> str:
    """The figure in words: Dice has a capital, and is what tests of earlier versions measured."""
    figure = str(result.get("figure", "dice"))
    return "Dice" if figure == "dice" else figure


def lead_sentence(result: Mapping[str, Any]) -> str:
    """Which stresses cost the agreed fall, and which do not."""
    broken = [c["title"].lower() for c in result["curves"] if c["first_bad"] is not None]
    held = [c["title"].lower() for c in result["curves"] if c["first_bad"] is None]
    parts = [f"Mean {figure_title(result)}: {result['fall_text']} under {', '.join(broken)}."] if broken else []
    parts += [f"It holds against {', '.join(held)} at all levels tested."] if held else []
    return " ".join(parts)


def _table_part(result: Mapping[str, Any]) -> Part:
    rows = []
    for curve in result["curves"]:
        means = [Estimate(**m) for m in curve["means"]]
        steps = "; ".join(f"{level}: {m.value:.3f}" for level, m in zip(curve["levels"], means, strict=True))
        bad = curve["first_bad"]
        rows.append([curve["title"], curve["unit"] or "direction", steps, "–" if bad is None else curve["levels"][bad]])
    title = figure_title(result)
    head = ["Stress", "Unit of the levels", f"Mean {title} per level", f"First level with {result['fall_text']}"]
    text = f"Mean over cases of the mean {title} over labels. What is drawn on an image is rotated, mirrored and cropped with it."
    return Part("Where it breaks", text, table_of(head, rows))


def _figure_part(result: Mapping[str, Any], root: Path) -> Part:
    pictures = []
    for curve, limit in zip(result["curves"], result["limits"], strict=True):
        means = [Estimate(**m) for m in curve["means"]]
        measured = figure_title(result)
        if curve["unit"]:
            title = f"{curve['title']} ({curve['unit']})"
            figure = robustness_plot(title, curve["levels"], means, limit, curve["first_bad"], measured)
        else:
            figure = contrasts_plot(curve["title"], curve["levels"], means, limit, measured)
        pictures.append(picture(figure, curve["sentence"], root / "figures" / f"stress_{curve['stress']}"))
    text = (
        "Bands and bars are 95 % intervals over patients; the dashed line is the allowed change, the ring the first level "
        "beyond. Changes without an order are points that no line joins."
    )
    return Part("Robustness curves", text, pictures=pictures)
