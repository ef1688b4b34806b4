"""Tables of a comparison of runs, for screens and notebooks. Knows its figures; draws no conclusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxloom.evaluation.statistics import Estimate, p_text


def rank_rows(ranking: Mapping[str, Any]) -> list[list[str]]:
    """A row per model, the best first: its rank with 95 % of the draws, and how often it was the best."""
    lines = [["run", "mean", "rank [95 %]", "first in", "better than (p < .05, Holm)"]]
    for m in ranking["models"]:
        known = m["low"] is not None
        rank = f"{m['rank']:g} [{m['low']:g}, {m['high']:g}]" if known else f"{m['rank']:g} [no interval]"
        below = [worse for name, worse, _, p in ranking["better"] if name == m["name"] and p < 0.05]
        first = f"{100 * m['first']:.0f} %" if known else "-"
        lines.append([m["name"], f"{m['mean']:.4f}", rank, first, ", ".join(below) or "none"])
    return lines


def compare_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """A row per run and label, with a header row; ``result`` is ``Comparison.to_dict``."""
    lines = [["run", "label", result["reference"], "run", "difference [95 % CI]", "p (Holm)", "effect", "patients"]]
    for r in result["differences"]:
        numbers = [f"{r['reference_mean']:.4f}", f"{r['mean']:.4f}", Estimate(**r["difference"]).text(4)]
        effect = f"{r['effect']:+.2f}" if r["effect"] == r["effect"] else "-"
        lines.append([r["name"], r["label"], *numbers, p_text(r["p_holm"]), effect, str(r["patients"])])
    return lines
