"""1,000 cases of 20 labels from two folders: seconds by processes, and memory against the number of cases.

    python benchmarks/many_cases.py [--cases 1000] [--labels 20] [--record HEADING]

Label maps of 128 x 128 x 64 with ellipsoids; a few different ones stand for all cases (links to the same files), and each is read
and measured on its own. Measured: every usual metric of every label, tables and summary written as ``voxloom evaluate`` does. Memory
is the largest sum over this process and its workers, sampled ten times a second.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from pairs import cores, parser, report

SHAPE, DIFFERENT = (128, 128, 64), 8


def write_cases(root: Path, cases: int, labels: int) -> None:
    """Folders ``truth`` and ``pred`` with so many cases."""
    from voxloom.formats import write_volume
    from voxloom.volume import Volume

    random = np.random.default_rng(0)
    for n in range(min(DIFFERENT, cases)):
        centers, radii = random.uniform(0.1, 0.9, (labels, 3)) * SHAPE, random.uniform(4, 14, (labels, 3))
        for folder, shift in (("truth", 0.0), ("pred", 1.2)):
            data = np.zeros(SHAPE, np.uint8)
            for label, (center, radius) in enumerate(zip(centers + shift, radii, strict=True), start=1):
                low, high = np.maximum(center - radius, 0).astype(int), (center + radius + 2).astype(int)
                part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
                far = sum(((i - c) / r) ** 2 for i, c, r in zip(np.ogrid[part], center, radius, strict=True))
                ends = tuple(slice(0, n) for n in data[part].shape)
                data[part][far[ends] < 1] = label
            write_volume(Volume(data[None], np.diag([1.0, 1.0, 2.0, 1.0])), root / folder / f"c{n:04d}.nii.gz")
    for n in range(DIFFERENT, cases):
        for folder in ("truth", "pred"):
            (root / folder / f"c{n:04d}.nii.gz").hardlink_to(root / folder / f"c{n % DIFFERENT:04d}.nii.gz")


def evaluate(root: Path, cases: int, labels: int, workers: int) -> None:
    """In a process of its own: seconds, and the largest memory, as JSON."""
    from voxloom.dataset.labels import Labels
    from voxloom.evaluation import evaluate_folders
    from voxloom.files import write_json

    truths = {path.name.split(".")[0]: path for path in sorted((root / "truth").iterdir())[:cases]}
    peak, done = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(peak, done), daemon=True)
    watcher.start()
    start = time.perf_counter()
    found = evaluate_folders(root / "pred", truths, Labels.from_values(range(1, labels + 1)), workers=workers)
    measured = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as out:
        found.write_csv(Path(out) / "metrics.csv")
        write_json(Path(out) / "statistics.json", found.summary())
    done.set()
    watcher.join()
    seconds = time.perf_counter() - start
    told = {"seconds": seconds, "measuring": measured, "mib": peak[0], "rows": len(found.rows)}
    print(json.dumps(told))


def _watch(peak: list[float], done: threading.Event) -> None:
    while not done.wait(0.1):
        peak[0] = max(peak[0], sum(map(_resident, _family(os.getpid()))))


def _family(process: int) -> list[int]:
    try:
        children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return [process]
    return [process, *(n for child in children for n in _family(int(child)))]


def _resident(process: int) -> float:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    except OSError:
        return 0.0


def ask(root: Path, cases: int, options: argparse.Namespace, workers: int) -> dict[str, float]:
    """One evaluation in a process of its own."""
    command = [sys.executable, __file__, "--serve", json.dumps([str(root), cases, options.labels, workers])]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return answer


def main() -> None:
    made = parser(__doc__, repeats=1)
    made.add_argument("--cases", type=int, default=1000)
    made.add_argument("--labels", type=int, default=20)
    options = made.parse_args()
    if options.serve:
        root, cases, labels, workers = json.loads(options.serve)
        evaluate(Path(root), cases, labels, workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_cases(Path(folder), options.cases, options.labels)
        tenth = max(options.cases // 10, 1)
        asked = [(tenth, 1), (tenth, cores()), (options.cases, cores())]
        rows = [(cases, workers, ask(Path(folder), cases, options, workers)) for cases, workers in asked]
    lines = [
        "| cases | processes | s | of it measuring | cases per s | peak MiB, all processes |",
        "|---|---|---|---|---|---|",
    ]
    for cases, workers, found in rows:
        figures = [
            f"{found['seconds']:.1f}",
            f"{found['measuring']:.1f}",
            f"{cases / found['seconds']:.1f}",
            f"{found['mib']:.0f}",
        ]
        lines.append(" | ".join([f"| {cases}", str(workers), *figures]) + " |")
    report(options, "\n".join(lines))


if __name__ == "__main__":
    main()
