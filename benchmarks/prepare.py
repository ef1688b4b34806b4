"""Preparation: cases per second with reading, and resampling against scipy.ndimage.zoom and SimpleITK.

Run: ``python benchmarks/prepare.py --data shared/data/hippocampus``. The cache is new in every repeat; figures are median
(minimum to maximum). Resampling is (200, 200, 60) to (260, 260, 120) voxels, one thread each.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import zoom

from voxloom.dataset import Dataset
from voxloom.prepare import Cache, PrepareSettings, prepare_image
from voxloom.volume import Volume


def seconds(work: Callable[[], Any], repeats: int) -> list[float]:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return taken


def cases_per_second(data: Dataset, workers: int | None, repeats: int) -> None:
    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            Cache(folder).prepare(data, PrepareSettings(), workers=workers)

    rates = sorted(len(data) / taken for taken in seconds(work, repeats))
    name = "chosen" if workers is None else workers
    print(f"| {len(data)} cases, workers {name} | {statistics.median(rates):.0f} ({rates[0]:.0f} to {rates[-1]:.0f}) |")


def whole_reads(data: Dataset, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Cache(folder).prepare(data, PrepareSettings())
        taken = sorted(seconds(lambda: [case.image() for case in prepared.values()], repeats))
        print(f"| all images into memory, s | {statistics.median(taken):.3f} ({taken[0]:.3f} to {taken[-1]:.3f}) |")
        taken = sorted(seconds(lambda: Cache(folder).prepare(data, PrepareSettings()), repeats))
        print(f"| nothing to do, s | {statistics.median(taken):.3f} ({taken[0]:.3f} to {taken[-1]:.3f}) |")


def resampling(repeats: int) -> None:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    data = np.random.default_rng(0).normal(size=(200, 200, 60)).astype(np.float32)
    source = Volume(data[None], np.diag([1.3, 1.3, 2.0, 1.0]))
    factor = (1.3, 1.3, 2.0)
    image = sitk.GetImageFromArray(data.T)

    def by_sitk() -> None:
        filter_ = sitk.ResampleImageFilter()
        filter_.SetSize((260, 260, 120))
        filter_.SetOutputSpacing([1 / f for f in factor])
        filter_.SetInterpolator(sitk.sitkLinear)
        sitk.GetArrayFromImage(filter_.Execute(image))

    ways: dict[str, Callable[[], Any]] = {
        "voxloom linear": lambda: prepare_image(source, PrepareSettings(spacing=(1, 1, 1), normalize="none")),
        "SimpleITK linear": by_sitk,
        "scipy zoom linear": lambda: zoom(data, factor, order=1, mode="nearest", grid_mode=True),
        "voxloom cubic": lambda: prepare_image(
            source,
            PrepareSettings(spacing=(1, 1, 1), normalize="none", image_order="cubic"),
        ),
        "scipy zoom cubic": lambda: zoom(data, factor, order=3, mode="nearest", grid_mode=True),
    }
    for name, work in ways.items():
        taken = sorted(seconds(work, repeats))
        print(f"| {name}, s | {statistics.median(taken):.3f} ({taken[0]:.3f} to {taken[-1]:.3f}) |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    data = Dataset(options.data)
    print("| figure | median (min to max) |\n|---|---|")
    for workers in (None, 2):
        cases_per_second(data, workers, options.repeats)
    whole_reads(data, options.repeats)
    resampling(options.repeats)


if __name__ == "__main__":
    main()
