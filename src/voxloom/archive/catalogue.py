"""An archive opened for questions: its instances, series, studies and patients as tables.

Knows how to open an index and to ask it. What the tables hold is said in ``views``.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from voxloom.archive.columns import COLUMNS
from voxloom.archive.database import connect, quoted
from voxloom.archive.names import renamed
from voxloom.archive.old_names import in_either_names, old_names_in
from voxloom.archive.sources import rows_of
from voxloom.archive.views import PATIENTS_SQL, SERIES_QUERY, STUDIES_SQL, instances_sql
from voxloom.errors import BadInput
from voxloom.files import atomic_path

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from pandas import DataFrame

_T = TypeVar("_T")


@dataclass(frozen=True)
class Counts:
    """How much there is of what."""

    patients: int
    studies: int
    series: int
    instances: int


class Archive:
    """An index written by :func:`index_archive`.

    Parameters
    ----------
    path : the .parquet file, or a folder that it was cut into (``partition``).

    Raises
    ------
    BadInput : the file is missing, or is not an index.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise BadInput("does not exist", self.path, f"Make it: voxloom index DIR -o {self.path}")
        check_columns(self.path)

    @contextlib.contextmanager
    def open(self) -> Iterator[DuckDBPyConnection]:
        """A DuckDB connection with the views ``instances``, ``series``, ``studies`` and ``patients``."""
        with connect() as db:
            prepare_views(db, self.path)
            yield db

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Rows of a question in SQL, e.g. ``"SELECT Modality, count(*) AS n FROM series GROUP BY Modality"``.

        A question in old names (``series_uid``) is answered in old names, with a FutureWarning that says what they are called now.
        Raises BadInput, in the words of DuckDB, for a question that cannot be answered.
        """
        return self._asked(sql, _rows)

    def frame(self, sql: str) -> DataFrame:
        """The same as a pandas table: a column per column of the question, lists as arrays, unknown values as NaN or None."""
        return self._asked(sql, lambda found: found.df())

    def _asked(self, sql: str, taken: Callable[[DuckDBPyConnection], _T]) -> _T:
        import duckdb

        with self.open() as db:
            try:
                return taken(in_either_names(db, sql))
            except duckdb.Error as error:
                tables = "The tables are instances, series, studies and patients; docs/archive.md lists their columns"
                fix = f"{now}. {tables}" if (now := renamed(old_names_in(sql))) else tables
                raise BadInput(f"the question cannot be answered ({told_by(error)})", self.path, fix) from None

    def counts(self) -> Counts:
        """Number of patients, studies, series and instances."""
        row = self.query(
            "SELECT count(DISTINCT PatientID) AS patients, count(DISTINCT StudyInstanceUID) AS studies, "
            "count(DISTINCT SeriesInstanceUID) AS series, count(*) AS instances FROM instances"
        )[0]
        return Counts(**row)


def _rows(found: DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def told_by(error: Exception) -> str:
    """What DuckDB objects to, without its drawing of the place."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not set(line) <= set(" ^")]
    return " ".join(line for line in lines if not line.startswith("LINE "))[:300]


def prepare_views(db: DuckDBPyConnection, archive: Path) -> None:
    """Create the views; ``series`` reads the table that was derived after indexing, where it is still true."""
    db.execute(instances_sql(archive))
    source = SERIES_QUERY if is_stale(archive) else f"FROM read_parquet({quoted(series_path(archive))})"
    db.execute(f"CREATE OR REPLACE VIEW series AS {source}")
    db.execute(STUDIES_SQL)
    db.execute(PATIENTS_SQL)


def series_path(archive: Path) -> Path:
    """Where the derived series table of an archive is kept."""
    return archive.with_name(f"{archive.stem}.series.parquet")


def problems_path(archive: Path) -> Path:
    """Where the broken files of an archive are listed."""
    return archive.with_name(f"{archive.stem}.problems.csv")


def ledger_path(archive: Path) -> Path:
    """Where it is kept what came of every file."""
    return archive.with_name(f"{archive.stem}.files.parquet")


def is_stale(archive: Path) -> bool:
    """Whether the series table is absent or was derived from another state of the archive, or by other rules."""
    kept = series_path(archive)
    return not kept.exists() or _mark_of(kept) != _mark(archive)


def derive_series(archive: Path, scratch: Path | None = None) -> None:
    """Write the series table beside the archive, so that questions need not read every instance."""
    with connect(scratch) as db:
        db.execute(instances_sql(archive))
        with atomic_path(series_path(archive)) as temporary:
            mark = f"KV_METADATA {{ voxloom: {quoted(_mark(archive))} }}"
            db.execute(f"COPY ({SERIES_QUERY}) TO {quoted(temporary)} (FORMAT parquet, COMPRESSION zstd, {mark})")


def mark_series(series: Path, archive: Path) -> None:
    """Take over the series table of another archive with the same instances."""
    with connect() as db, atomic_path(series_path(archive)) as temporary:
        mark = f"KV_METADATA {{ voxloom: {quoted(_mark(archive))} }}"
        db.execute(
            f"COPY (FROM read_parquet({quoted(series)})) TO {quoted(temporary)} (FORMAT parquet, COMPRESSION zstd, {mark})"
        )


def _mark(archive: Path) -> str:
    """What the series table depends on: the archive's file and the rules."""
    about = archive.stat()
    return f"{about.st_size} {about.st_mtime_ns} {hashlib.sha256(SERIES_QUERY.encode()).hexdigest()}"


def _mark_of(series: Path) -> str:
    import pyarrow.parquet as pq

    return ((pq.read_metadata(series).metadata or {}).get(b"voxloom") or b"").decode()


def check_columns(path: Path) -> None:
    """Refuse a file that is no archive, or one of a version that cannot be read any more (BadInput)."""
    import duckdb
    import pyarrow as pa

    try:
        with connect() as db:
            known = {row[0] for row in db.execute(f"DESCRIBE FROM {rows_of(path)}").fetchall()}
    except (duckdb.Error, pa.ArrowInvalid) as error:
        raise BadInput(
            f"is not a Parquet file ({str(error).splitlines()[0]})", path, "Give an archive.parquet"
        ) from None
    if missing := [name for name in COLUMNS if name not in known]:
        raise BadInput(
            f"is not an archive of this version: it lacks {', '.join(missing[:3])}",
            path,
            "Index again, into a new file",
        )
