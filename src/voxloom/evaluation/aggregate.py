"""From a table of runs to mean and SD by any factor: what every level of a study scores, averaged over all others.

Knows rows of plain values, factors, and the sample SD (n - 1). Does not know where rows come from nor how tables look.
"""

from __future__ import annotations

import difflib
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput

TableRow = Mapping[str, Any]

#: Joins factors that are crossed ("corrected*weights"), and their levels.
CROSS = "*"
#: The level of the table that takes all rows together.
ALL = "all"


@dataclass(frozen=True)
class Cell:
    """One score of the rows of one level.

    Parameters
    ----------
    n : rows that have the score.
    missing : rows that lack it, such as failed runs; they are counted, never dropped in silence.
    mean : NaN where no row has the score; infinite where a value is.
    sd : sample SD (n - 1); None below two values and where a value is infinite.
    """

    n: int
    missing: int
    mean: float
    sd: float | None


@dataclass(frozen=True)
class Table:
    """The levels of one factor, with a cell per column.

    Parameters
    ----------
    factor : a column of the rows, several of them crossed, or "all".
    columns : scores, or levels of the factor that lies across, or "score (level)".
    levels : level -> column -> cell, in order of first appearance.
    """

    factor: str
    columns: tuple[str, ...]
    levels: dict[str, dict[str, Cell]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        levels = {level: {name: vars(cell) for name, cell in cells.items()} for level, cells in self.levels.items()}
        return {"factor": self.factor, "columns": list(self.columns), "levels": levels}


@dataclass(frozen=True)
class Tables:
    """What is tabulated: recipe of an aggregation.

    Parameters
    ----------
    factors : columns to aggregate by, one table each; "a*b" crosses two. The table of all rows comes first.
    scores : numeric columns.
    across : a factor whose levels become columns.
    merge : factor -> new level -> levels that are taken together; others stay as they are.
    where : factor -> levels; rows with other levels are left out.
    """

    factors: tuple[str, ...] = ()
    scores: tuple[str, ...] = ()
    across: str | None = None
    merge: Mapping[str, Mapping[str, Sequence[str]]] | None = None
    where: Mapping[str, Sequence[str]] | None = None


def aggregate(rows: Sequence[TableRow], wanted: Tables, where: str | Path | None = None) -> list[Table]:
    """Mean and sample SD (n - 1) of every score, over all rows and by every level of every factor.

    Parameters
    ----------
    rows : one per run: column -> value; a row without a score counts as missing.
    where : the table's file, named in errors.

    Raises
    ------
    BadInput : a column is not there (the nearest is suggested), a score is not a number, a level to merge or keep does not
        occur, or no row is left.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    singles = [name for factor in wanted.factors for name in factor.split(CROSS)]
    for name in (*singles, *wanted.scores, *(wanted.merge or {}), *(wanted.where or {}), wanted.across):
        if name is not None and name not in columns:
            raise BadInput(f"there is no column `{name}`", where, _nearest(name, columns))
    kept = [dict(row) for row in rows if all(_level(row, f) in v for f, v in _checked(rows, wanted.where, where))]
    if not kept:
        raise BadInput("no row is left", where, "Keep more levels with --where")
    for factor, groups in (wanted.merge or {}).items():
        kept = _merged(kept, factor, groups, where)
    split = [(_level(row, wanted.across) if wanted.across else None, row) for row in kept]
    return [_table(factor, split, wanted.scores, where) for factor in (ALL, *wanted.factors)]


def _table(factor: str, split: Sequence[tuple[str | None, TableRow]], scores: Sequence[str], where: Any) -> Table:
    across = list(dict.fromkeys(name for name, _ in split))
    levels: dict[str, list[tuple[str | None, TableRow]]] = {}
    for name, row in split:
        levels.setdefault(_crossed(row, factor), []).append((name, row))
    cells: dict[str, dict[str, Cell]] = {level: {} for level in levels}
    for score in scores:
        for name in across:
            for level, members in levels.items():
                values = [_number(row, score, where) for other, row in members if other == name]
                cells[level][_column(score, name, len(scores))] = _cell(values)
    columns = tuple(_column(score, name, len(scores)) for score in scores for name in across)
    return Table(factor, columns, cells)


def _column(score: str, level: str | None, scores: int) -> str:
    if level is None:
        return score
    return level if scores == 1 else f"{score} ({level})"


def _crossed(row: TableRow, factor: str) -> str:
    if factor == ALL and ALL not in row:
        return ALL
    return CROSS.join(_level(row, name) for name in factor.split(CROSS))


def _level(row: TableRow, factor: str) -> str:
    return str(row.get(factor, ""))


def _cell(values: Sequence[float | None]) -> Cell:
    known = [value for value in values if value is not None]
    finite = all(map(math.isfinite, known))
    mean = (statistics.fmean(known) if finite else sum(known)) if known else math.nan
    sd = statistics.stdev(known) if finite and len(known) > 1 else None
    return Cell(len(known), len(values) - len(known), mean, sd)


def _number(row: TableRow, score: str, where: Any) -> float | None:
    value = row.get(score)
    if value is None or value == "":
        return None
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"`{score}` holds {value!r}, which is not a number", where, "Name columns of numbers as scores"
        ) from error


def _checked(
    rows: Sequence[TableRow], kept: Mapping[str, Sequence[str]] | None, where: Any
) -> Iterable[tuple[str, set[str]]]:
    """Factor and levels to keep; a level that never occurs is refused."""
    found = []
    for factor, levels in (kept or {}).items():
        _known_levels(rows, factor, levels, where)
        found.append((factor, set(levels)))
    return found


def _merged(
    rows: list[dict[str, Any]], factor: str, groups: Mapping[str, Sequence[str]], where: Any
) -> list[dict[str, Any]]:
    new = {old: name for name, members in groups.items() for old in members}
    _known_levels(rows, factor, list(new), where)
    return [{**row, factor: new.get(_level(row, factor), _level(row, factor))} for row in rows]


def _known_levels(rows: Sequence[TableRow], factor: str, levels: Iterable[str], where: Any) -> None:
    known = list(dict.fromkeys(_level(row, factor) for row in rows))
    for level in levels:
        if level not in known:
            raise BadInput(f"`{factor}` is never {level!r}", where, _nearest(level, known))


def _nearest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean `{close[0]}`?" if close else f"There are {', '.join(known)}"
