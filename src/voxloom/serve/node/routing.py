"""Which rules a received series meets: the conditions of an archive's rules, asked of the headers of its files.

Knows the series table of ``voxloom.archive``; the words and times that tell a weighting or a plane are that table's. Does not know
what is done with a series.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom import notes
from voxloom.archive.batch import write_part
from voxloom.archive.catalogue import told_by
from voxloom.archive.conditions import sql_of
from voxloom.archive.database import connect
from voxloom.archive.names import renamed, with_present_names
from voxloom.archive.read import DiskFile
from voxloom.archive.views import SERIES_QUERY, instances_sql
from voxloom.errors import BadInput
from voxloom.serve.node.state import Fit

if TYPE_CHECKING:
    from voxloom.archive.rules import Where
    from voxloom.serve.node.settings import Rule

#: Kinds of objects that no run can see: what runs and readers made, and notes. A rule without conditions does not mean them.
NO_SCANS = ("SEG", "RTSTRUCT", "RTPLAN", "RTRECORD", "SR", "PR", "KO", "DOC", "REG", "FID", "AU", "ANN", "M3D", "PLAN")


def check_rules(rules: Sequence[Rule], source: Path) -> None:
    """Refuse conditions that can never be asked (BadInput): unknown columns, wrong kinds of values, broken patterns."""
    matching((), rules, source)


def matching(files: Sequence[Path], rules: Sequence[Rule], source: Path, scratch: Path | None = None) -> list[Fit]:
    """The rules that the one series in ``files`` meets, in their order; of those with channels each channel that it may be.

    Parameters
    ----------
    files : all DICOM files of the series.
    source : the settings file, for messages and for lists that conditions name.
    scratch : where the headers lie meanwhile, names included; None takes the system's temporary folder.

    Returns
    -------
    A fit per rule that takes one series (its channel is "") and per channel of the others.

    Raises
    ------
    BadInput : a condition that cannot be asked.
    """
    import duckdb

    questions = [question for rule in _in_present_names(rules, source) for question in _questions(rule)]
    with tempfile.TemporaryDirectory(prefix="headers-", dir=scratch) as folder:
        stem = Path(folder) / "series"
        write_part(stem, [_disk_file(path) for path in files])
        with connect(Path(folder)) as db:
            db.execute(instances_sql(stem.with_suffix(".parquet")))
            db.execute(f"CREATE TEMP TABLE series AS {SERIES_QUERY}")  # planned once, which is most of the time
            columns = {row[0]: row[1] for row in db.execute("DESCRIBE series").fetchall()}
            asked = [" AND ".join(sql_of(where, columns, source) for where in wheres) for _, wheres in questions]
            kinds = ", ".join(f"'{kind}'" for kind in NO_SCANS)
            try:
                found = db.execute(
                    f"SELECT {', '.join(asked)} FROM series WHERE coalesce(Modality NOT IN ({kinds}), true)"
                ).fetchall()
            except duckdb.Error as error:
                what = f"the conditions of the rules cannot be asked ({told_by(error)})"
                raise BadInput(what, source, "Correct them") from None
    return [fit for n, (fit, _) in enumerate(questions) if any(row[n] for row in found)]


def _in_present_names(rules: Sequence[Rule], source: Path) -> list[Rule]:
    """The rules with the present names of the columns; a note on the settings says which old names they used."""
    used: set[str] = set()
    present = [
        rule.model_copy(
            update={
                "where": with_present_names(rule.where, used, source),
                "channels": {name: with_present_names(where, used, source) for name, where in rule.channels.items()},
            }
        )
        for rule in rules
    ]
    if used:
        notes.tell(source, renamed(sorted(used), "series"))
    return present


def _questions(rule: Rule) -> list[tuple[Fit, tuple[Where, ...]]]:
    """What a rule asks of a series: its own conditions, and those of one channel beside them."""
    if not rule.channels:
        return [(Fit(rule.name, ""), (rule.where,))]
    return [(Fit(rule.name, channel), (rule.where, where)) for channel, where in rule.channels.items()]


def _disk_file(path: Path) -> DiskFile:
    about = path.stat()
    return DiskFile(str(path), about.st_size, about.st_mtime_ns)
