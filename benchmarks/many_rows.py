"""An archive of many instances: time and memory of the series table, of cutting it by month, and of questions to both.

    python benchmarks/many_rows.py --rows 5000000
    python benchmarks/many_rows.py --rows 20000000        (about 2 GB of disk, a quarter of an hour on two cores)

Rows are generated (20 instances to a series, 7 series to a study, 240 months); no file lies behind them. Each step has a process of
its own, and so its own peak of memory. DuckDB may hold 3 GB; the rest goes to disk.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from archive_index import write_rows

from voxloom.archive import Archive
from voxloom.archive.catalogue import derive_series
from voxloom.archive.database import connect, quoted
from voxloom.archive.partition import folder_of, partition

#: Months over which the studies of the generated archive are spread.
MONTHS = 240
QUESTIONS = {
    "series by plane": "SELECT derived_plane, count(*) FROM series GROUP BY derived_plane",
    "instances of one month": "SELECT count(DISTINCT SeriesInstanceUID), sum(file_size) FROM instances WHERE {month}",
    "one patient": "SELECT count(*) FROM instances WHERE PatientID = 'P000077'",
    "instances by modality and slice thickness": "SELECT Modality, SliceThickness, count(*) FROM instances GROUP BY ALL",
}
MONTH_OF = {"whole": "StudyDate[1:6] = '201003'", "cut": "part = '2010-03'"}


def generate(archive: Path, rows: int) -> None:
    """Rows of ``archive_index.py``, their studies spread over twenty years."""
    plain = archive.with_name("plain.parquet")
    write_rows(plain, rows)
    month = f"CAST(hash(StudyInstanceUID) % {MONTHS} AS INTEGER)"
    date = f"printf('%04d%02d15', 2001 + {month} // 12, 1 + {month} % 12)"
    with connect(archive.parent) as db:
        db.execute(
            f"COPY (SELECT * REPLACE ({date} AS StudyDate) FROM read_parquet({quoted(plain)})) TO {quoted(archive)} "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    plain.unlink()


def step(name: str, archive: Path, rows: int) -> None:
    """One step, whose seconds and peak of memory are printed as JSON."""
    start = time.perf_counter()
    if name == "generate":
        generate(archive, rows)
    elif name == "series table":
        derive_series(archive, archive.parent)
    elif name == "cut by month":
        partition(archive, "month")
    else:
        kind, _, question = name.partition(": ")
        source = archive if kind == "whole" else folder_of(archive, "month")
        Archive(source).query(QUESTIONS[question].format(month=MONTH_OF[kind]))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": time.perf_counter() - start, "gib": peak}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--work", type=Path, help="Folder for the archive. [default: a temporary one]")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        step(options.step, options.work / "archive.parquet", options.rows)
        return
    names = ["generate", "series table", "cut by month"]
    names += [f"{kind}: {question}" for question in QUESTIONS for kind in ("whole", "cut")]
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        print(f"{options.rows:,} rows\n\n| step | seconds | peak GiB |\n|---|---|---|")
        for name in names:
            line = [sys.executable, __file__, "--rows", str(options.rows), "--work", str(work), "--step", name]
            found = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
            print(f"| {name} | {found['seconds']:.1f} | {found['gib']:.2f} |", flush=True)
        size = sum(p.stat().st_size for p in work.rglob("*.parquet"))
        print(f"\n{size / 2**30:.2f} GiB on disk, both forms")


if __name__ == "__main__":
    main()
