"""The index of an archive: every DICOM header below some folders, one row per instance in a Parquet file.

Knows what is new since the last time, what an interrupted run has done already, and how the parts become one file in
bounded memory. Does not know what a header says.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxloom.archive.batch import LEDGER_ENDING, instance_schema, ledger_schema, read_batch
from voxloom.archive.catalogue import check_columns, derive_series, is_stale, ledger_path, problems_path, series_path
from voxloom.archive.database import connect, quoted
from voxloom.archive.sources import is_old, rows_of_files
from voxloom.archive.walk_folders import files_below, is_inside, roots_of
from voxloom.errors import BadInput, VoxloomError
from voxloom.files import atomic_path
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress

#: Files of one batch; a multiple of DuckDB's vector of 2048 rows.
BATCH = 4096
_LISTED_AT_ONCE = 50_000
_ROW_GROUP = 122_880


@dataclass(frozen=True)
class IndexResult:
    """What an index run found.

    Parameters
    ----------
    archive : the Parquet file.
    instances, others, problems : of all files that are indexed now: rows, files that are not DICOM, broken ones.
    read : files that were opened by this run; the others were known.
    removed : files that are gone since the last run.
    """

    archive: Path
    instances: int
    others: int
    problems: int
    read: int
    removed: int


def index_archive(
    folders: Sequence[str | Path],
    archive: str | Path,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> IndexResult:
    """Index every DICOM file below ``folders`` into ``archive`` (a .parquet file).

    Parameters
    ----------
    folders : folders, or zip and tar archives. Endings do not matter; zip and tar archives inside are read too.
    archive : written at the end. Beside it: ``<name>.problems.csv`` (broken files with the reason) and
        ``<name>.files.parquet`` (what came of each file). Files that have the size and time of the last run are not
        opened again; rows of files that are gone from ``folders`` go, rows from other folders stay.
    workers : processes; None takes the usable cores.
    progress : called with (files done, files to read).

    A run that was killed goes on where it was when it is started again. Raises BadInput for a missing folder, another
    ending, a file that is no archive, or when another run is writing the same archive.
    """
    target = Path(archive)
    if target.suffix != ".parquet":
        raise BadInput("is not a .parquet file", target, "Name the archive like archive.parquet")
    roots = roots_of(folders)
    if target.exists():
        check_columns(target)
    with _work_folder(target) as work:
        _write_listing(roots, work / "listing.parquet", target)
        todo = _write_todo(work, target)
        read = _read_all(work, todo, workers, progress)
        result = _merge(work, target, roots, read)
    return result


def files_of(archive: Path) -> tuple[Path, ...]:
    """The archive and what is written beside it: of files, of series, and of problems (last)."""
    return archive, ledger_path(archive), series_path(archive), problems_path(archive)


@contextlib.contextmanager
def _work_folder(archive: Path) -> Iterator[Path]:
    """The folder of a run's parts: kept when the run ends early, removed when it is finished."""
    from filelock import FileLock, Timeout

    work = archive.with_name(f"{archive.name}.work")
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            yield work
    except Timeout:
        raise BadInput("another run is indexing into it", archive, "Wait for it, or name another file") from None
    shutil.rmtree(work, ignore_errors=True)


