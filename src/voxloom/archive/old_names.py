"""Questions in the names that the columns had before: answered for one more release, with a line on what they are called now.

Knows SQL by its words alone (DuckDB's tokens). A question that uses old names is asked of tables that carry them, so that ``*`` and
the names of the answer are the old ones too.
"""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import TYPE_CHECKING

from voxloom.archive.names import OLD_NAMES, renamed

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SCHEMA = "old"


def use_old_names(db: DuckDBPyConnection) -> None:
    """From now on the tables of an open archive (``Archive.open``) carry the old names; ``main.series`` has the present ones."""
    if _SCHEMA not in {row[0] for row in db.execute("SELECT schema_name FROM duckdb_schemas()").fetchall()}:
        db.execute(f"CREATE SCHEMA {_SCHEMA}")
        for table in OLD_NAMES:
            db.execute(f"CREATE VIEW {_SCHEMA}.{table} AS SELECT {_old_terms(db, table)} FROM main.{table}")
    db.execute(f"SET search_path = '{_SCHEMA},main'")


def _old_terms(db: DuckDBPyConnection, table: str) -> str:
    """Every column of a table under its old name, several where an element of several numbers had one each."""
    terms = []
    for row in db.execute(f"DESCRIBE main.{table}").fetchall():
        olds = [(old, now) for old, now in OLD_NAMES[table].items() if now.partition("[")[0] == row[0]]
        terms += [f'{now} AS "{old}"' for old, now in olds] or [f'"{row[0]}"']
    return ", ".join(terms)


def in_either_names(db: DuckDBPyConnection, sql: str) -> DuckDBPyConnection:
    """Execute a question in old or in present names.

    Raises
    ------
    duckdb.Error : it can be answered in neither, e.g. since it mixes both; the error is that of the present names.
    """
    import duckdb

    if old := old_names_in(sql):
        use_old_names(db)
        try:
            found = db.execute(sql)
        except duckdb.BinderException:
            db.execute("SET search_path = 'main'")
        else:
            warnings.warn(renamed(old), FutureWarning, stacklevel=4)
            return found
    return db.execute(sql)


def old_names_in(sql: str) -> list[str]:
    """The old names among the words of a question, but for those that it gives itself (``count(*) AS rows``)."""
    import duckdb

    known = {name for names in OLD_NAMES.values() for name in names}
    places = duckdb.tokenize(sql)
    ends = [begin for begin, _ in places[1:]] + [len(sql.encode())]
    words = [
        (sql.encode()[begin:end].decode("utf-8", "replace").split() or [""])[0]
        for (begin, kind), end in zip(places, ends, strict=True)
        if kind in (duckdb.token_type.identifier, duckdb.token_type.keyword)
    ]
    given = {word.strip('"') for before, word in pairwise(words) if before.upper() == "AS"}
    return [name for word in dict.fromkeys(words) if (name := word.strip('"')) in known and name not in given]
