"""The demonstration: real hippocampus MR where it is at hand, else downloaded, else a phantom; trained and tested.

Knows where data may lie and how the test cases are set apart (the first by SHA-256 of the file name, as in the benchmark).
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.dataset.fetch import get
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.statistics import interval_text
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.run.listener import SILENT, Listener
from voxloom.verbs.evaluate import evaluate_run, report_run
from voxloom.verbs.train import train

#: One case in five is never seen by the training.
TEST_SHARE = 5


@dataclass(frozen=True)
class DemoData:
    """The data of the demo: where, which kind ("real", "downloaded", "phantom"), and a sentence that says so."""

    folder: Path
    kind: str
    sentence: str


@dataclass(frozen=True)
class DemoResult:
    """Where the run and its report are, and Dice on the test cases: label -> figures of ``Evaluation.summary``."""

    run: Path
    report: Path
    cases: int
    dice: dict[str, Any]

    def rows(self) -> list[list[str]]:
        """A table with a header row."""
        lines = [["label", "mean Dice", "95 % CI", "worst"]]
        for label, f in self.dice.items():
            ends = interval_text(f["ci"], 4, " to ")
            lines.append([label, f"{f['mean']:.4f}", ends, f"{f['min']:.4f}"])
        return lines


def demo_data(root: Path | None, out: Path, download: bool) -> DemoData:
    """Find the data of the demo, in this order: ``root`` or $VOXLOOM_DATA or ../shared/data, a download, a phantom.

    Raises BadInput when ``root`` is named and holds no real data, unless they may be downloaded.
    """
    parent = root or Path(os.environ.get("VOXLOOM_DATA", Path("..") / "shared" / "data"))
    real = parent / "hippocampus"
    if (real / "dataset.json").is_file():
        return DemoData(real, "real", f"Real MR volumes: Hippocampus of the Medical Segmentation Decathlon in {real}")
    if root is not None and not download:
        raise BadInput("no hippocampus data in it (hippocampus/dataset.json)", root, "Leave --data out for a phantom")
    if download:
        folder = get("Task04_Hippocampus", out / "data", accept_licence=True)
        return DemoData(folder, "downloaded", f"Real MR volumes, downloaded to {folder}")
    folder = out / "phantom"
    if not folder.exists():
        write_phantoms("lumbar-mr", 24, folder, seed=0)
    return DemoData(
        folder, "phantom", f"No real data found, so a PHANTOM (simulated lumbar MR, {folder}) stands in for it"
    )


def split_test(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Training cases and test cases; the test cases are the first fifth by SHA-256 of the image's file name."""
    cases = sorted(dataset.training, key=lambda c: hashlib.sha256(c.source_files[0].name.encode()).hexdigest())
    count = len(cases) // TEST_SHARE
    names = [case.id for case in cases]
    return dataset.subset(names[count:]), dataset.subset(names[:count])


def run_demo(choice: DemoData, out: Path, budget: str, listener: Listener = SILENT) -> DemoResult:
    """Train on four fifths, test on the rest."""
    training, test = split_test(Dataset(choice.folder))
    folder = next(f for n in range(1, 10**6) if not (f := out / f"run-{n}").exists())
    run = train(training, Recipe.load("auto"), out=folder, budget=budget, listener=listener)
    evaluation = evaluate_run(run.folder, test)
    dice = evaluation.summary()["dice"]
    if not dice:
        raise VoxloomError("the test cases gave no figures")
    return DemoResult(run.folder, report_run(run.folder), len(test), dice)
