"""Columns of a table as factors of a regression: numbers, or groups against the first of them. Knows values of cells only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput

#: Groups of a factor that is given in words; more are ids rather than groups.
MOST_GROUPS = 6


def factor_columns(
    name: str, values: Mapping[str, Any], where: str | Path, most: int = MOST_GROUPS
) -> dict[str, dict[str, float]]:
    """A column of numbers as it is; one of words as 0 and 1, every word against the first by the alphabet.

    Parameters
    ----------
    values : case -> cell.
    where : the table, for errors.
    most : groups that are told apart.

    Raises
    ------
    BadInput : numbers and words are mixed, or there are so many words that they are names rather than groups.
    """
    numbers = {case: number for case, value in values.items() if (number := _number(value)) is not None}
    words = sorted({str(value) for case, value in values.items() if case not in numbers})
    if not words:
        return {name: numbers}
    if numbers:
        what = f"column {name} holds {words[0]!r} beside {next(iter(numbers.values())):g}: neither a number nor a group"
        raise BadInput(what, where, "Correct the cell, or leave it empty")
    if len(words) > most or len(words) == 1:
        what = f"column {name} has {len(words)} different word(s), and is neither a number nor one of {_up_to(most)} groups"
        raise BadInput(what, where, "Give another column; voxloom fairness compares many groups of a run's cases")
    first, *others = words
    return {
        f"{name} ({word} against {first})": {case: float(str(v) == word) for case, v in values.items()}
        for word in others
    }


def _number(value: Any) -> float | None:
    """A cell's number, also one in text; None for a word."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if isinstance(value, (int, float)) or math.isfinite(found) else None


def _up_to(most: int) -> str:
    return "two" if most == 2 else f"2 to {most}"
