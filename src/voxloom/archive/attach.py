"""Labels, points and targets that people made for the series of an archive, brought into the data set.

Knows a table with one identifying column (SeriesInstanceUID, StudyInstanceUID or PatientID) and columns ``label``, ``points``,
``target`` or others. Labels and points are read and written anew under the name of the case: of a label only its numbers and
its place come along, and no name, comment or description that its file holds.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom import notes
from voxloom.archive.names import old_name, present_name, renamed
from voxloom.errors import BadInput
from voxloom.formats import read_header, read_label, write_volume
from voxloom.points import read_points, write_points
from voxloom.points.table import cases_of
from voxloom.volume import Volume

_KEYS = ("SeriesInstanceUID", "StudyInstanceUID", "PatientID")
_FILES = ("label", "points")


@dataclass(frozen=True)
class Attached:
    """Rows of a table by the value of its identifying column ``key``; paths are absolute."""

    key: str
    rows: Mapping[str, Mapping[str, str]]

    def copy_for(self, case: str, facts: Mapping[str, Any], folder: Path) -> dict[str, str]:
        """The cells of one case; its files are copied to <folder>/labels and <folder>/points."""
        row = self.rows.get(str(facts.get(self.key)), {})
        cells = {}
        for name, value in row.items():
            if name in _FILES and value:
                copy = (_copy_points if name == "points" else _copy_label)(Path(value), case, folder)
                value = copy.relative_to(folder).as_posix()
            cells[name] = value
        return cells


def _copy_label(path: Path, case: str, folder: Path) -> Path:
    """The numbers and the place of a label map of any format as labels/<case>.nii.gz (BadInput when it is none)."""
    (folder / "labels").mkdir(exist_ok=True)
    label = read_label(path)
    return write_volume(Volume(label.data, label.affine), folder / "labels" / f"{case}.nii.gz")


def _copy_points(path: Path, case: str, folder: Path) -> Path:
    """The points of a file of any format as points/<case>.csv (BadInput when a table holds several cases)."""
    if path.suffix.lower() == ".csv" and len(several := list(cases_of(path))) > 1:
        raise BadInput(f"holds points of {len(several)} cases", path, "Attach one file per case")
    (folder / "points").mkdir(exist_ok=True)
    return write_points(read_points(path), folder / "points" / f"{case}.csv", case)


def _in_present_names(row: Mapping[str, str], path: Path) -> dict[str, str]:
    """A row whose identifying columns carry the keywords; a note says which old names they had."""
    old = [name for name in map(old_name, _KEYS) if name in row]
    if old:
        notes.tell(path, renamed(old, "series"))
    return {present_name(name) if name in old else name: cell for name, cell in row.items()}


def read_attached(path: Path) -> Attached:
    """Read the table. Raises BadInput when it or a file in it is missing, or no column identifies a series."""
    if not path.is_file():
        raise BadInput("does not exist", path, "Check the path")
    with path.open(newline="", encoding="utf-8-sig") as f:
        rows = [_in_present_names(row, path) for row in csv.DictReader(f)]
    key = next((name for name in _KEYS if rows and name in rows[0]), None)
    if key is None:
        raise BadInput("has no column that identifies a series", path, f"Add one of {', '.join(_KEYS)}")
    found = {}
    for row in rows:
        cells = {k: v for k, v in row.items() if k not in _KEYS and v}
        for name in _FILES:
            if name in cells:
                cells[name] = str(path.parent / cells[name])
                if not Path(cells[name]).is_file():
                    raise BadInput(f"names {row[name]}, which does not exist", path, "Correct the path")
                if name == "label":
                    read_header(cells[name])  # refused now, not after hours of converting
        if row[key] in found:
            raise BadInput(f"names {key} {row[key]} twice", path, "Leave one row of each")
        found[row[key]] = cells
    return Attached(key, found)
