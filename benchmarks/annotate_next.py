"""Does it pay to annotate what `voxloom rank` names first? Learning curves of ranked against random choice.

    python benchmarks/annotate_next.py --seeds 0 1 2 [--first 4] [--sizes 8 16] [--steps 150]

Data: hippocampus as split by `hippocampus.py` (160 training cases, 40 test cases). For each seed a pool of 80 training cases is drawn,
of which `--first` are labelled to begin with. Both sides begin with the same network; then each adds cases until it has the next
size, by rank (test-time members of its latest network, diversity 0.5) or at random, trains anew, and is scored on the test cases.
A small network and a fixed number of steps make every training cost the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from hippocampus import lay_out, test_dice

from voxloom.annotate.rank import rank_scans
from voxloom.dataset import Dataset
from voxloom.recipe.recipe import Recipe
from voxloom.run.scans import Scan
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.sampling import Sampling
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

POOL = 80
SMALL: dict[str, Any] = {
    "network.features": [12, 24, 48],
    "network.strides": [[2, 2, 2], [2, 2, 2], [2, 2, 2]],
    "network.kernels": [[3, 3, 3]] * 3,
    "network.deep_supervision": 1,
    "training.patch": [32, 48, 32],
    "training.batch": 2,
    "training.validations": 1,
    "folds.hold_out": 0,
}


class Study:
    """One seed: its pool, and how it trains and scores."""

    def __init__(self, data: Dataset, test: Path, work: Path, seed: int, steps: int) -> None:
        self.data, self.test, self.work, self.seed = data, test, work, seed
        self.recipe = Recipe.load("auto").changed({**SMALL, "training.steps": steps, "seed": seed, "device": "cpu"})
        self.pool = sorted(random.Random(seed).sample(sorted(case.id for case in data), POOL))

    def dice(self, labelled: list[str], name: str) -> tuple[Path, float]:
        """A network trained on some cases, and its mean Dice on the test cases."""
        run = train(
            self.data.subset(sorted(labelled)), self.recipe, out=self.work / f"{self.seed}-{name}-{len(labelled)}"
        )
        return run.folder, test_dice(run.folder, self.test)[0]

    def ranked(self, run: Path, labelled: list[str], count: int) -> list[str]:
        """The next cases by rank."""
        left = [case for case in self.pool if case not in labelled]
        scans = [Scan(case, (Path(self.data[case].source_files[0]),), ".nii.gz") for case in left]
        rows = rank_scans(Predictor.of(Run(run)), scans, Sampling(("tta",)), most=count)
        return [row["case"] for row in rows]

    def drawn(self, labelled: list[str], count: int) -> list[str]:
        """The next cases at random."""
        left = [case for case in self.pool if case not in labelled]
        return random.Random(1000 * self.seed + len(labelled)).sample(left, count)


def curve(study: Study, first: int, sizes: list[int]) -> dict[str, list[float]]:
    """Mean test Dice per size and side; the first entry is shared."""
    start = random.Random(study.seed).sample(study.pool, first)
    origin, dice = study.dice(start, "first")
    found = {"ranked": [dice], "random": [dice]}
    for side in found:
        labelled, run = list(start), origin
        for size in sizes:
            missing = size - len(labelled)
            labelled += study.ranked(run, labelled, missing) if side == "ranked" else study.drawn(labelled, missing)
            run, dice = study.dice(labelled, side)
            found[side].append(dice)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--first", type=int, default=4)
    parser.add_argument("--sizes", type=int, nargs="*", default=[8, 16])
    parser.add_argument("--steps", type=int, default=150)
    arguments = parser.parse_args()
    root = Path(os.environ.get("VOXLOOM_DATA", Path(__file__).parents[2] / "shared" / "data")) / "hippocampus"
    with tempfile.TemporaryDirectory(prefix="voxloom-bench-") as scratch:
        train_folder, test = lay_out(root, Path(scratch) / "data")
        data, curves = Dataset(train_folder), []
        for seed in arguments.seeds:
            study = Study(data, test, Path(scratch) / "runs", seed, arguments.steps)
            curves.append(curve(study, arguments.first, arguments.sizes))
            print(json.dumps({"seed": seed, **curves[-1]}), flush=True)
        for n, size in enumerate([arguments.first, *arguments.sizes]):
            gains = [c["ranked"][n] - c["random"][n] for c in curves]
            means = {side: statistics.mean(c[side][n] for c in curves) for side in ("ranked", "random")}
            print(json.dumps({"cases": size, **means, "mean gain": statistics.mean(gains), "gains": gains}), flush=True)


if __name__ == "__main__":
    main()
