"""``table.csv`` of a sweep: one row per trial.

Knows columns. Any spreadsheet, and ``voxloom aggregate``, can read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset.tables import write_table
from voxloom.sweep.settings import Sweep
from voxloom.sweep.trial import Record


def table_rows(
    sweep: Sweep, records: Sequence[Record], tests: Mapping[int, Mapping[str, float | None]] | None = None
) -> list[dict[str, Any]]:
    """Trial, factors, scores (the compared one first, under the name that the sweep gives it), seconds, status, error, run.

    Parameters
    ----------
    tests : trial -> scores on the test set; their columns begin with ``test.``.
    """
    tested = tests or {}
    further = list(dict.fromkeys(name for r in records for name in r.scores if name != "score"))
    beyond = list(dict.fromkeys(name for scores in tested.values() for name in scores if name != "score"))
    return [
        {
            "trial": r.number,
            **{factor.name: r.levels.get(factor.name) for factor in sweep.factors},
            sweep.score: r.score,
            **{name: r.scores.get(name) for name in further if name != sweep.score},
            **({f"test.{sweep.score}": tested.get(r.number, {}).get("score")} if tested else {}),
            **{f"test.{name}": tested.get(r.number, {}).get(name) for name in beyond if name != sweep.score},
            "seconds": r.seconds,
            "status": r.status,
            "error": r.error,
            "run": f"runs/{r.number:04d}",
        }
        for r in records
    ]


def write_csv(rows: Sequence[dict[str, Any]], path: Path) -> Path:
    """Write the rows, whole or not at all; an unknown value is an empty cell."""
    return write_table(path, list(rows[0]) if rows else ["trial"], rows)
