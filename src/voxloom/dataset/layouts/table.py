"""A table of cases: CSV, TSV or Parquet with one row per case and paths relative to the table.

Knows the columns ``case``, ``image`` or ``image_<channel>`` (or columns of image files named after their channel),
``label``, ``points``, ``patient``, ``group``, ``split`` and ``target``; any other column becomes an attribute.
"""

from __future__ import annotations

from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.layouts.contents import (
    Contents,
    channels_of,
    check_files,
    images_of,
    join_points,
    require_labels,
    split_ending,
)
from voxloom.dataset.sources import ImageSource
from voxloom.dataset.tables import TABLE_ENDINGS, Row, describe, find_table, read_table
from voxloom.errors import BadInput

NAME = "table"
LOOKS_LIKE = "a .csv, .tsv or .parquet file with a column `image`, or a folder with cases.csv"
_CASE = ("case", "case_id", "id")
_LABEL = ("label", "mask")
_NOT_IMAGES = {*_CASE, *_LABEL, "points", "patient", "group", "split", "target"}


def matches(path: Path) -> bool:
    """Whether the path is a table, or a folder that holds ``cases.csv``."""
    return _table(path) is not None


def read(path: Path) -> Contents:
    """The set that the table lists (BadInput for missing columns, rows without any image, missing files, repeated ids)."""
    table = _table(path)
    assert table is not None, "read follows matches"
    rows = read_table(table)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    images = _image_columns(rows, columns, table)
    channels = tuple(images.values())
    if len(images) == 1:
        channels = channels_of(_path(table, _cell(rows[0], next(iter(images)), 2, table)), channels[0])
    cases = [_case(row, number, table, images, channels) for number, row in enumerate(rows, start=2)]
    contents = join_points(Contents("", tuple(cases), channels), table.parent)
    cases = [case if case.points is not None else found for case, found in zip(cases, contents.cases, strict=True)]
    check_files(cases, table)
    if any(case.label is not None for case in cases):
        require_labels(cases, table)
    name = table.parent.resolve().name if path.is_dir() else table.stem
    return Contents(name, tuple(cases), channels)


def _table(path: Path) -> Path | None:
    if path.is_dir():
        return find_table(path, ("cases",))
    return path if path.suffix.lower() in TABLE_ENDINGS else None


def _image_columns(rows: list[Row], columns: list[str], table: Path) -> dict[str, str]:
    """Channel name by image column."""
    images = {c: c.removeprefix("image_") for c in columns if c == "image" or c.startswith("image_")}
    if not images:
        for column in columns:
            first = next((row[column] for row in rows if column in row), "")
            if column not in _NOT_IMAGES and isinstance(first, str) and split_ending(first)[1]:
                images[column] = column
    if not images:
        raise BadInput(
            f"no column of images among {', '.join(columns)}",
            table,
            "Name it `image`, or `image_<channel>` for several",
        )
    return images


def _case(row: Row, number: int, table: Path, images: dict[str, str], channels: tuple[str, ...]) -> Case:
    some = any(column in row for column in images)  # of several channels, a case may lack some
    given = {column: channel for column, channel in images.items() if column in row or not some}
    paths = {channel: _path(table, _cell(row, column, number, table)) for column, channel in given.items()}
    sources: dict[str, ImageSource] = dict(paths)
    if len(images) == 1:
        sources = images_of(next(iter(paths.values())), channels)
    key = next((c for c in _CASE if c in row), None)
    name = str(row[key]) if key else split_ending(Path(next(iter(paths.values()))).name)[0]
    mask = next((c for c in _LABEL if c in row), None)
    label = _path(table, _label(row[mask], name, table)) if mask else None
    points = Path(_path(table, str(row["points"]))) if "points" in row else None
    missing = tuple(n for n, channel in enumerate(images.values()) if channel not in paths) if len(images) > 1 else ()
    case = Case(id=name, patient=name, images=sources, label=label, points=points, missing=missing)
    return describe(case, row, table, {*_CASE, *_LABEL, "points", *images})


def _cell(row: Row, column: str, number: int, table: Path) -> str:
    if column not in row:
        name = next((row[c] for c in _CASE if c in row), f"row {number}")
        raise BadInput(f"case {name} has no file in column {column}", table, "Fill the cell or remove the row")
    return str(row[column])


def _label(cell: object, name: str, table: Path) -> str:
    if not isinstance(cell, str):
        raise BadInput(f"case {name} has the label {cell!r}, not a file", table, "Name a column of classes `target`")
    return cell


def _path(table: Path, cell: str) -> str:
    return str(table.parent / cell.replace("\\", "/"))
