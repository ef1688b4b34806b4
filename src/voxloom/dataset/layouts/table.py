"""A table of cases: CSV, TSV or Parquet with one row per case and paths relative to the table.

Knows the columns ``case``, ``points`` and those of ``dataset.columns`` (patient, group, split, target); which columns hold images and
masks is in ``table_columns``. Any other column becomes an attribute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.columns import CASE, Roles, called, find_roles, meanings_of
from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.layouts.contents import (
    Contents,
    channels_of,
    check_files,
    images_of,
    join_points,
    require_labels,
    split_ending,
)
from voxloom.dataset.layouts.table_columns import MediaColumns, media_columns
from voxloom.dataset.sources import ImageSource, MaskStack
from voxloom.dataset.tables import TABLE_ENDINGS, Row, columns_of, describe, find_table, name_some, read_table
from voxloom.dataset.written import is_empty
from voxloom.errors import BadInput

NAME = "table"
LOOKS_LIKE = "a .csv, .tsv or .parquet file with a column `image`, or a folder with cases.csv"


def matches(path: Path) -> bool:
    """Whether the path is a table, or a folder that holds ``cases.csv``."""
    return _table(path) is not None


def read(path: Path) -> Contents:
    """The set that the table lists (BadInput for missing columns, rows without any image, missing files, repeated ids)."""
    table = _table(path)
    assert table is not None, "read follows matches"
    rows = read_table(table)
    columns = columns_of(rows)
    key, points = next(iter(called(columns, CASE)), None), next(iter(called(columns, ("points",))), None)
    media = media_columns(rows, [c for c in columns if c not in (key, points)], table)
    files = {c: meaning for c, meaning in media.meanings.items() if c != key}
    named = {**({key: "case"} if key else {}), **({points: "points"} if points else {}), **files}
    roles = find_roles(rows, table, named)
    channels = tuple(media.images.values())
    if len(channels) == 1:
        channels = channels_of(_path(table, _cell(rows[0], next(iter(media.images)), 2, table, key)), channels[0])
    reader = _Reader(table, key, points, media, roles, channels, frozenset(named))
    cases = [reader.case(row, number) for number, row in enumerate(rows, start=2)]
    _refuse_repeats(cases, key, roles, table)
    contents = join_points(Contents("", tuple(cases), channels), table.parent)
    cases = [case if case.points is not None else found for case, found in zip(cases, contents.cases, strict=True)]
    check_files(cases, table)
    if any(case.label is not None for case in cases):
        require_labels(cases, table)
    name = table.parent.resolve().name if path.is_dir() else table.stem
    labels = (
        Labels(tuple(Label(s, (n,)) for n, s in enumerate(media.structures.values(), 1))) if media.structures else None
    )
    notes = (*roles.notes, *(f"column {c} is {why}" for c, why in media.unused.items()))
    told = meanings_of(columns, {**roles.meanings, **named})
    return Contents(name, tuple(cases), channels, labels, notes=notes, columns=told)


def _table(path: Path) -> Path | None:
    if path.is_dir():
        return find_table(path, ("cases",))
    return path if path.suffix.lower() in TABLE_ENDINGS else None


def _refuse_repeats(cases: Sequence[Case], key: str | None, roles: Roles, table: Path) -> None:
    """Refuse a column of case ids that repeat, which may be one of patients."""
    twice = [name for name, n in Counter(case.id for case in cases).items() if n > 1]
    if not twice:
        return
    where = f" (column {key})" if key else " (no column names the cases, and files share their names)"
    fix = "Add a column `case` with a name for every row" if key is None else "Give every row a name of its own"
    if key is not None and roles.patient is None:
        fix += "; if these are patients, name the column `patient`"
    raise BadInput(f"case ids are used twice: {name_some(twice)}{where}", table, fix)


@dataclass(frozen=True)
class _Reader:
    """What is known of the columns when rows become cases."""

    table: Path
    key: str | None
    points: str | None
    media: MediaColumns
    roles: Roles
    channels: tuple[str, ...]
    used: frozenset[str]

    def case(self, row: Row, number: int) -> Case:
        """The case of a row."""
        row = {c: v for c, v in row.items() if not (is_empty(v) and c in self.used and c != self.key)}
        images = self.media.images
        some = any(column in row for column in images)  # of several channels, a case may lack some
        given = {column: channel for column, channel in images.items() if column in row or not some}
        cells = {channel: _cell(row, c, number, self.table, self.key) for c, channel in given.items()}
        paths = {channel: _path(self.table, cell) for channel, cell in cells.items()}
        sources: dict[str, ImageSource] = dict(paths)
        if len(images) == 1:
            sources = images_of(next(iter(paths.values())), self.channels)
        name = str(row[self.key]) if self.key in row else split_ending(Path(next(iter(paths.values()))).name)[0]
        points = Path(_path(self.table, str(row[self.points]))) if self.points in row else None
        absent = tuple(n for n, channel in enumerate(images.values()) if channel not in paths)
        missing = absent if len(images) > 1 else ()
        label = self._label(row, name)
        masks = {c: _path(self.table, str(row[c])) for c in self.media.masks if c in row}
        case = Case(id=name, patient=name, images=sources, label=label, points=points, missing=missing, masks=masks)
        return describe(case, row, self.table, self.roles, self.used)

    def _label(self, row: Row, name: str) -> ImageSource | None:
        """The label map of a row, or the pile of its structures' maps."""
        if self.media.label is not None:
            return (
                _path(self.table, _file(row[self.media.label], name, self.table)) if self.media.label in row else None
            )
        structures: Mapping[str, str] = self.media.structures
        lacking = [structure for column, structure in structures.items() if column not in row]
        if len(lacking) == len(structures):
            return None
        if lacking:
            what = f"case {name} has no map of {name_some(lacking)}"
            raise BadInput(what, self.table, "Add the file; it may be empty")
        return MaskStack(tuple(_path(self.table, _file(row[column], name, self.table)) for column in structures))


def _cell(row: Row, column: str, number: int, table: Path, key: str | None) -> str:
    if column not in row:
        name = row.get(key or "", f"row {number}")
        raise BadInput(f"case {name} has no file in column {column}", table, "Fill the cell or remove the row")
    return str(row[column])


def _file(cell: object, name: str, table: Path) -> str:
    if not isinstance(cell, str):
        raise BadInput(f"case {name} has the label {cell!r}, not a file", table, "Name a column of classes `target`")
    return cell


def _path(table: Path, cell: str) -> str:
    return str(table.parent / cell.replace("\\", "/"))
