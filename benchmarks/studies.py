"""The studies of 2D and 3D networks on MR and simulated CT, one subcommand each: data, split, budget and table.

    python benchmarks/studies.py heads -o DIR [--recipe skull-strip-3d] [--budget 10m] [--set KEY=VALUE ...]
    python benchmarks/studies.py lumbar -o DIR [--budget 60s] [--best 10m]
    python benchmarks/studies.py cardiac -o DIR [--budget 60s] [--best 10m]
    python benchmarks/studies.py kidney -o DIR [--cases 10] [--depth 50] [--budget 6m]
    python benchmarks/studies.py cervical -o DIR [--cases 4] [--steps 40]

Data: heads, lumbar-mr, cardiac-2d and kidney-shapes in $VOXLOOM_DATA (default ../shared/data); cervical makes phantoms. Test cases
are the first by the SHA-256 of the image's file name (of the patient, in cardiac-2d); training never sees them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxloom.cli.train import parse_assignments
from voxloom.dataset import Dataset
from voxloom.ensemble import build_ensemble
from voxloom.evaluation.aggregate import Table
from voxloom.files import write_text
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.report.aggregate_tables import as_text
from voxloom.sweep import Sweep, run_sweep
from voxloom.sweep.workers import LocalWorkers
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.train import train

Changes = dict[str, Any]
NETWORKS = {"U-Net": "encoder_unet", "FPN": "fpn", "Linknet": "linknet", "PSPNet": "pspnet"}
#: What two cores learn from in minutes: orthogonal steps at a rate that rises and falls once, and the average of the last weights.
QUICK: Changes = {
    "training.learning_rate": 0.03,
    "training.optimizer": "muon",
    "training.schedule": "one_cycle",
    "training.ema": 0.95,
    "training.monitor": "val_dice",
    "training.patience": 0,
    "training.validations": 3,
    "device": "cpu",
}


def root() -> Path:
    """The folder of the real data."""
    return Path(os.environ.get("VOXLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))


def digest(name: str) -> str:
    """Hex SHA-256 of a name."""
    return hashlib.sha256(name.encode()).hexdigest()


def divided(data: Dataset, tests: int) -> tuple[Dataset, Dataset]:
    """Training and test cases; the test cases are the first by SHA-256 of the image's file name."""
    names = sorted((case.id for case in data), key=lambda name: digest(data[name].source_files[0].name))
    return data.subset(names[tests:]), data.subset(names[:tests])


def by_patient(data: Dataset, tests: int) -> tuple[Dataset, Dataset]:
    """Training and test cases; the patients of the test cases are the first by SHA-256."""
    tested = set(sorted({case.patient for case in data}, key=digest)[:tests])
    return (
        data.subset([case.id for case in data if case.patient not in tested]),
        data.subset([case.id for case in data if case.patient in tested]),
    )


def train_and_test(recipe: Recipe, data: Dataset, tests: Dataset, out: Path, budget: str | None) -> float:
    """Train, score on the test cases, print one line of JSON; mean Dice over cases and labels."""
    clock, processor = time.perf_counter(), time.process_time()
    run = train(data, recipe, out=out, budget=budget)
    facts = {"whole_s": round(time.perf_counter() - clock), "processor_s": round(time.process_time() - processor)}
    dice = evaluate_run(run.folder, tests).summary()["dice"]
    steps = run.summary["folds"]["fold_0"]["steps"]
    figures = {name: {key: round(f[key], 4) for key in ("mean", "sd", "min")} for name, f in dice.items()}
    print(json.dumps({"recipe": recipe.name, "budget": budget, "steps": steps, **facts, "dice": figures}), flush=True)
    return float(dice["mean" if "mean" in dice else next(iter(dice))]["mean"])


def heads(given: argparse.Namespace) -> None:
    """Skull stripping: 13 heads to train on, 5 to test; brain is every label."""
    data, tests = divided(Dataset(root() / "heads").training, 5)
    changes = {"labels.merge": {"brain": "all"}, "device": "cpu", **parse_assignments(given.set)}
    recipe = Recipe.load(given.recipe).changed(changes)
    train_and_test(recipe, data, tests, given.out / given.recipe, given.budget)


