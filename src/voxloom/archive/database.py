"""DuckDB connections with bounded memory. Knows no table."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

#: What a query may hold in memory; the rest goes to a temporary folder.
MEMORY_LIMIT = "3GB"


@contextlib.contextmanager
def connect(scratch: Path | None = None) -> Iterator[DuckDBPyConnection]:
    """An empty database in memory, which spills into ``scratch`` (default: the system's temporary folder)."""
    import duckdb

    from voxloom.cpu import usable_cores

    with tempfile.TemporaryDirectory(prefix="voxloom-", dir=scratch) as folder:
        settings: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": MEMORY_LIMIT,
            "temp_directory": folder,
            "threads": usable_cores(),
        }
        with duckdb.connect(":memory:", config=settings) as db:
            db.execute("SET enable_progress_bar = false")
            yield db


def quoted(value: str | Path) -> str:
    """A text as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"
