"""Points as CSV: case, name, side, x, y, z in RAS millimetres, and the confidence of predicted points.

Knows the columns. Rows of other cases are passed over, so one table may serve a whole data set.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.files import write_text
from voxloom.points.point import Point

COLUMNS = ("case", "name", "side", "x", "y", "z")


#: The name of marks that have none.
UNNAMED = "unnamed"


def read_point_table(path: str | Path, case: str | None = None, *, unnamed: bool = False) -> tuple[Point, ...]:
    """Points of a CSV file with the columns name, x, y, z (RAS mm), and where they are there side, case, confidence.

    Parameters
    ----------
    case : only this case's rows, where the file has a column ``case``; None reads all rows.
    unnamed : rows need no name; such marks are called ``UNNAMED``.

    Raises
    ------
    BadInput : the file cannot be read, a column is missing, or a row holds something else than numbers.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as f:
            reader = csv.DictReader(f)
            header, rows = reader.fieldnames or [], list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise BadInput(f"the points cannot be read ({e})", path, "Save them as CSV in UTF-8") from e
    if missing := [name for name in (*(() if unnamed else ("name",)), "x", "y", "z") if name not in header]:
        fix = f"Columns are {', '.join(COLUMNS)} (RAS mm)"
        fix += "; names from places: voxloom translate --names L1,L2,..." if missing == ["name"] else ""
        raise BadInput(f"no column {', '.join(missing)}", path, fix)
    wanted = ((number, row) for number, row in enumerate(rows, start=2) if case is None or _is_of(row, case))
    without = {"name": UNNAMED} if unnamed else {}
    return tuple(_point({**row, **(without if not row.get("name") else {})}, number, path) for number, row in wanted)


def _is_of(row: Mapping[str, str | None], case: str) -> bool:
    return "case" not in row or row["case"] in (case, "", None)


def _point(row: Mapping[str, str | None], number: int, path: str | Path) -> Point:
    sure = row.get("confidence") or ""
    try:
        position = (float(row["x"] or ""), float(row["y"] or ""), float(row["z"] or ""))
        confidence = float(sure) if sure.strip() else None
    except ValueError as e:
        raise BadInput(f"row {number} holds no number where one belongs ({e})", path, "Correct the row") from e
    try:
        return Point((row["name"] or "").strip(), row.get("side") or "", position, confidence)
    except BadInput as e:
        raise BadInput(f"row {number}: {e.what}", path, e.fix) from e


def write_point_table(points: Mapping[str, Sequence[Point]], path: str | Path) -> Path:
    """Write the points of one or more cases, whole or not at all; 0.0001 mm are kept."""
    everything = [point for marks in points.values() for point in marks]
    columns = [*COLUMNS, *(["confidence"] if any(p.confidence is not None for p in everything) else [])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for case, marks in points.items():
        writer.writerows(_row(case, point)[: len(columns)] for point in marks)
    write_text(path, text.getvalue())
    return Path(path)


def _row(case: str, point: Point) -> list[str]:
    sure = "" if point.confidence is None else f"{point.confidence:.6g}"
    return [case, point.name, point.side, *(f"{v:.4f}" for v in point.position), sure]


def cases_of(path: str | Path) -> Iterable[str]:
    """The cases that a point table names, in order of first occurrence; empty without a column ``case``."""
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as f:
            return list(dict.fromkeys(row["case"] for row in csv.DictReader(f) if row.get("case")))
    except (OSError, UnicodeDecodeError, csv.Error) as e:
        raise BadInput(f"the points cannot be read ({e})", path, "Save them as CSV in UTF-8") from e