def lumbar(given: argparse.Namespace) -> None:
    """Vertebrae in sagittal slices: 4 networks, random weights, raw and N4; 24 volumes to train on, 8 to test.

    All runs see the scans' own grid, however short they are: a network that is good on a coarse one need not be on this.
    """
    data, tests = divided(Dataset(root() / "lumbar-mr").training, 8)
    size: Changes = {
        "training.patch": [112, 112, 1], "prepare.pad_to": None, "prepare.spacing": [4.0, 2.0, 2.0], "slices.per_volume": 8,
    }  # fmt: skip
    corrected = {"Yes": {"prepare.n4": True}, "No": {"prepare.n4": False}}
    networks_then_best(given, data, tests, {**size, "folds.hold_out": 0.17}, {"corrected": corrected})


def cardiac(given: argparse.Namespace) -> None:
    """Left ventricle in single frames: 4 networks, random weights; 22 patients to train on, 8 to test, none in both.

    Every frame is seen whole: kidney and stomach look like a ventricle that lies elsewhere.
    """
    data, tests = by_patient(Dataset(root() / "cardiac-2d").training, 8)
    size: Changes = {
        "labels.merge": {"left ventricle": "all"}, "folds.hold_out": 0.15,
        "prepare.pad_to": None, "prepare.n4": False, "prepare.normalize": "zscore",
        "slices.plane": None, "slices.per_volume": None, "slices.background": True,
        "training.patch": [128, 128, 1], "training.optimizer": "adamw", "training.learning_rate": 0.002,
        "augment.mirror": [], "augment.rotation": [0, 0, 30], "augment.rotation_chance": 0.8, "augment.shift": [20, 20, 0],
        "augment.scale": 0.25, "augment.scale_chance": 0.8, "augment.elastic_chance": 0.3, "augment.noise": 0.1,
        "augment.intensity_chance": 0.8, "augment.gamma_chance": 0.5, "augment.blur_chance": 0.1,
        "augment.box_blur_chance": 0.0, "augment.motion_blur_chance": 0.0,
        "inference.overlap": 0.5, "inference.postprocess": [{"step": "largest_activation", "when": "always"}],
    }  # fmt: skip
    networks_then_best(given, data, tests, size, {})


def networks_then_best(
    given: argparse.Namespace, data: Dataset, tests: Dataset, changes: Changes, over: Changes
) -> None:
    """A sweep over the networks on the training cases; then the best alone, tested on cases that no run saw.

    ``--only`` leaves the sweep out.
    """
    listed = write_table(data, given.out / "training.csv")
    common = {**QUICK, **changes, **parse_assignments(given.set)}
    if given.only:
        best: Changes = {"network.kind": NETWORKS[given.only]}
    else:
        factors = {"model": {name: {"network.kind": kind} for name, kind in NETWORKS.items()}, **over}
        best = sweep_of("cervical-spine-2d", listed, {**common, "budget": given.budget}, factors, given.out / "sweep")
    recipe = Recipe.load("cervical-spine-2d").changed({**common, **best})
    print("best:", json.dumps(best), flush=True)
    train_and_test(recipe, data, tests, given.out / "best", given.best)


def sweep_of(recipe: str, data: Path, changes: Changes, over: Changes, out: Path) -> Changes:
    """Run a sweep, print its table, and give the keys that the best run changed."""
    sweep = Sweep.check({"data": str(data), "recipe": recipe, "set": changes, "over": over}, out)
    result = run_sweep(
        sweep, out, LocalWorkers, listener=lambda record, total: print(record.number, record, flush=True)
    )
    show(result.tables)
    return {} if result.best is None else result.best.changes


def show(tables: Sequence[Table]) -> None:
    """Print the tables of a sweep."""
    print(as_text(tables), flush=True)


def write_table(data: Dataset, path: Path) -> Path:
    """The cases as a table, so that a sweep can open them by a path."""
    rows = ["case,patient,image,label"]
    rows += [f"{case.id},{case.patient},{case.source_files[0]},{case.label}" for case in data]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, "\n".join(rows) + "\n")
    return path


