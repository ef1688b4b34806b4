"""The conditions of rules as SQL over the series table.

Knows values, sets, ranges, patterns, lists in files, and the columns there are. An unknown value (NULL) meets no
condition but ``not`` and ``known: false``.
"""

from __future__ import annotations

import csv
import difflib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom.archive.database import quoted
from voxloom.archive.names import DERIVED, old_name
from voxloom.archive.rules import Where
from voxloom.errors import BadInput

_FORMS = ("min", "max", "matches", "not", "known", "listed_in", "contains", "lacks")


def sql_of(where: Where, columns: Mapping[str, str], source: str | Path) -> str:
    """All conditions as one SQL expression that is true or false, never NULL.

    Parameters
    ----------
    columns : names of the series table and their types.
    source : the rules file, for messages and for files named in it.

    Raises BadInput for an unknown column, a condition of the wrong form, a broken pattern or a missing file.
    """
    parts = [_one(name, value, columns, source) for name, value in where.items()]
    return " AND ".join(f"coalesce({part}, false)" for part in parts) if parts else "true"


def order_of(prefer: tuple[str | Where, ...], columns: Mapping[str, str], source: str | Path) -> str:
    """``prefer`` as the terms of ORDER BY, ended by series number and UID."""
    terms = []
    for entry in prefer:
        if isinstance(entry, str):
            name = entry.removeprefix("-")
            _check_column(name, columns, source)
            terms.append(f'"{name}" {"DESC" if entry.startswith("-") else "ASC"} NULLS LAST')
        else:
            terms.append(f"NOT ({sql_of(entry, columns, source)})")
    return ", ".join([*terms, "SeriesNumber NULLS LAST", "SeriesInstanceUID"])


def _one(name: str, value: Any, columns: Mapping[str, str], source: str | Path) -> str:
    _check_column(name, columns, source)
    column = f'"{name}"'
    if not isinstance(value, dict):
        values = ", ".join(_literal(v, name, columns, source) for v in _several(value))
        return _of_each(column, columns[name], f"IN ({values})")
    if not value or (unknown := [key for key in value if key not in _FORMS]):
        wrong = f"{unknown[0]} is not a condition" if value else "is an empty condition"
        raise BadInput(f"{name}: {wrong}", source, f"Conditions are a value, a list, or {', '.join(_FORMS)}")
    return " AND ".join(f"({_form(column, name, key, v, columns, source)})" for key, v in value.items())


def _form(column: str, name: str, key: str, value: Any, columns: Mapping[str, str], source: str | Path) -> str:
    if key in ("min", "max"):
        sign = ">=" if key == "min" else "<="
        return _of_each(column, columns[name], f"{sign} {_literal(value, name, columns, source)}")
    if key == "matches":
        return f"regexp_matches(CAST({column} AS VARCHAR), {quoted(_pattern(value, name, source))}, 'i')"
    if key == "known":
        return f"{column} IS {'NOT ' if value else ''}NULL"
    if key == "not":
        values = ", ".join(_literal(v, name, columns, source) for v in _several(value))
        return f"{column} IS NULL OR {_of_each(column, columns[name], f'NOT IN ({values})')}"
    if key == "listed_in":
        values = ", ".join(quoted(v) for v in _listed(value, name, source))
        return f"CAST({column} AS VARCHAR) IN ({values})"
    words = [f"contains(upper(CAST({column} AS VARCHAR)), {quoted(str(v).upper())})" for v in _several(value)]
    return " AND ".join(words if key == "contains" else [f"NOT {word}" for word in words]) or "true"


def _of_each(column: str, kind: str, told: str) -> str:
    """What is told of a column; where it holds several numbers, of each of them."""
    if not kind.endswith("[]"):
        return f"{column} {told}"
    return f"len(list_filter({column}, lambda one: NOT coalesce(one {told}, false))) = 0"


def _several(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _literal(value: Any, name: str, columns: Mapping[str, str], source: str | Path) -> str:
    kind = columns[name].removesuffix("[]")
    if kind == "BOOLEAN" and isinstance(value, bool):
        return "true" if value else "false"
    if kind in ("BIGINT", "DOUBLE", "INTEGER") and isinstance(value, (int, float)) and not isinstance(value, bool):
        return repr(value)
    if kind == "VARCHAR" and isinstance(value, (str, int, float)) and not isinstance(value, bool):
        return quoted(str(value))
    words = {"BOOLEAN": "true or false", "VARCHAR": "text"}.get(kind, "a number")
    raise BadInput(f"{name} is compared with {value!r}, but holds {words}", source, "Correct the rule")


def _pattern(value: Any, name: str, source: str | Path) -> str:
    import duckdb

    from voxloom.archive.database import connect

    try:
        re.compile(str(value))
        with connect() as db:
            db.execute(f"SELECT regexp_matches('', {quoted(str(value))}, 'i')")
    except (re.error, duckdb.Error) as error:
        reason = " ".join(str(error).split())[:100]
        raise BadInput(f"{name}: the pattern {value!r} is broken ({reason})", source, "Correct it") from None
    return str(value)


def _listed(value: Any, name: str, source: str | Path) -> list[str]:
    """Values of the column ``name`` (or its old name) of a CSV file beside the rules; of its only column, whatever it is called."""
    path = Path(source).parent / str(value)
    if not path.is_file():
        raise BadInput(f"{name}: listed_in names {value}, which does not exist", source, "Correct the path")
    with path.open(newline="", encoding="utf-8-sig") as f:
        rows = list(csv.DictReader(f))
    column = next((c for c in (name, old_name(name)) if rows and c in rows[0]), None)
    if not rows or (column is None and len(rows[0]) > 1):
        raise BadInput(f"has no column {name} with values", path, "Add the column")
    return [str((column and row[column]) or next(iter(row.values()))) for row in rows]


def _check_column(name: str, columns: Mapping[str, str], source: str | Path) -> None:
    if name not in columns:
        words = {word.lower(): column for column in columns for word in (column, column.removeprefix(DERIVED))}
        close = difflib.get_close_matches(name.lower(), words, n=1)
        meant = f"Did you mean {words[close[0]]}?" if close else None
        raise BadInput(f"{name} is not a column of the series table", source, meant)
