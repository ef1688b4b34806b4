"""Slices per second from an archive to NIfTI: ``voxloom select`` beside dcm2niix, on the same series, in turns.

    pip install dcm2niix==1.0.20260724
    python benchmarks/select_rate.py [--series 12] [--syntax raw|j2k]

Series of 200 slices of 384 x 274 in one folder each. Voxloom's time is the whole selection (rules, checks of the geometry, pseudonyms,
headers without identity, hash of the voxels, NIfTI), of an index that is there already; its files are compressed (.nii.gz). dcm2niix
(wheel ``dcm2niix``) reads the same folders, one process per core, and writes plain or compressed files.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

import dcm2niix
import numpy as np
import pydicom
from pairs import cores, machine
from pydicom.uid import JPEG2000Lossless

from voxloom.archive import index_archive, load_rules
from voxloom.archive.select import SelectOptions, select
from voxloom.formats import write_dicom_series
from voxloom.volume import Volume

SHAPE = (384, 274, 200)
RULES = """
keep:
  - {name: MR, where: {Modality: MR}}
channels:
  image: {prefer: [-slices, series_number]}
"""


def write_series(folder: Path, number: int, compressed: bool) -> None:
    """A head-sized ellipsoid with noise, as MR."""
    random = np.random.default_rng(number)
    i, j, k = (np.linspace(-1, 1, n, dtype=np.float32) for n in SHAPE)
    inside = (i[:, None, None] ** 2 + j[:, None] ** 2 + k**2) < 0.8
    voxels = (inside * (600 + 80 * np.sin(9 * i)[:, None, None]) + random.gamma(2, 12, SHAPE)).astype(np.int16)
    about = {"PatientID": f"P{number}", "SeriesNumber": number, "Manufacturer": "SIEMENS"}
    write_dicom_series(Volume(voxels[None], np.diag([0.6, 0.6, 0.9, 1])), folder, template=about)
    for path in sorted(folder.iterdir()) if compressed else []:
        dataset = pydicom.dcmread(path)
        dataset.compress(JPEG2000Lossless)
        dataset.save_as(path)


def by_voxloom(archive: Path, rules: Path, workers: int) -> Callable[[Path], None]:
    def work(out: Path) -> None:
        made = select(archive, load_rules(rules), out / "set", options=SelectOptions(workers=workers))
        if made.refused:
            raise SystemExit(f"refused: {made.refused[0]}")

    return work


def by_dcm2niix(series: list[Path], compress: str, processes: int) -> Callable[[Path], None]:
    def one(folder: Path, out: Path) -> None:
        command = [dcm2niix.bin, "-z", compress, "-b", "y", "-f", folder.name, "-o", str(out), str(folder)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def work(out: Path) -> None:
        with ThreadPoolExecutor(processes) as pool:
            list(pool.map(lambda folder: one(folder, out), series))

    return work


def main() -> None:
    """Print slices per second, medians over the rounds, and ratios pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=12)
    parser.add_argument("--syntax", choices=["raw", "j2k"], default="raw")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        series = [place / "archive" / f"s{n}" for n in range(asked.series)]
        for number, folder in enumerate(series):
            write_series(folder, number, asked.syntax == "j2k")
        (place / "rules.yaml").write_text(RULES)
        index_archive([place / "archive"], place / "index.parquet")
        sides = {
            "voxloom select, one process": by_voxloom(place / "index.parquet", place / "rules.yaml", 1),
            f"voxloom select, {cores()} processes": by_voxloom(place / "index.parquet", place / "rules.yaml", cores()),
            "dcm2niix, plain files, one process": by_dcm2niix(series, "n", 1),
            f"dcm2niix, plain files, {cores()} processes": by_dcm2niix(series, "n", cores()),
            f"dcm2niix, compressed files, {cores()} processes": by_dcm2niix(series, "i", cores()),
        }
        seconds: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(asked.repeats + 1):
            for name, work in sides.items():
                out = place / "out"
                out.mkdir()
                start = time.perf_counter()
                work(out)
                seconds[name].append(time.perf_counter() - start)
                shutil.rmtree(out)
        first = next(iter(sides))
        print(f"{machine()}; {asked.series} series of {SHAPE[2]} slices of {SHAPE[0]} x {SHAPE[1]}, {asked.syntax}\n")
        print(f"| who | slices per second | times {first} |\n|---|---|---|")
        for name, all_rounds in seconds.items():
            rounds, base = all_rounds[1:], seconds[first][1:]  # the first round warms up
            rates = [asked.series * SHAPE[2] / s for s in rounds]
            ratios = [b / s for s, b in zip(rounds, base, strict=True)]
            print(f"| {name} | {median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f}) | {median(ratios):.2f} |")


if __name__ == "__main__":
    main()