def kidney(given: argparse.Namespace) -> None:
    """Kidney and tumor in simulated CT: the eight runs of `ct-study`, and the stack of the CT-specific ones.

    Smaller batches and a shallower MS-D than the study's, so that minutes hold enough steps.
    """
    data = given.out / "ct"
    if not data.is_dir():
        shapes = root() / "kidney-shapes"
        write_phantoms("abdomen-ct", given.cases, data, seed=0, shapes=shapes)
    small: Changes = {
        **QUICK, "training.optimizer": "adamw", "training.learning_rate": 0.002, "training.batch": 8,
        "training.monitor": "val_loss", "training.validations": 1, "folds.count": 2, "budget": given.budget,
    }  # fmt: skip
    whole = Sweep.load("ct-study", data=data, changes={**small, **parse_assignments(given.set)})
    networks = {**whole.over["network"], "MS-D": {"network.kind": "msd", "network.depth": given.depth}}
    sweep = with_levels(whole, "network", networks, given.out)
    out = given.out / "sweep"
    result = run_sweep(sweep, out, LocalWorkers, listener=lambda record, total: print(record, flush=True))
    show(result.tables)
    members = [
        out / "runs" / f"{record.number:04d}"
        for record in result.records
        if record.status == "finished" and record.levels["augmentation"] == "CT"
    ]
    built = build_ensemble(members, given.out / "stack", "stack", device="cpu", steps=100)
    for member, figures in built.figures.items():
        print(member, {label: (round(f["mean"], 3), round(f["sd"], 3)) for label, f in figures["dice"].items()})


def cervical(given: argparse.Namespace) -> None:
    """The 72 runs at a small size on phantoms, with the tables of the thesis.

    The encoders keep their kinds and get random weights: those of ImageNet are on the hub.
    """
    data = given.out / "phantoms"
    if not data.is_dir():
        write_phantoms("cervical-mr", given.cases, data, seed=0)
    small: Changes = {
        **QUICK, "training.optimizer": "adamw", "training.learning_rate": 0.002, "training.steps": given.steps,
        "training.patch": [96, 96, 1], "training.batch": 4, "training.validations": 1, "prepare.pad_to": None,
        "slices.per_volume": 8, "folds.hold_out": 0.25, "prepare.n4_iterations": [5], "prepare.n4_shrink": 4,
    }  # fmt: skip
    whole = Sweep.load("cervical-spine-study", data=data, changes={**small, **parse_assignments(given.set)})
    sweep = with_levels(whole, "weights", without_downloads(whole.over["weights"]), given.out)
    result = run_sweep(sweep, given.out / "sweep", LocalWorkers, listener=lambda record, total: print(record.number))
    show(result.tables)


def with_levels(sweep: Sweep, factor: str, levels: dict[str, Changes], out: Path) -> Sweep:
    """The same sweep with other levels of one factor."""
    return Sweep.check({**sweep.model_dump(mode="json"), "over": {**sweep.over, factor: levels}}, out)


def without_downloads(levels: dict[str, Changes]) -> dict[str, Changes]:
    """The same encoders with random weights."""
    return {name: {k: v for k, v in keys.items() if k != "init.weights"} for name, keys in levels.items()}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    studies = {"heads": heads, "lumbar": lumbar, "cardiac": cardiac, "kidney": kidney, "cervical": cervical}
    parser.add_argument("study", choices=tuple(studies))
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--recipe", default="skull-strip-3d", help="of heads")
    parser.add_argument("--budget", default="60s", help="of one run, or none: training.steps")
    parser.add_argument("--best", default="10m", help="of the best network alone, or none")
    parser.add_argument("--only", choices=tuple(NETWORKS), help="of lumbar and cardiac: no sweep, this network alone")
    parser.add_argument("--cases", type=int, default=10)
    parser.add_argument("--depth", type=int, default=50, help="of kidney: layers of the MS-D")
    parser.add_argument("--steps", type=int, default=40, help="of cervical")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    given = parser.parse_args()
    given.out = given.out.resolve()
    given.budget, given.best = (None if text == "none" else text for text in (given.budget, given.best))
    studies[given.study](given)


if __name__ == "__main__":
    main()
