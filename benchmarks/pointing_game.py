"""Does Grad-CAM point at the nodule? Pointing game (Zhang et al. 2018) on phantoms whose only cue is the nodule.

    python benchmarks/pointing_game.py -o DIR [--train 300] [--test 120] [--budget 6m] [--method grad-cam ...] [--layer -1 ...]

A classifier of benign against malignant is trained on `voxloom phantom nodule-ct` of one seed and explained on cases of another.
A hit is a map whose largest value lies in the nodule's mask, with nothing added around it. Maps are of the predicted class, by the
mean over the run's networks. For comparison: the share of the crop that nodules fill (a random place), the voxel in the middle of the
crop, and the same networks with random weights. A run that DIR has already is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import binomtest

from voxloom.attribution import METHODS, Explainable, MethodSettings, attribute, randomized
from voxloom.cli.train import parse_assignments
from voxloom.dataset import Dataset
from voxloom.evaluation.likeness import points_at
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.task import task_of
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

#: Of the phantoms for training and test.
SEEDS = (11, 12)
#: Features every 4 voxels, so that one of them is smaller than a nodule; the mean over a scan asks each place for its share.
RECIPE: dict[str, Any] = {
    "task": "classification",
    "folds.hold_out": 0.2,
    "device": "cpu",
    "network.kind": "encoder",
    "network.features": [16, 32, 64],
    "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
    "network.kernels": [[3, 3, 3], [3, 3, 3], [3, 3, 3]],
}


def trained(out: Path, count: int, budget: str, changes: dict[str, Any]) -> Run:
    """The run in ``out``, trained where it is not there."""
    data, folder = out / "train", out / "run"
    if not data.is_dir():
        write_phantoms("nodule-ct", count, data, seed=SEEDS[0])
    if (folder / "summary.json").is_file():
        return Run(folder)
    recipe = Recipe.load("auto").changed({**RECIPE, "budget": budget, **changes})
    return train(data / "cases.csv", recipe, out=folder)


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
    return f"{name:34} {100 * np.mean(found):5.1f} % [{100 * exact.low:.0f}, {100 * exact.high:.0f}]  ({parts})"


def main() -> None:
    """Train, score, play."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--test", type=int, default=120)
    parser.add_argument("--budget", default="6m")
    parser.add_argument("--method", nargs="+", choices=METHODS, default=["grad-cam"])
    parser.add_argument("--layer", nargs="+", default=["-1"])
    parser.add_argument("--set", nargs="*", default=[], dest="changes")
    asked = parser.parse_args()
    run = trained(asked.out, asked.train, asked.budget, parse_assignments(asked.changes))
    place = asked.out / "test"
    if not place.is_dir():
        write_phantoms("nodule-ct", asked.test, place, seed=SEEDS[1])
    cases = Dataset(place / "cases.csv")
    figures = evaluate_run(run.folder, cases).figures
    print(
        f"{len(cases)} test cases: AUC {figures['auc']['all']['value']:.3f}, accuracy {figures['accuracy']['all']['value']:.3f}"
    )
    masks = [label.data[0] > 0 for case in cases if (label := case.read_label()) is not None]
    print(f"share of the crop that nodules fill: {100 * np.mean([m.mean() for m in masks]):.1f} %")
    middles = [bool(m[tuple(n // 2 for n in m.shape)]) for m in masks]
    print(told("middle of the crop", middles, {}))
    explained = task_of(run).explainable(run, run.folds, "cpu")
    for method in asked.method:
        for layer in asked.layer if method.startswith(("cam", "grad")) else [None]:
            settings = MethodSettings(method=method, layer=layer)
            for name, networks in (("", explained), (", random weights", randomized(explained, 0))):
                found = hits(networks, cases, settings)
                groups: dict[str, list[bool]] = {}
                for hit, case in zip(found, cases, strict=True):
                    groups.setdefault(str(case.target), []).append(hit)
                print(told(f"{method}{f' {layer}' if layer else ''}{name}", found, groups), flush=True)


if __name__ == "__main__":
    main()
