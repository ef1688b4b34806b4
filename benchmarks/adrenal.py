"""Classification of AdrenalMNIST3D 64 on a dev split of its training cases: grid, mirror images and optimizer at a number of steps.

    OMP_NUM_THREADS=1 python benchmarks/adrenal.py -o DIR [--only NAME ...]

Of the file's training cases, blocks of 12 neighbors stay together (two glands of one patient may lie side by side); three of four
blocks train, by SHA-256 of "dev" + number, the others and the file's own validation cases are scored. The file's test split is not
touched. A row per trial: AUC and loss of ``log.csv`` at the end, AUC and accuracy of the file's own validation cases, and processor
time of the whole training. A trial that DIR has already is not trained again.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from voxloom.recipe.recipe import Recipe
from voxloom.verbs.train import train

BLOCK = 12
#: What the planner chose before the last trials: intensities are changed, and a first level that halves.
CHANCES = {"noise": 0.5, "blur": 0.1, "intensity": 0.8, "gamma": 0.5, "low_resolution": 0.1, "bias_field": 0.1}
LIT = {f"augment.{name}_chance": chance for name, chance in CHANCES.items()}
UNLIT = dict.fromkeys(LIT, 0.0)


def encoder(features: list[int], full: bool = False) -> dict[str, Any]:
    """Keys of an encoder whose levels halve; the first one not, where it is to see full resolution."""
    strides = [[1 if full and n == 0 else 2] * 3 for n in range(len(features))]
    return {
        "task": "classification", "network.kind": "encoder", "network.features": features, "network.strides": strides,
        "network.kernels": [[3] * 3] * len(features),
    }  # fmt: skip


def grid(mm: float, steps: int, validations: int, mirror: list[int]) -> dict[str, Any]:
    """Keys of the grid and the length of a trial."""
    return {
        "prepare.spacing": [mm] * 3, "training.steps": steps, "training.validations": validations, "augment.mirror": mirror,
    }  # fmt: skip


FINE, HALVED = encoder([16, 32, 64, 128]), encoder([16, 32, 64])
SHORT = {**HALVED, **UNLIT, **grid(2, 4000, 5, [0])}
#: Trial -> what it changes of ``auto``.
TRIALS: dict[str, dict[str, Any]] = {
    "64": {**FINE, **LIT, **grid(1, 400, 6, [])},
    "64 muon": {**FINE, **LIT, **grid(1, 400, 6, []), "training.optimizer": "muon", "training.learning_rate": 0.02},
    "32": {**HALVED, **LIT, **grid(2, 2000, 3, [])},
    "32 mirrored": {**HALVED, **LIT, **grid(2, 2000, 6, [0])},
    "32 mirrored, long": {**HALVED, **LIT, **grid(2, 6000, 5, [0])},
    "32 unlit": SHORT,
    "32 unlit, all axes": {**SHORT, "augment.mirror": [0, 1, 2], "augment.rotation": [30, 30, 30]},
    "32 unlit, both pools": {**SHORT, "network.pooling": "both"},
    "32 unlit, full": {**SHORT, **encoder([8, 16, 32, 64], full=True)},
}


def dev_split(source: Path, target: Path) -> Path:
    """The file with its training cases divided; dev cases stand before the file's own validation cases."""
    if target.is_file():
        return target
    given = np.load(source)
    numbers = [
        int(hashlib.sha256(f"dev{n // BLOCK}".encode()).hexdigest(), 16) for n in range(len(given["train_images"]))
    ]
    dev = np.array([number % 4 == 0 for number in numbers])
    parts = {}
    for kind in ("images", "labels"):
        rows = given[f"train_{kind}"]
        parts |= {f"train_{kind}": rows[~dev], f"val_{kind}": np.concatenate([rows[dev], given[f"val_{kind}"]])}
    target.parent.mkdir(parents=True, exist_ok=True)
    np.savez(target, **parts)
    return target


def told(name: str, run: Path, own: int, seconds: float | None) -> str:
    """A row of the table; ``own`` is the number of the file's validation cases."""
    with (run / "fold_0" / "log.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    with (run / "fold_0" / "metrics.csv").open(newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["case"].rpartition("_")[2]))[-own:]
    truth, chance = [int(row["truth"]) for row in rows], [float(row["p_1"]) for row in rows]
    right = np.mean([(c > 0.5) == bool(t) for c, t in zip(chance, truth, strict=True)])
    spent = "" if seconds is None else f", {seconds:.0f} s of processor time"
    figures = f"AUC {float(last['val_auc']):.3f}, loss {float(last['val_loss']):.3f}"
    return f"{name:18} {figures}; the file's {own}: AUC {roc_auc_score(truth, chance):.3f}, accuracy {right:.3f}{spent}"


def main() -> None:
    """Train what is not there yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/adrenal/adrenalmnist3d_64.npz"))
    parser.add_argument("--only", nargs="+", choices=TRIALS, default=list(TRIALS))
    asked = parser.parse_args()
    data, own = dev_split(asked.data, asked.out / "dev.npz"), len(np.load(asked.data)["val_labels"])
    for name in asked.only:
        run, spent = asked.out / name.replace(", ", " ").replace(" ", "-"), None
        if not (run / "summary.json").is_file():
            start = time.process_time()
            train(data, Recipe.load("auto").changed({"device": "cpu", **TRIALS[name]}), out=run)
            spent = time.process_time() - start
        print(told(name, run, own, spent), flush=True)


if __name__ == "__main__":
    main()
