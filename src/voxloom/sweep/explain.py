"""What a search has taught: the best trials, and which of the varied settings mattered.

Knows the settings of a sweep and its table. The arithmetic is in ``voxloom.evaluation.importance``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.evaluation.importance import Importance, best_rows, importance
from voxloom.sweep.settings import Sweep
from voxloom.sweep.table import write_csv


@dataclass(frozen=True)
class Lesson:
    """Best trials and importance of a search.

    Parameters
    ----------
    columns, best : of the table of the best trials, best first.
    importance : None where it cannot be computed.
    reason : why not.
    written : ``best.csv`` and ``importance.csv``.
    """

    columns: tuple[str, ...]
    best: tuple[Mapping[str, Any], ...]
    importance: Importance | None
    reason: str | None
    written: tuple[Path, ...]


def explain(sweep: Sweep, rows: Sequence[Mapping[str, Any]], folder: Path) -> Lesson:
    """Write the best trials and, where the trials suffice, the regression of the score on all factors."""
    factors = [factor.name for factor in sweep.factors]
    columns = ("trial", sweep.score, *factors)
    best = tuple(best_rows(rows, sweep.score, sweep.tables.best, largest=sweep.goal == "max"))
    written = [write_csv([{name: row.get(name) for name in columns} for row in best], folder / "best.csv")]
    log = {f.name for f in sweep.factors if f.range is not None and f.range.log} | set(sweep.tables.log)
    try:
        found = importance(rows, factors, sweep.score, log=log)
    except BadInput as error:
        return Lesson(columns, best, None, error.what, tuple(written))
    written.append(write_csv([asdict(weight) for weight in found.weights], folder / "importance.csv"))
    return Lesson(columns, best, found, None, tuple(written))
