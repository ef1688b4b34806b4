"""The table of landmark figures that commands print and reports show. Knows the summary of ``PointEvaluation``."""

from __future__ import annotations

from typing import Any


def point_rows(summary: dict[str, Any] | None) -> list[list[str]]:
    """A header row, one row per level and one over all; the header alone without a summary."""
    reach = summary["within_mm"] if summary else 5.0
    head = [
        "level",
        "points",
        "missed",
        "wrong level",
        "invented",
        "|dx| mm",
        "in slice mm",
        "3D mm",
        f"within {reach:g} mm",
    ]
    if not summary:
        return [head]
    rows = [head]
    for name, f in {**summary["levels"], "all": summary["all"]}.items():
        counts = [str(f[key]) for key in ("points", "missed", "shifted", "invented")]
        means = [f"{f[key]:.2f}" for key in ("dx_mean", "in_plane_mean", "distance_mean")]
        rows.append([name, *counts, *means, f"{100 * f['recall']:.1f} %"])
    return rows
