"""The score of a landmark run, by the name that a sweep gives it. Knows ``summary.json`` of such runs."""

from __future__ import annotations

import math
from typing import Any

from voxloom.errors import BadInput
from voxloom.tasks.scoring import held_out


def read_point_scores(summary: dict[str, Any], score: str) -> dict[str, float | None]:
    """The compared score, the same figure per level, and what went wrong.

    Parameters
    ----------
    score : a figure over all landmarks ("recall", "recall_3d", "distance_mean", "missed", ...), or of one level ("recall.L5").

    Raises
    ------
    BadInput : the run held out no case, or has no such figure or level.
    """
    validation = held_out(summary)
    figure, _, level = score.partition(".")
    everything, levels = validation["all"], validation["levels"]
    if figure not in everything:
        raise BadInput(f"landmark runs have no figure `{figure}`", None, f"There are {', '.join(everything)}")
    if level and level not in levels:
        raise BadInput(f"there is no level `{level}`", None, f"There are {', '.join(levels)}")
    chosen = levels[level] if level else everything
    found = {"score": _finite(chosen[figure])}
    found |= {name: float(everything[name]) for name in ("missed", "shifted", "invented") if name != figure}
    return found | {f"{figure}.{name}": _finite(own[figure]) for name, own in levels.items()}


def _finite(value: Any) -> float | None:
    """A number; None where nothing was found, so that there is no mean distance."""
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
