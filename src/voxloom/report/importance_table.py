"""Tables of a random search for people: which setting mattered, and the best runs. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxloom.evaluation.importance import Importance
from voxloom.evaluation.statistics import p_text


def importance_rows(found: Importance) -> list[list[str]]:
    """A header row and one row per weight, the weightiest first."""
    rows = [["factor", "weight per SD", "coefficient", "standard error", "p", "p, Holm"]]
    for w in found.weights:
        p = [p_text(value).removeprefix("p = ").removeprefix("p ") for value in (w.p, w.p_holm)]
        rows.append([w.factor, f"{w.standardized:.4g}", f"{w.coefficient:.4g}", f"{w.error:.3g}", *p])
    return rows


def importance_note(found: Importance) -> str:
    """What the regression rests on, in a sentence."""
    parts = [f"{found.runs} runs, R2 {found.r2:.2f}, all factors together {p_text(found.f_p)}"]
    parts += [f"{found.missing} without a score left out"] if found.missing else []
    parts += [f"never varied: {', '.join(found.constant)}"] if found.constant else []
    return "; ".join(parts)


def best_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[list[str]]:
    """A header row and one row per run, numbers to four digits."""
    return [list(columns), *([_cell(row.get(name)) for name in columns] for row in rows)]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
