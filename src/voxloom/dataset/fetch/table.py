"""The table of cases (``cases.csv``) of a folder whose layout does not explain itself.

Knows how to find images by a pattern and the label that belongs to each. Opens no image.
"""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import VoxloomError
from voxloom.files import write_text

TABLE = "cases.csv"


@dataclass(frozen=True)
class TableRule:
    """How cases are read off file names.

    Parameters
    ----------
    image : regular expression for the path of an image in the folder (with ``/``), matched whole; its groups are
        ``case`` and, where known, ``patient``, ``group`` and others that the label's path needs.
    label : path of its label, made from these groups and ``{ending}`` (``.nii`` or ``.nii.gz``).
    """

    image: str
    label: str


def write_case_table(folder: Path, rule: TableRule) -> int:
    """Write ``cases.csv`` into the folder and return the number of cases.

    Raises VoxloomError when no image fits the rule or an image has no label.
    """
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    rows = [row for name in sorted(files) if (row := _row(name, rule)) is not None]
    if not rows:
        raise VoxloomError(f"{folder}: no image of the expected name was found; the download may have changed")
    if missing := [row["case"] for row in rows if row["label"] not in files]:
        raise VoxloomError(f"{folder}: no label for {', '.join(missing[:5])}; the download may have changed")
    columns = [c for c in ("case", "image", "label", "patient", "group") if any(row.get(c) for row in rows)]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / TABLE, text.getvalue())
    return len(rows)


def _row(name: str, rule: TableRule) -> dict[str, str] | None:
    match = re.fullmatch(rule.image, name)
    if match is None:
        return None
    groups = {key: value or "" for key, value in match.groupdict().items()}
    ending = ".nii.gz" if name.endswith(".gz") else ".nii"
    label = rule.label.format(**groups, ending=ending)
    return {**groups, "image": name, "label": label}
