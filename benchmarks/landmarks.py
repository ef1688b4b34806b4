"""Lumbar foramina on phantoms, MultiNet against SingleNet; and centers of vertebral bodies on real MR.

    python benchmarks/landmarks.py foramina -o DIR [--train 60] [--test 30] [--budget 20m] [--only RECIPE] [--set KEY=VALUE ...]
    python benchmarks/landmarks.py vertebrae -o DIR --data lumbar-mr [--budget 20m]

Both networks train on the same phantoms for the same time and are compared on the same test scans with the exact McNemar test.
On a machine that others share, `--budget none --set training.steps=1100` trains a fixed number of steps; the
processor time is printed.
A run that DIR has already is not trained again, so the networks can be trained one by one (--only).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from typing import Any

from voxloom.cli.train import parse_assignments
from voxloom.evaluation.point_tests import compare_points
from voxloom.evaluation.points import PointEvaluation
from voxloom.formats import read_label
from voxloom.phantom import write_phantoms
from voxloom.points import label_centroids, write_points
from voxloom.recipe.recipe import Recipe
from voxloom.report.points_table import point_rows
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

#: What a CPU can learn from in minutes: the pixels of the phantoms (2.4 to 2.7 mm), fewer for the network of low resolution.
COMMON: dict[str, Any] = {
    "training.batch": 8,
    "training.learning_rate": 0.004,
    "training.validations": 3,
    "training.precision": "bf16",
    "augment.rotation": [0, 0, 15],
    "augment.elastic_chance": 0.2,
}
SMALL: dict[str, dict[str, Any]] = {
    "foramina-multinet-lowres": {
        "prepare.spacing": [3.5, 3.5, None],
        "training.patch": [81, 81, 3],
        "landmarks.order": "joint",
    },
    "foramina-singlenet": {"prepare.spacing": [2.5, 2.5, None], "training.patch": [113, 113, 3]},
}
#: Of the phantoms for training and test. Test phantoms are scored once per recipe: those of seed 2 were, by the recipes of 2026-11-25.
SEEDS = (1, 3)
#: Values of the labels of lumbar-mr.
VERTEBRAE = {5: "L1", 4: "L2", 3: "L3", 2: "L4", 1: "L5"}


def foramina(out: Path, scans: int, tests: int, budget: str | None, only: str | None, changes: dict[str, Any]) -> None:
    """Train both networks on phantoms and print their tables and the test of the difference."""
    data = {name: out / name for name in ("train", "test")}
    for (name, folder), count, seed in zip(data.items(), (scans, tests), SEEDS, strict=True):
        if not folder.is_dir():
            write_phantoms("lumbar-mr", count, folder, seed=seed, difficulty=0.5)
        print(f"{name}: {count} phantoms in {folder}")
    scored = {}
    for recipe in [name for name in SMALL if only in (None, name)]:
        own = {**COMMON, **SMALL[recipe], **changes}
        scored[recipe] = train_and_score(recipe, own, data["train"], data["test"], out / recipe, budget)
    if len(scored) == 2:
        print(f"exact McNemar: {compare_points(*scored.values())}")


def vertebrae(out: Path, source: Path, budget: str | None, changes: dict[str, Any]) -> None:
    """Train on 24 scans of lumbar-mr and score the 8 others, divided by the SHA-256 of the file names."""
    data = out / "scans"
    names = sorted((p.name for p in (source / "imagesTr").glob("*.nii.gz")), key=lambda n: digest(n))
    for number, name in enumerate(names):
        case = name.removesuffix("_0000.nii.gz")
        link = data / ("imagesTr" if number < 24 else "imagesTs") / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to((source / "imagesTr" / name).resolve())
        truth = label_centroids(read_label(source / "labelsTr" / f"{case}.nii.gz"), VERTEBRAE)
        write_points(truth, data / "points" / f"{case}.csv", case)
    train_and_score("vertebra-centres", changes, data, data, out / "vertebra-centres", budget)


def digest(name: str) -> str:
    """Hex SHA-256 of a file name."""
    return hashlib.sha256(name.encode()).hexdigest()


def train_and_score(
    recipe: str, changes: dict[str, Any], data: Path, test: Path, folder: Path, budget: str | None
) -> PointEvaluation:
    """Train with a budget of wall time, score, and print time, processor time and the table."""
    start = time.process_time()
    done = (folder / "summary.json").is_file()
    run = Run(folder) if done else train(data, Recipe.load(recipe).changed(changes), out=folder, budget=budget)
    seconds = {"cpu_seconds": None if done else round(time.process_time() - start)}
    result = evaluate_run(run.folder, test)
    folds = run.summary["folds"]["fold_0"]
    print(f"\n{recipe}: {folds['steps']} steps in {folds['seconds']:.0f} s, {json.dumps(seconds)}")
    for row in point_rows(result.summary()):
        print("| " + " | ".join(row) + " |")
    print({key: result.summary()[key] for key in ("cases", "shifted_cases", "invented_cases")})
    return result.evaluation


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("foramina", "vertebrae"))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/lumbar-mr"))
    parser.add_argument("--train", type=int, default=60)
    parser.add_argument("--test", type=int, default=30)
    parser.add_argument("--budget", default="20m")
    parser.add_argument("--only", choices=tuple(SMALL))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    changes, budget = parse_assignments(given.set), None if given.budget == "none" else given.budget
    if given.what == "foramina":
        foramina(given.out, given.train, given.test, budget, given.only, changes)
    else:
        vertebrae(given.out, given.data, budget, changes)


if __name__ == "__main__":
    main()
