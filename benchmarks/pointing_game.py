"""Does Grad-CAM point at the nodule? Pointing game (Zhang et al. 2018) on phantoms whose only cue is the nodule.

    python benchmarks/pointing_game.py -o DIR [--train 800] [--test 120] [--budget 6m] [--method grad-cam ...] [--layer -2 ...]

A classifier of benign, malignant and no nodule is trained on `voxloom phantom nodule-ct` of one seed, and explained on the nodules of
another. Why a third class: of two, a network may detect one and call the rest the other, whose reason then lies nowhere. Scans
without a nodule are those of the phantom whose nodule is covered by what lies opposite in the crop. A hit is a map of the predicted
class whose largest value lies in the nodule's mask, with nothing added around it; maps are the mean over the run's networks. For
comparison: the share of the crop that nodules fill (a random place), the voxel in the middle of the crop, and the same networks with
random weights. A run that DIR has already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation
from scipy.stats import binomtest

from voxloom.attribution import METHODS, Explainable, MethodSettings, attribute, randomized
from voxloom.cli.train import parse_assignments
from voxloom.dataset import Dataset
from voxloom.evaluation.likeness import points_at
from voxloom.files import write_text
from voxloom.formats import write_volume
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.task import task_of
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

#: Of the phantoms for training and test.
SEEDS = (11, 12)
#: Features every 4 voxels, so that one of them is smaller than a nodule, and answers of every place.
RECIPE: dict[str, Any] = {
    "task": "classification",
    "folds.hold_out": 0.2,
    "device": "cpu",
    "network.kind": "encoder",
    "network.features": [8, 16, 32],
    "network.strides": [[2, 2, 2], [2, 2, 2], [1, 1, 1]],
    "network.kernels": [[3, 3, 3], [3, 3, 3], [3, 3, 3]],
    "network.pooling": "lse",
    "augment.mirror": [0, 1, 2],
    "training.precision": "fp32",
    "training.patch": [40, 40, 32],
}
NONE = "none"


def with_empty(folder: Path) -> Path:
    """The table of a set of phantoms with every third scan once more, its nodules covered by what lies opposite."""
    table = folder / "three.csv"
    if table.is_file():
        return table
    rows = [["case", "image", "patient", "target"]]
    for number, case in enumerate(Dataset(folder / "cases.csv")):
        (image,) = case.images.values()
        rows.append([case.id, str(Path(str(image)).relative_to(folder)), case.patient, str(case.target)])
        label = case.read_label()
        assert label is not None
        mask = binary_dilation(label.data[0] > 0, iterations=2)
        opposite = np.flip(mask)
        if number % 3 or (mask & opposite).any():
            continue
        scan = case.read_image()
        covered = scan.data.copy()
        covered[0][mask] = np.flip(scan.data[0])[mask]
        write_volume(scan.with_data(covered), folder / "empty" / f"{case.id}.nii.gz")
        rows.append([f"{case.id}_empty", f"empty/{case.id}.nii.gz", case.patient, NONE])
    write_text(table, "".join(",".join(row) + "\n" for row in rows))
    return table


def trained(out: Path, count: int, budget: str, changes: dict[str, Any]) -> Run:
    """The run in ``out``, trained where it is not there."""
    data, folder = out / "train", out / "run"
    if not data.is_dir():
        write_phantoms("nodule-ct", count, data, seed=SEEDS[0])
    if (folder / "summary.json").is_file():
        return Run(folder)
    recipe = Recipe.load("auto").changed({**RECIPE, "budget": budget, **changes})
    return train(with_empty(data), recipe, out=folder)


def hits(explained: Explainable, cases: Dataset, settings: MethodSettings) -> list[bool]:
    """Whether the map of the predicted class points into the nodule, per case."""
    found = []
    for case in cases:
        image, label = case.read_image(), case.read_label()
        assert label is not None
        (answer,) = explained.asked((), image, case.attributes)
        found.append(points_at(attribute(explained, image, answer, settings).map.data[0], label.data[0] > 0))
    return found


def told(name: str, found: list[bool], groups: dict[str, list[bool]]) -> str:
    """A row of the table."""
    exact = binomtest(sum(found), len(found)).proportion_ci(method="exact")
    parts = ", ".join(f"{group} {sum(own)}/{len(own)}" for group, own in groups.items())
    return f"{name:42} {100 * np.mean(found):5.1f} % [{100 * exact.low:.0f}, {100 * exact.high:.0f}]  ({parts})"


def main() -> None:
    """Train, score, play."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=800)
    parser.add_argument("--test", type=int, default=120)
    parser.add_argument("--budget", default="6m")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["grad-cam"])
    parser.add_argument("--layer", nargs="+", default=[None])
    parser.add_argument("--set", nargs="*", default=[], dest="changes")
    asked = parser.parse_args()
    run = trained(asked.out, asked.train, asked.budget, parse_assignments(asked.changes))
    place = asked.out / "test"
    if not place.is_dir():
        write_phantoms("nodule-ct", asked.test, place, seed=SEEDS[1])
    cases = Dataset(place / "cases.csv")
    figures = evaluate_run(run.folder, with_empty(place)).figures
    auc = ", ".join(f"{name} {figure['value']:.3f}" for name, figure in figures["auc"].items())
    print(f"{figures['cases']} test scans: AUC {auc}; accuracy {figures['accuracy']['all']['value']:.3f}")
    masks = [label.data[0] > 0 for case in cases if (label := case.read_label()) is not None]
    print(f"share of the crop that nodules fill: {100 * np.mean([m.mean() for m in masks]):.1f} %")
    middles = [bool(m[tuple(n // 2 for n in m.shape)]) for m in masks]
    print(told("middle of the crop", middles, {}))
    explained = task_of(run).explainable(run, run.folds, "cpu")
    for method in asked.method:
        for layer in asked.layer if method.startswith(("cam", "grad")) else [None]:
            settings, name = MethodSettings(method=method, layer=layer), f"{method}{f' {layer}' if layer else ''}"
            for kind, networks in (("", explained), (", random weights", randomized(explained, 0))):
                found = hits(networks, cases, settings)
                groups: dict[str, list[bool]] = {}
                for hit, case in zip(found, cases, strict=True):
                    groups.setdefault(str(case.target), []).append(hit)
                print(told(f"{name}{kind}", found, groups), flush=True)


if __name__ == "__main__":
    main()