def _write_listing(roots: Sequence[str], path: Path, archive: Path) -> None:
    """Every file below the roots with size and time, without opening it; the archive's own files are left out."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    own = [os.path.abspath(path) for path in files_of(archive)]
    work = os.path.abspath(path.parent)
    schema = pa.schema([("file", pa.string()), ("size", pa.int64()), ("time", pa.int64()), ("problem", pa.string())])
    seen: dict[str, list[Any]] = {name: [] for name in schema.names}
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for found in files_below(roots):
            if found.path in own or is_inside(found.path, work):
                continue
            for name, value in zip(seen, (found.path, found.size, found.time, found.problem), strict=True):
                seen[name].append(value)
            if len(seen["file"]) == _LISTED_AT_ONCE:
                writer.write_table(pa.table(seen, schema=schema))
                seen = {name: [] for name in schema.names}
        writer.write_table(pa.table(seen, schema=schema))


def _write_todo(work: Path, archive: Path) -> int:
    """``todo.parquet``: listed files that neither the last run nor an interrupted one has read; how many."""
    for part in work.glob("part-*.parquet"):
        if not part.name.endswith(LEDGER_ENDING) and not part.with_name(part.stem + LEDGER_ENDING).exists():
            part.unlink()
    _set_parts_aside(work)
    with connect(work) as db:
        _register(db, work, archive)
        db.execute(
            f"""COPY (SELECT file, size, "time" FROM listing WHERE problem IS NULL AND NOT EXISTS
                (SELECT 1 FROM done WHERE done.file = listing.file AND done.size = listing.size AND done."time" = listing."time"))
                TO {quoted(work / "todo.parquet")} (FORMAT parquet, ROW_GROUP_SIZE {BATCH})"""
        )
        return int(_one(db, f"SELECT count(*) FROM {quoted(work / 'todo.parquet')}"))


def _set_parts_aside(work: Path) -> None:
    """Rename the parts of an interrupted run, so that new ones do not meet their names."""
    parts = sorted(work.glob("part-*.parquet"))
    taken = len(list(work.glob("kept-*"))) if parts else 0
    for part in parts:
        part.rename(part.with_name(f"kept-{taken:06d}-{part.name.removeprefix('part-')}"))


def _register(db: Any, work: Path, archive: Path) -> None:
    """Views ``listing``, ``before`` (ledger of the last run), ``parts`` (ledger of this one) and ``done`` (both)."""
    import pyarrow as pa

    db.register("no_ledger", pa.table({name: [] for name in ledger_schema().names}, schema=ledger_schema()))
    db.execute(f"CREATE VIEW listing AS SELECT * FROM read_parquet({quoted(work / 'listing.parquet')})")
    last = ledger_path(archive)
    before = f"read_parquet({quoted(last)})" if last.exists() and archive.exists() else "no_ledger"
    parts = (
        f"read_parquet({quoted(work / ('*' + LEDGER_ENDING))})" if any(work.glob("*" + LEDGER_ENDING)) else "no_ledger"
    )
    db.execute(f"CREATE VIEW before AS SELECT * FROM {before}")
    db.execute(f"CREATE VIEW parts AS SELECT * FROM {parts}")
    db.execute(
        'CREATE VIEW done AS SELECT file, size, "time" FROM before UNION ALL SELECT file, size, "time" FROM parts'
    )


def _read_all(work: Path, todo: int, workers: int | None, progress: Progress | None) -> int:
    import pyarrow.parquet as pq

    if not todo:
        return 0
    groups = pq.ParquetFile(work / "todo.parquet").metadata
    items = [(f"batch {n + 1} of {groups.num_row_groups}", n) for n in range(groups.num_row_groups)]
    read, failed = 0, []
    for _, outcome in map_outcomes(partial(read_batch, str(work)), items, step="reading headers", workers=workers):
        if isinstance(outcome, VoxloomError):
            failed.append(outcome)
            continue
        read += outcome
        if progress is not None:
            progress(read, todo)
    if failed:
        raise failed[0]
    return read


def _merge(work: Path, archive: Path, roots: Sequence[str], read: int) -> IndexResult:
    """The last run's rows that are still true and the parts, as new files in place of the old ones."""
    with connect(work) as db:
        _register(db, work, archive)
        outside = " AND ".join(
            f"file <> {quoted(root)} AND NOT starts_with(file, {quoted(root.rstrip('/') + '/')})" for root in roots
        )
        fits = 'l.file = b.file AND l.size = b.size AND l."time" = b."time"'
        db.execute(f"""CREATE TABLE kept AS SELECT b.* FROM before b WHERE NOT EXISTS (SELECT 1 FROM parts p WHERE p.file = b.file)
                       AND (({outside}) OR EXISTS (SELECT 1 FROM listing l WHERE {fits}))""")
        db.execute(f"CREATE TABLE made AS SELECT b.* FROM parts b WHERE EXISTS (SELECT 1 FROM listing l WHERE {fits})")
        known = _one(db, "SELECT count(*) FROM before")
        replaced = _one(db, "SELECT count(*) FROM before b SEMI JOIN made m ON m.file = b.file")
        kept = _one(db, "SELECT count(*) FROM kept")
        removed = int(known - kept - replaced)
        if read or removed or not archive.exists() or not ledger_path(archive).exists() or is_old(archive):
            _write_archive(db, work, archive)
        if is_stale(archive):
            derive_series(archive, work)
        problems = _write_problems(db, archive)
        instances, others = db.execute(
            "SELECT coalesce(sum(instances), 0), coalesce(sum(others), 0) FROM (FROM kept UNION ALL FROM made)"
        ).fetchall()[0]
    return IndexResult(archive, int(instances), int(others), problems, read, removed)


def _write_archive(db: Any, work: Path, archive: Path) -> None:
    sources = []
    if archive.exists():
        sources.append(f"SELECT a.* FROM ({rows_of_files([archive])}) a SEMI JOIN kept USING (file)")
    parts = sorted(p for p in work.glob("*-*.parquet") if not p.name.endswith(LEDGER_ENDING))
    if parts:
        sources.append(
            f'SELECT a.* FROM ({rows_of_files(parts)}) a SEMI JOIN made m ON m.file = a.file AND m."time" = a.file_time'
        )
    if not sources:
        _write_empty(archive)
    else:
        with atomic_path(archive) as temporary:
            db.execute(f"COPY ({' UNION ALL '.join(sources)}) TO {quoted(temporary)} ({_FORMAT})")
    with atomic_path(ledger_path(archive)) as temporary:
        db.execute(f"COPY (FROM kept UNION ALL FROM made) TO {quoted(temporary)} ({_FORMAT})")


_FORMAT = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}"


def _write_empty(archive: Path) -> None:
    import pyarrow.parquet as pq

    with atomic_path(archive) as temporary:
        pq.write_table(instance_schema().empty_table(), temporary)


def _write_problems(db: Any, archive: Path) -> int:
    """``<name>.problems.csv`` with file, member and reason; how many lines."""
    found = db.execute(
        """SELECT file, p.member AS member, p.reason AS reason
           FROM (SELECT file, unnest(problems) AS p FROM (FROM kept UNION ALL FROM made))
           UNION ALL SELECT file, NULL, problem FROM listing WHERE problem IS NOT NULL ORDER BY ALL"""
    )
    count = 0
    with atomic_path(problems_path(archive)) as temporary, temporary.open("w", newline="", encoding="utf-8") as f:
        writer = csv.writer(f)
        writer.writerow(["file", "member", "reason"])
        while rows := found.fetchmany(10_000):
            writer.writerows([value or "" for value in row] for row in rows)
            count += len(rows)
    return count


def _one(db: Any, query: str) -> int:
    return int(db.execute(query).fetchall()[0][0])
