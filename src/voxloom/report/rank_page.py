"""``rank.html``: the scans to annotate first, with what the run sees in them. Knows pictures and rows; runs no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.report.pages import write_page
from voxloom.report.parts import Part, number, table_of


def write_rank_page(
    rows: Sequence[Mapping[str, Any]], pictures: Sequence[dict[str, str]], name: str, about: str, path: Path
) -> Path:
    """Write the page.

    Parameters
    ----------
    rows : of ``rank.csv``.
    pictures : "caption" and "data" of the first scans.
    name : of the run.
    about : how uncertainty was measured, in a sentence.
    """
    head = [
        "Scan",
        "Score",
        "Uncertainty",
        "Distance",
        "Agreement of members (Dice)",
        "Entropy",
        "Mutual information",
        "Why",
    ]
    cells = [
        [
            f"{row['rank']}. {row['case']}",
            number(row["score"]),
            number(row["uncertainty"]),
            "–" if row["distance"] is None else number(row["distance"]),
            number(row["pairwise_dice"]),
            number(row["entropy"]),
            number(row["mutual_information"]),
            row["reason"],
        ]
        for row in rows
    ]
    parts = [Part("Order of annotation", about, table_of(head, cells))]
    if pictures:
        parts.append(Part("The first scans", "Lines: what the run predicts.", pictures=list(pictures), columns=2))
    values = {
        "name": f"What to annotate next · {name}",
        "lead": f"Annotate {rows[0]['case']} first: {rows[0]['reason']}.",
        "subtitle": f"{len(rows)} scans in order",
        "warnings": [],
        "parts": parts,
    }
    return write_page(path, "page.html", values)
