"""Tables of text: CSV, TSV and Parquet as rows of plain Python values, and what their columns say about cases.

Knows delimiters, number parsing and the column names ``patient``, ``group``, ``split`` and ``target``. Does not know
layouts.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from voxloom.dataset.case import Case
from voxloom.errors import BadInput
from voxloom.files import write_text

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
Row = dict[str, Any]
_SPLITS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test", "testing": "test"}
_EMPTY = ("", "n/a", "na", "nan")


def read_table(path: str | Path) -> list[Row]:
    """Rows of a .csv, .tsv or .parquet file; cells become int, float or text, empty cells are left out.

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


def _text(path: Path) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as f:
        first = f.readline()
        delimiter = max("\t;,", key=first.count)
        f.seek(0)
        reader = csv.reader(f, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        if repeated := sorted({name for name in header if header.count(name) > 1}):
            raise BadInput(f"two columns are named {', '.join(repeated)}", path, "Rename one of them")
        lines = [line for line in reader if any(cell.strip() for cell in line)]
    for number, line in enumerate(lines, start=2):
        if len(line) > len(header):
            raise BadInput(f"row {number} has {len(line)} cells, the header {len(header)}", path, "Correct the row")
    rows = [{name: value(cell) for name, cell in zip(header, line, strict=False)} for line in lines]
    return [{name: cell for name, cell in row.items() if cell is not None and name} for row in rows]


def _parquet(path: Path) -> list[Row]:
    import pyarrow.parquet as pq
    from pyarrow import ArrowException

    try:
        rows = pq.read_table(path).to_pylist()
    except ArrowException as e:
        raise ValueError(e) from e
    return [{str(k): v for k, v in row.items() if v is not None and v != "" and not _is_nan(v)} for row in rows]


def _is_nan(cell: Any) -> bool:
    return isinstance(cell, float) and math.isnan(cell)


def value(cell: str) -> int | float | str | None:
    """A cell as int, float or text; None when it is empty. A number with leading zeros stays text."""
    cell = cell.strip()
    if cell.lower() in _EMPTY:
        return None
    digits = cell.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits[1].isdigit():
        return cell
    try:
        return int(cell) if digits.isdecimal() else _finite(cell)
    except ValueError:
        return cell


def _finite(cell: str) -> float:
    number = float(cell)
    if not math.isfinite(number) or "_" in cell:
        raise ValueError(cell)
    return number


def find_table(folder: Path, stems: Iterable[str]) -> Path | None:
    """The first existing ``stem.csv``, ``.tsv`` or ``.parquet`` in a folder."""
    candidates = (folder / f"{stem}{ending}" for stem in stems for ending in TABLE_ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def describe(case: Case, row: Mapping[str, Any], where: Path, known: Iterable[str]) -> Case:
    """The case with what a row says: ``patient``, ``group``, ``split``, ``target``; other columns become attributes.

    ``known`` names the columns that are used up elsewhere. Raises BadInput for an unknown split.
    """
    used = {"patient", "group", "split", "target", *known}
    split = case.split
    if "split" in row:
        split = _SPLITS.get(str(row["split"]).lower())  # type: ignore[assignment]
        if split is None:
            raise BadInput(f"case {case.id} has the split {row['split']!r}", where, "Use train, val or test")
    return replace(
        case,
        patient=str(row.get("patient", case.patient)),
        group=str(row["group"]) if "group" in row else case.group,
        target=row.get("target", case.target),
        split=split,
        attributes={**case.attributes, **{k: v for k, v in row.items() if k not in used}},
    )


def join(cases: Iterable[Case], table: Path, keys: tuple[str, ...]) -> tuple[list[Case], list[str]]:
    """Describe each case by the row whose key column names it; returns the cases and notes on what did not match.

    Raises BadInput when no key column is there or two rows name one case.
    """
    rows = read_table(table)
    key = next((k for k in keys if k in rows[0]), None)
    if key is None:
        raise BadInput(f"no column {' or '.join(keys)}", table, f"Name the column of case ids {keys[0]!r}")
    by_case: dict[str, Row] = {}
    for row in rows:
        name = str(row.get(key, ""))
        if name in by_case:
            raise BadInput(f"two rows for {name}", table, "Keep one row per case")
        by_case[name] = row
    described = [describe(c, by_case[c.id], table, (key,)) if c.id in by_case else c for c in cases]
    missing = [c.id for c in described if c.id not in by_case]
    unused = sorted(set(by_case) - {c.id for c in described})
    notes = [f"{table.name} has no row for {name_some(missing)}"] if missing else []
    return described, notes + ([f"{table.name} names no case of the set: {name_some(unused)}"] if unused else [])


def name_some(names: Iterable[str], shown: int = 5) -> str:
    """The first names and how many more there are, for messages."""
    names = list(names)
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
