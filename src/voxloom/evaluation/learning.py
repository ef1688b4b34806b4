"""Learning curves: from a table of runs on training sets of several sizes to a fitted trend.

Knows rows of plain values. The power law is that of ``voxloom.evaluation.point_tests``.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.evaluation.point_tests import Trend, learning_trend


@dataclass(frozen=True)
class LearningCurve:
    """Errors over training-set sizes.

    Parameters
    ----------
    score : the column that was read.
    sizes : of every run, ascending.
    errors : of the same runs: 1 - score where large scores are good, the score itself where small ones are.
    trend : fitted to all runs.
    """

    score: str
    sizes: tuple[float, ...]
    errors: tuple[float, ...]
    trend: Trend

    def by_size(self) -> list[tuple[float, int, float]]:
        """(size, runs, mean error), ascending."""
        groups: dict[float, list[float]] = {}
        for size, error in zip(self.sizes, self.errors, strict=True):
            groups.setdefault(size, []).append(error)
        return [(size, len(errors), statistics.fmean(errors)) for size, errors in groups.items()]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with what the trend expects of twice the largest size."""
        largest = self.sizes[-1]
        return {**asdict(self), "twice": {"size": 2 * largest, "error": self.trend(2 * largest)}}


def learning_curve(
    rows: Sequence[Mapping[str, Any]], size: str, score: str, *, largest: bool = True, where: str | Path | None = None
) -> LearningCurve:
    """The curve of a table of runs.

    Parameters
    ----------
    rows : one per run: column -> value; runs without a score (failed ones) are left out.
    size : column with the number of training scans or patients.
    largest : large scores are good, and 1 is the best possible.
    where : the table's file, named in errors.

    Raises
    ------
    BadInput : no such column, a size or score that is no number, a score above 1 whose error is unknown, or fewer than three sizes.
    """
    columns = {name for row in rows for name in row}
    if absent := [name for name in (size, score) if name not in columns]:
        raise BadInput(f"there is no column `{absent[0]}`", where, f"There are {', '.join(sorted(columns))}")
    found = sorted((_number(row, size, where), _number(row, score, where)) for row in rows if score in row)
    if largest and found and max(value for _, value in found) > 1:
        raise BadInput(f"`{score}` exceeds 1, so 1 - {score} is no error", where, "Say --goal min for distances")
    sizes = tuple(n for n, _ in found)
    errors = tuple(1 - value if largest else value for _, value in found)
    return LearningCurve(score, sizes, errors, learning_trend(sizes, errors))


def _number(row: Mapping[str, Any], name: str, where: Any) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"`{name}` holds {value!r}, which is no number", where, "Correct the table")
    return float(value)
