"""Tables of text: CSV, TSV and Parquet as rows of plain Python values, and what their columns say about cases.

Knows delimiters, number parsing (names stay as they were written) and how rows are joined to cases. What a column means is in
``columns``. Does not know layouts.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case
from voxloom.dataset.columns import (
    CASE,
    FOLD,
    PATIENT,
    SPLITS,
    Meanings,
    Roles,
    Rows,
    called,
    find_roles,
    holds_names,
    meanings_of,
)
from voxloom.dataset.written import EMPTY, PERHAPS_EMPTY, as_number, is_empty
from voxloom.errors import BadInput
from voxloom.files import write_text

#: A number with at most one decimal point, and no other separator.
_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?")
TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
Row = dict[str, Any]


def read_table(path: str | Path) -> Rows:
    """Rows of a .csv, .tsv or .parquet file; empty cells are left out.

    Cells become int, float or text. Numbers turn into text as they were written (``voxloom.dataset.written``), and the cells of
    a column of names (case, patient, group, ...) are text whatever they look like. NA and nan are empty among numbers and words
    among words. A column without a name is called ``column 3``; it is left out where all its cells are empty.

    Raises BadInput when the file cannot be read, has no rows, or has two columns of one name.
    """
    path = Path(path)
    try:
        rows = _parquet(path) if path.suffix.lower() == ".parquet" else _text(path)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as e:
        raise BadInput(f"the table cannot be read ({e})", path, "Save it as CSV in UTF-8") from e
    if not rows:
        raise BadInput("the table has no rows", path, "Add one row per case")
    return rows


def write_table(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write rows as CSV in UTF-8, whole or not at all; an unknown value (None, or left out) is an empty cell."""
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: "" if v is None else v for k, v in row.items()} for row in rows)
    write_text(path, out.getvalue())
    return Path(path)


