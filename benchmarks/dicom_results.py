"""SEG of 200 slices of 512 x 512 with three labels: time to open the source, create and save, and to read back.

Each kind is written and read in turns, beside highdicom alone on the same headers and mask. Run: python benchmarks/dicom_results.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import highdicom
import numpy as np
import pydicom
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from voxloom.formats import read_label, write_dicom_series
from voxloom.formats.dicom.results import Author, Segment, open_source, shipped, write_rtstruct, write_seg
from voxloom.volume import Volume

REPEATS = 3
NAMES = ("liver", "kidney_left", "liver tumor")


def mask() -> np.ndarray:
    """(512, 512, 200) with a liver-sized, a kidney-sized and a small label; 163 slices or so are not empty."""
    i, j, k = np.ogrid[:512, :512, :200]
    found = np.zeros((512, 512, 200), np.uint8)
    found[((i - 200) / 100) ** 2 + ((j - 250) / 80) ** 2 + ((k - 100) / 80) ** 2 < 1] = 1
    found[((i - 350) / 40) ** 2 + ((j - 300) / 50) ** 2 + ((k - 90) / 70) ** 2 < 1] = 2
    found[((i - 200) / 30) ** 2 + ((j - 250) / 30) ** 2 + ((k - 100) / 10) ** 2 < 1] = 3
    return found


def plain(headers: list[Any], pixels: np.ndarray, path: Path) -> None:
    """highdicom as its documentation uses it, without codes, colors or checks of ours."""
    described = [
        highdicom.seg.SegmentDescription(n, name, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
        for n, name in enumerate(NAMES, start=1)
    ]
    seg = highdicom.seg.Segmentation(
        headers, pixels, "BINARY", described, generate_uid(), 1, generate_uid(), 1, "a", "b", "c", "d"
    )
    seg.save_as(path)


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of wall time and of the processor; one thread works."""
    start, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - spent


def main() -> None:
    """Print a table of medians over the repeats."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        drawn, affine = mask(), np.diag([-0.8, -0.8, 2.5, 1.0])
        voxels = np.random.default_rng(0).integers(-100, 200, (1, 512, 512, 200)).astype(np.int16)
        files = write_dicom_series(Volume(voxels, affine), root / "series", template={"Modality": "CT"})
        segments = [Segment(n, name, shipped().meaning(name)) for n, name in enumerate(NAMES, start=1)]
        author, pixels = Author("run", "ab" * 32), np.ascontiguousarray(drawn.transpose(2, 1, 0))
        source = open_source(root / "series")
        headers = [pydicom.dcmread(path, stop_before_pixels=True) for path in files]
        like = Volume(np.broadcast_to(np.uint8(0), (1, 512, 512, 200)), affine)
        b, m, r = (root / f"{name}.dcm" for name in ("b", "m", "r"))
        steps: dict[str, Callable[[], Any]] = {
            "open the source (headers)": lambda: open_source(root / "series"),
            "BINARY, create + save": lambda: write_seg(drawn, segments, source, b, author),
            "highdicom alone, BINARY, create + save": lambda: plain(headers, pixels, root / "plain.dcm"),
            "BINARY, read onto the grid": lambda: read_label(b, like=like),
            "LABELMAP, create + save": lambda: write_seg(drawn, segments, source, m, author, kind="LABELMAP"),
            "LABELMAP, read onto the grid": lambda: read_label(m, like=like),
            "RTSTRUCT, create + save": lambda: write_rtstruct(drawn, segments, source, r, author),
            "RTSTRUCT, read onto the grid": lambda: read_label(r, like=like),
        }
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
        for _ in range(REPEATS):
            for name, work in steps.items():
                seconds[name].append(timed(work))
        print(f"{'step':42} {'wall s':>9} {'CPU s':>9}")
        for name, found in seconds.items():
            print(f"{name:42} {median(wall for wall, _ in found):9.2f} {median(cpu for _, cpu in found):9.2f}")


if __name__ == "__main__":
    main()
