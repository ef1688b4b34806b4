"""One batch of files, read and written as a part of the archive.

Knows the columns' types in Parquet and the ledger, which says of every file what came of it. A part counts once its
ledger is there, so that a kill at any moment leaves nothing half. Runs in worker processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from voxloom.archive.columns import COLUMNS, INTEGERS, LISTS, NUMBERS
from voxloom.archive.containers import members
from voxloom.archive.parse import HeaderParser
from voxloom.archive.read import DiskFile, Member, Reading, read_headers
from voxloom.archive.walk_folders import is_container
from voxloom.errors import BadInput
from voxloom.files import atomic_path

#: Members of a container that are in memory at once.
_MEMBERS_TOGETHER = 256
LEDGER_ENDING = ".files.parquet"  # of a part, as of the archive itself


def instance_schema() -> Any:
    """Arrow schema of the instance table."""
    import pyarrow as pa

    def kind(name: str) -> Any:
        if name in LISTS:
            return pa.list_(pa.float64())
        return pa.int64() if name in INTEGERS else pa.float64() if name in NUMBERS else pa.string()

    return pa.schema([(name, kind(name)) for name in COLUMNS])


def ledger_schema() -> Any:
    """Arrow schema of the ledger: one row per file that was opened."""
    import pyarrow as pa

    problem = pa.struct([("member", pa.string()), ("reason", pa.string())])
    counts = [(name, pa.int64()) for name in ("size", "time", "instances", "others")]
    return pa.schema([("file", pa.string()), *counts, ("problems", pa.list_(problem))])


def read_batch(folder: str, number: int) -> int:
    """Read the files of row group ``number`` of ``folder``/todo.parquet into a part; returns how many there were."""
    import pyarrow.parquet as pq

    todo = pq.ParquetFile(Path(folder) / "todo.parquet").read_row_group(number).to_pydict()
    files = [
        DiskFile(file, size, time) for file, size, time in zip(todo["file"], todo["size"], todo["time"], strict=True)
    ]
    write_part(Path(folder) / f"part-{number:06d}", files)
    return len(files)


def write_part(stem: Path, files: Sequence[DiskFile]) -> None:
    """Read ``files`` and write <stem>.parquet with their instances, then <stem>.files.parquet with the ledger."""
    parser = HeaderParser()
    reading = read_headers((f for f in files if not is_container(f.file)), parser)
    counts = dict.fromkeys((f.file for f in files), 1)
    for container in (f for f in files if is_container(f.file)):
        inside = _read_container(container, parser)
        counts[container.file] = inside.count + inside.others + len(inside.problems)
        reading.problems += inside.problems
        for name, column in reading.columns.items():
            column += inside.columns[name]
    _write(reading, files, counts, stem)


def _read_container(container: DiskFile, parser: HeaderParser) -> Reading:
    broken: list[str] = []

    def guarded() -> Iterator[Member]:
        try:
            yield from members(container.file, container.time)
        except BadInput as error:
            broken.append(error.what)

    reading = read_headers(guarded(), parser, together=_MEMBERS_TOGETHER)
    reading.problems += [(container.file, None, reason) for reason in broken]
    return reading


def _write(reading: Reading, files: Sequence[DiskFile], counts: dict[str, int], stem: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(reading.columns, schema=instance_schema())
    with atomic_path(stem.with_name(f"{stem.name}.parquet")) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    instances = Counter(reading.columns["file"])
    problems: dict[str, list[dict[str, Any]]] = {}
    for file, member, reason in reading.problems:
        problems.setdefault(file, []).append({"member": member, "reason": reason})
    rows = [
        {
            "file": f.file,
            "size": f.size,
            "time": f.time,
            "instances": instances[f.file],
            "others": counts[f.file] - instances[f.file] - len(problems.get(f.file, ())),
            "problems": problems.get(f.file, []),
        }
        for f in files
    ]
    with atomic_path(stem.with_name(stem.name + LEDGER_ENDING)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, schema=ledger_schema()), temporary, compression="zstd")
