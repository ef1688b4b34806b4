"""Made-up scans for every task: one to four bright balls, and what a task learns of them."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from voxloom.formats import write_volume
from voxloom.points import Point, write_points
from voxloom.volume import Volume

CENTERS = ((3, 3), (3, 12), (12, 3), (12, 12))


def write_scans(root: Path, task: str, numbers: range) -> Path:
    """The table of the cases ``s<number>``, a patient each, with the column that the task learns from.

    Points mark the first ball; label maps hold all; a class says whether there are more than two; a number is ten times their count.
    """
    column = {"segmentation": "label", "counting": "label", "landmarks": "points"}.get(task, "target")
    rows = [["id", "image", "patient", column]]
    for n in numbers:
        balls = 1 + n % 4
        image, label = drawn(n, balls)
        write_volume(image, root / f"s{n}.nii.gz")
        if column == "label":
            target = f"m{n}.nii.gz"
            write_volume(label, root / target)
        elif column == "points":
            target = f"p{n}.csv"
            write_points([Point("ball", "", (2.0 * CENTERS[0][0], 2.0 * CENTERS[0][1], 12.0))], root / target, f"s{n}")
        else:
            target = ("many" if balls > 2 else "few") if task == "classification" else str(10.0 * balls)
        rows.append([f"s{n}", f"s{n}.nii.gz", f"p{n}", target])
    with (root / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "cases.csv"


def drawn(number: int, balls: int) -> tuple[Volume, Volume]:
    """A noisy scan of (16, 16, 12) voxels of 2 mm with so many balls, and its label map."""
    random, grid = np.random.default_rng(number), np.diag([2.0, 2, 2, 1])
    image, label = random.normal(0, 0.2, (16, 16, 12)), np.zeros((16, 16, 12), np.uint8)
    for i, j in CENTERS[:balls]:
        where = np.s_[i - 2 : i + 3, j - 2 : j + 3, 4:9]
        image[where] += 2
        label[where] = 1
    return Volume(image.astype(np.float32)[None], grid), Volume(label[None], grid)
