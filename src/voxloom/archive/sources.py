"""The Parquet files of an archive as SQL: rows under their present names, whichever version wrote them.

Knows the file, the folder that was cut (``partition``) and the columns of the version before. Does not know what a row means.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxloom.archive.columns import COLUMNS, OLD_COLUMNS
from voxloom.archive.database import quoted
from voxloom.archive.names import of_old_rows


def rows_of(archive: Path) -> str:
    """All rows of an archive, with their number (``file_row_number``; in a folder that was cut ``row_number`` and ``part``)."""
    source, more = f"read_parquet({quoted(archive)}, file_row_number = true)", ["file_row_number"]
    if archive.is_dir():
        source = f"read_parquet({quoted(archive / '*' / '*.parquet')}, hive_partitioning = true)"
        more = ["part", "row_number"]
    return f"(SELECT {of_old_rows((*OLD_COLUMNS, *more))} FROM {source})" if is_old(archive) else source


def rows_of_files(files: Sequence[Path]) -> str:
    """The rows of several Parquet files, with the columns of an archive and no others."""
    old = [path for path in files if is_old(path)]
    kinds = {"*": [path for path in files if path not in old], of_old_rows(OLD_COLUMNS): old}
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    return " UNION ALL ".join(
        f"SELECT {columns} FROM (SELECT {terms} FROM read_parquet([{', '.join(quoted(p) for p in paths)}]))"
        for terms, paths in kinds.items()
        if paths
    )


def is_old(archive: Path) -> bool:
    """Whether the version before this one wrote it. An archive without any rows, and one that is missing, is not old."""
    import pyarrow.parquet as pq

    file = next(archive.glob("*/*.parquet"), None) if archive.is_dir() else archive
    if file is None or not file.exists():
        return False
    written = set(pq.read_schema(file).names)
    return not written.issuperset(COLUMNS) and written.issuperset(OLD_COLUMNS)