def _text(path: Path) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as f:
        first = f.readline()
        delimiter = max("\t;,", key=first.count)
        f.seek(0)
        reader = csv.reader(f, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        lines = [[cell.strip() for cell in line] for line in reader if any(cell.strip() for cell in line)]
    for number, line in enumerate(lines, start=2):
        if any(line[len(header) :]):
            raise BadInput(f"row {number} has {len(line)} cells, the header {len(header)}", path, "Correct the row")
    named = [name for name in header if name]
    header = [name or f"column {n}" for n, name in enumerate(header, start=1)]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise BadInput(f"two columns are named {', '.join(repeated)}", path, "Rename one of them")
    read = partial(_typed, comma=delimiter != ",")
    columns = {name: read(name, [line[n] if n < len(line) else "" for line in lines]) for n, name in enumerate(header)}
    return Rows((_row_of(columns, n) for n in range(len(lines))), named)


def _row_of(columns: Mapping[str, Sequence[Any]], number: int) -> Row:
    return {name: cells[number] for name, cells in columns.items() if cells[number] is not None}


def _typed(name: str, cells: Sequence[str], comma: bool = False) -> list[Any]:
    """The cells of a column as int, float or text; None for empty ones.

    Parameters
    ----------
    comma : whether the table keeps its cells apart by something else, so that ``40,5`` may be a number: it is one in a column whose
        filled cells all are numbers then.
    """
    if holds_names(name):
        return [None if cell.lower() in EMPTY else cell for cell in cells]
    if comma and any("," in cell for cell in cells):
        pointed = [cell.replace(",", ".") for cell in cells if cell.lower() not in (*EMPTY, *PERHAPS_EMPTY)]
        if all(_DECIMAL.fullmatch(cell) for cell in pointed):
            cells = [cell.replace(",", ".") for cell in cells]
    found = [None if cell.lower() in EMPTY else _value(cell) for cell in cells]
    words = any(isinstance(v, str) and v.lower() not in PERHAPS_EMPTY for v in found)
    return found if words else [None if isinstance(v, str) else v for v in found]


def _value(cell: str) -> int | float | str:
    number = as_number(cell)
    return cell if number is None else number


def _parquet(path: Path) -> Rows:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        read = pq.read_table(path)
        rows = read.to_pylist()
    except ArrowException as e:
        raise ValueError(e) from e
    kept = (
        {str(k): _name_of(v) if holds_names(str(k)) else v for k, v in row.items() if not _nothing(v)} for row in rows
    )
    return Rows(kept, map(str, read.column_names))


def _nothing(cell: Any) -> bool:
    return cell is None or cell == "" or (isinstance(cell, float) and math.isnan(cell))


def _name_of(cell: Any) -> str:
    """A name of a typed table: whole numbers without the decimal point that missing cells gave them."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def find_table(folder: Path, stems: Iterable[str]) -> Path | None:
    """The first existing ``stem.csv``, ``.tsv`` or ``.parquet`` in a folder."""
    candidates = (folder / f"{stem}{ending}" for stem in stems for ending in TABLE_ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def describe(case: Case, row: Mapping[str, Any], where: Path, roles: Roles, used: Collection[str] = ()) -> Case:
    """The case with what a row says: patient, group, split, target; other columns become attributes.

    ``used`` names the columns that are used up elsewhere. Raises BadInput for an unknown split.
    """
    told = {meaning: row[c] for c, meaning in roles.meanings.items() if c in row}
    split, cell = case.split, told.get("split")
    if not is_empty(cell):
        split = SPLITS.get(str(cell).lower())  # type: ignore[assignment]
        if split is None:
            raise BadInput(f"case {case.id} has the split {cell!r}", where, "Use train, val or test")
    used = {*roles.meanings, *used}
    attributes = {**case.attributes, **{k: v for k, v in row.items() if k not in used}}
    return replace(
        case,
        patient=str(told.get("patient", case.patient)),
        group=str(told["group"]) if "group" in told else case.group,
        target=case.target if is_empty(told.get("target")) else told["target"],
        split=split,
        attributes={**attributes, "fold": told[FOLD]} if FOLD in told else attributes,
    )


@dataclass(frozen=True)
class Joined:
    """Cases as a table describes them, notes on what did not match, and what every column was taken for."""

    cases: list[Case]
    notes: list[str]
    columns: Meanings


def join(cases: Iterable[Case], table: Path, keys: Sequence[str] = ()) -> Joined:
    """Describe each case by the row that names it.

    Parameters
    ----------
    keys : names of the column of case ids without case and separators, the usual first; by default that of a case or of a
        participant. Of several such columns, the one that names most of the cases is taken.

    Raises
    ------
    BadInput : no such column is there, two rows name one case, or two columns could be meant.
    """
    cases, rows = list(cases), read_table(table)
    key = _key_column(cases, rows, table, keys or (*CASE, "participantid"))
    by_case: dict[str, Row] = {}
    for row in rows:
        name = str(row.get(key, ""))
        if name in by_case:
            raise BadInput(f"two rows for {name}", table, "Keep one row per case")
        by_case[name] = row
    roles = find_roles(rows, table, (key,))
    described = [describe(c, by_case[c.id], table, roles, (key,)) if c.id in by_case else c for c in cases]
    missing = [c.id for c in cases if c.id not in by_case]
    unused = sorted(set(by_case) - {c.id for c in cases})
    notes = [f"{table.name} has no row for {name_some(missing)}"] if missing else []
    notes += [f"{table.name} names no case of the set: {name_some(unused)}"] if unused else []
    columns = meanings_of(columns_of(rows), {**roles.meanings, key: "case"})
    return Joined(described, [*notes, *roles.notes], columns)


def columns_of(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns that have a filled cell, in the order of the table."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _key_column(cases: Sequence[Case], rows: Sequence[Row], table: Path, keys: Sequence[str]) -> str:
    """The column of case ids; a patient's too, where there is no other and it holds ids of cases."""
    ids, columns = {case.id for case in cases}, columns_of(rows)
    usual, people = called(columns, keys), called(columns, PATIENT)
    fitting = {c: sum(str(row.get(c, "")) in ids for row in rows) for c in (*usual, *people)}
    for candidates in (usual, people):
        if any(fitting[c] for c in candidates):
            return max(candidates, key=lambda c: fitting[c])
    if not usual:
        raise BadInput("no column case or participant_id", table, "Name the column of case ids 'case'")
    return usual[0]


def name_some(names: Iterable[str], shown: int = 5) -> str:
    """The first names and how many more there are, for messages."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
