"""``review.html``: cases whose labels are suspected to be wrong, with the contours of truth and prediction.

Knows what is shown of a suspect. Does not know how suspects are found.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset.labels import Labels
from voxloom.report.case_slices import case_slices
from voxloom.report.pages import write_page
from voxloom.report.panels import STYLES
from voxloom.report.parts import Part, table_of
from voxloom.report.style import write_picture
from voxloom.volume import Volume


@dataclass(frozen=True)
class Suspect:
    """A held-out case with low Dice.

    Parameters
    ----------
    fold : that held it out.
    dice : what was compared with the threshold.
    worst_label, worst_dice : its worst label.
    verdict : "keep", or "exclude" where a person has looked and found the label wrong.
    """

    case: str
    patient: str
    fold: int
    dice: float
    worst_label: str
    worst_dice: float
    verdict: str


def thumbnail(image: Volume, truth: Volume, prediction: Volume, labels: Labels, path: Path) -> Path:
    """Write a PNG of three slices, one per plane, through most of the truth (solid) with the prediction (dashed).

    ``truth`` and ``prediction`` are label maps (1, I, J, K) of outer values on the grid of the image.
    """
    figure = case_slices(image, [(truth, "-"), (prediction, "--")], labels, styles=STYLES)
    return write_picture(figure, path, dpi=120)


def write_review_page(
    found: Sequence[Suspect], pictures: Mapping[str, Path], judged: str, threshold: float, path: Path
) -> Path:
    """Write the page, which carries its pictures along.

    Parameters
    ----------
    judged : how many cases were looked at, in words.
    """
    head = ["Case", "Patient", "Fold", "Dice", "Worst label", "its Dice", "Verdict"]
    rows = [
        [s.case, s.patient, s.fold, f"{s.dice:.3f}", s.worst_label, f"{s.worst_dice:.3f}", s.verdict] for s in found
    ]
    shown = [
        {"caption": f"{s.case}, Dice {s.dice:.3f} ({s.verdict})", "data": _embedded(pictures[s.case])} for s in found
    ]
    text = (
        "A low Dice is a suspicion, not a proof: the label may be right and the network wrong. Every verdict is keep until a "
        "person has looked: write exclude under verdict in review.csv where the label is wrong."
    )
    parts = [Part("Suspects", text, table_of(head, rows))] if found else []
    parts += (
        [Part("Contours", "Solid: truth. Dashed: prediction of the fold that never saw it.", pictures=shown)]
        if found
        else []
    )
    values = {
        "name": "Review of labels",
        "lead": f"{len(found)} cases with Dice below {threshold:g}.",
        "subtitle": f"{judged}.",
        "warnings": [],
        "parts": parts,
    }
    return write_page(path, "page.html", values)


def _embedded(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"
