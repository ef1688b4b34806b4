"""Broken files that lie beside the images of a series: slices that may be lost.

Knows the list of problems that an index leaves, and that a folder with images of one series only is that series' own.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterable

from voxloom.archive.catalogue import Archive, problems_path
from voxloom.archive.choose import Instance


def broken_folders(archive: Archive) -> dict[str, int]:
    """Number of broken files by folder, of folders that hold images of one series."""
    path = problems_path(archive.path)
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as f:
        found = Counter(os.path.dirname(row["file"]) for row in csv.DictReader(f) if not row["member"])
    if not found:
        return {}
    rows = archive.query(
        r"""SELECT regexp_replace(file, '[/\\][^/\\]*$', '') AS folder FROM instances WHERE member IS NULL
            GROUP BY folder HAVING count(DISTINCT SeriesInstanceUID) = 1"""
    )
    own = {row["folder"] for row in rows}
    return {folder: count for folder, count in found.items() if folder in own}


def broken_beside(images: Iterable[Instance], broken: dict[str, int]) -> int:
    """How many broken files lie in the folders of ``images``."""
    folders = {os.path.dirname(image.file) for image in images if image.member is None}
    return sum(broken.get(folder, 0) for folder in folders)
