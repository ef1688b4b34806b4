"""An archive cut by month or by site, so that a question about some months or sites reads their instances only.

Knows the folder: ``part=2021-03/*.parquet`` (Hive's layout, which every Parquet reader understands), and the series table beside it,
which is that of the whole archive. ``Archive`` opens the folder like the file.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

from voxloom.archive.catalogue import Archive, derive_series, is_stale, mark_series, series_path
from voxloom.archive.database import connect, quoted
from voxloom.archive.sources import rows_of
from voxloom.errors import BadInput
from voxloom.files import new_folder

By = Literal["month", "site"]
#: The part of an instance, in SQL; "unknown" where the header does not say.
_PARTS: dict[str, str] = {
    "month": "CASE WHEN regexp_matches(StudyDate, '^[0-9]{8}$') THEN StudyDate[1:4] || '-' || StudyDate[5:6] ELSE 'unknown' END",
    "site": "coalesce(nullif(trim(regexp_replace(InstitutionName, '[^A-Za-z0-9._-]+', '_', 'g')), ''), 'unknown')",
}


def folder_of(archive: Path, by: By) -> Path:
    """Where an archive is kept that was cut: ``archive.by-month`` beside ``archive.parquet``."""
    return archive.with_name(f"{archive.stem}.by-{by}")


def partition(archive: Path, by: By) -> Path:
    """Cut an archive; the folder appears whole, after an earlier one was removed.

    Parameters
    ----------
    archive : the .parquet file of ``index_archive``.
    by : "month" of the study, or "site" (InstitutionName).

    Raises
    ------
    BadInput : it is no archive.
    """
    if archive.is_dir():
        raise BadInput("is cut already", archive, "Give the archive.parquet that it was cut from")
    Archive(archive)
    target = folder_of(archive, by)
    if is_stale(archive):
        derive_series(archive, archive.parent)
    shutil.rmtree(target, ignore_errors=True)  # cut from an earlier state of the archive
    with new_folder(target) as work, connect(archive.parent) as db:
        rows = f"SELECT * RENAME (file_row_number AS row_number), {_PARTS[by]} AS part FROM {rows_of(archive)}"
        options = "FORMAT parquet, COMPRESSION zstd, PARTITION_BY (part), OVERWRITE_OR_IGNORE"
        db.execute("SET partitioned_write_max_open_files = 64")  # many sites: bounded memory before large files
        db.execute(f"COPY ({rows}) TO {quoted(work)} ({options})")
    mark_series(series_path(archive), target)
    return target
