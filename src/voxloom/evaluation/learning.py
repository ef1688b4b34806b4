"""Learning curves: from a table of runs on training sets of several sizes to a fitted trend.

Knows rows of plain values.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import paired


@dataclass(frozen=True)
class Trend:
    """error(n) = floor + scale n^-rate, fitted to a learning curve; rms is what it leaves unexplained."""

    floor: float
    scale: float
    rate: float
    rms: float

    def __call__(self, scans: float) -> float:
        """Expected error with that many training scans."""
        return self.floor + self.scale * scans**-self.rate


def learning_trend(scans: Sequence[float], errors: Sequence[float]) -> Trend:
    """Fit the power law of learning curves (Hestness et al. 2017) to errors over training-set sizes, three sizes at least.

    Raises
    ------
    BadInput : fewer than three sizes, sizes that are not above 0, or numbers that are not finite.
    """
    from scipy.optimize import minimize_scalar, nnls

    n, y = paired(scans, errors, least=3)
    if len(set(scans)) < 3 or n.min() <= 0:
        raise BadInput(f"a trend needs at least three training-set sizes, got {sorted(set(scans))}")

    def fitted(rate: float) -> tuple[float, float, float]:
        basis = np.stack([np.ones_like(n), n**-rate], axis=1)
        (floor, scale), residual = nnls(basis, y)
        return float(floor), float(scale), float(residual)

    best = minimize_scalar(lambda rate: fitted(rate)[2], bounds=(0.01, 3.0), method="bounded").x
    floor, scale, residual = fitted(float(best))
    return Trend(floor, scale, float(best), residual / math.sqrt(len(n)))


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
    BadInput : no such column, a size or score that is not a number, a score above 1 whose error is unknown, or fewer than three sizes.
    """
    columns = {name for row in rows for name in row}
    if absent := [name for name in (size, score) if name not in columns]:
        raise BadInput(f"there is no column `{absent[0]}`", where, f"There are {', '.join(sorted(columns))}")
    scored = [row for row in rows if not _failed(row.get(score))]
    found = sorted((_number(row, size, where), _number(row, score, where)) for row in scored)
    if largest and found and max(value for _, value in found) > 1:
        raise BadInput(f"`{score}` exceeds 1, so 1 - {score} is not an error", where, "Say --goal min for distances")
    sizes = tuple(n for n, _ in found)
    errors = tuple(1 - value if largest else value for _, value in found)
    return LearningCurve(score, sizes, errors, learning_trend(sizes, errors))


def _failed(value: Any) -> bool:
    """Whether a run has no score: none was written, or it is not a number (a failed run)."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _number(row: Mapping[str, Any], name: str, where: Any) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise BadInput(f"`{name}` holds {value!r}, which is not a number", where, "Correct the table")
    return float(value)
