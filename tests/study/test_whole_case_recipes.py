"""Shipped recipes of classes and numbers are trained as published, from files to figures that always answering one thing cannot reach.

Only keys of size are changed (asserted); the data are made up here, in the layout that each recipe reads.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.formats import write_volume
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.train import train
from voxloom.volume import Volume

from .made_up import SIZES

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL_NET = {"network.features": [4, 8, 8], "network.kernels": [[3, 3, 3]] * 3}


def ball(shape: tuple[int, int, int], radius: float, at: tuple[float, float, float] | None = None) -> np.ndarray:
    """Where a ball is, in voxels."""
    middle = at or tuple((n - 1) / 2 for n in shape)
    grid = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return sum((g - m) ** 2 for g, m in zip(grid, middle, strict=True)) < radius**2


def write_mnist(root: Path, count: int, seed: int) -> Path:
    """A MedMNIST file: large bright balls against small ones."""
    random, arrays = np.random.default_rng(seed), {}
    for part, n in (("train", count), ("val", count // 2), ("test", 8)):
        labels = np.arange(n)[:, None] % 2
        volumes = [random.normal(60, 15, (12, 12, 12)) + 120 * ball((12, 12, 12), 2.0 + 2.5 * y) for y in labels[:, 0]]
        arrays[f"{part}_images"] = np.clip(volumes, 0, 255).astype(np.uint8)
        arrays[f"{part}_labels"] = labels.astype(np.uint8)
    np.savez(root / "nodulemnist3d.npz", **arrays)
    return root / "nodulemnist3d.npz"


def write_nodules(root: Path, count: int, seed: int) -> Path:
    """Nodules of HU 300 or -300 with four raters' scores and masks, which do not overlap wholly."""
    rows = [
        ["case", "image", *(f"mask_rater_{r}" for r in range(1, 5)), "patient", *(f"rater_{r}" for r in range(1, 5))]
    ]
    for n in range(count):
        random, bad = np.random.default_rng((seed, n)), n % 2
        at = tuple(float(v) for v in random.uniform(6, 14, 3))
        image = random.normal(-850, 40, (20, 20, 20))
        image[ball(image.shape, 4.0, at)] = 300 if bad else -300
        name = f"n{seed}_{n}"
        write_volume(Volume(image.astype(np.float32)[None], np.eye(4)), root / f"{name}.nii.gz")
        for r in range(1, 5):
            moved = tuple(v + (0.5 if r % 2 else -0.5) for v in at)
            mask = ball(image.shape, 4.0, moved).astype(np.uint8)
            write_volume(Volume(mask[None], np.eye(4)), root / f"{name}_m{r}.nii.gz")
        scores = [int(np.clip((4 if bad else 2) + random.integers(-1, 2), 1, 5)) for _ in range(4)]
        scores[0] = 5 if bad else 1
        rows.append(
            [name, f"{name}.nii.gz", *(f"{name}_m{r}.nii.gz" for r in range(1, 5)), f"p{seed}_{n // 2}", *scores]
        )
    with (root / "cases.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "cases.csv"


def write_ages(root: Path, count: int, seed: int) -> Path:
    """A head or knee that grows with age, in the layout of the heads: scans and participants.csv."""
    (root / "imagesTr").mkdir()
    (root / "labelsTr").mkdir()
    rows = [["case", "age", "sex"]]
    for n in range(count):
        random = np.random.default_rng((seed, n))
        age = float(random.uniform(10, 20))
        image = random.normal(0, 0.2, (20, 20, 28)) + 2.0 * ball((20, 20, 28), 2 + 0.7 * (age - 10))
        name = f"s{seed}_{n}"
        affine = np.diag([3.0, 3.0, 3.0, 1.0])
        write_volume(Volume(image.astype(np.float32)[None], affine), root / "imagesTr" / f"{name}_0000.nii.gz")
        label = (image > 1).astype(np.uint8)
        write_volume(Volume(label[None], affine), root / "labelsTr" / f"{name}.nii.gz")
        rows.append([name, f"{age:.1f}", "F" if n % 2 else "M"])
    with (root / "participants.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    about = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, "head": 1},
        "numTraining": count,
        "file_ending": ".nii.gz",
    }
    (root / "dataset.json").write_text(json.dumps(about))
    return root


#: Recipe -> how its data are made, how many cases, and what makes it small.
RECIPES: dict[str, tuple[Callable[[Path, int, int], Path], int, dict[str, Any]]] = {
    "nodule-mnist": (write_mnist, 32, {
        **SMALL_NET, "network.strides": [[2, 2, 2]] * 3, "training.patch": [12, 12, 12], "training.batch": 8, "training.steps": 50,
    }),
    "lung-nodule": (write_nodules, 16, {
        **SMALL_NET, "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "training.patch": [16, 16, 16], "training.batch": 8,
        "training.steps": 60,
    }),
    "knee-age": (write_ages, 24, {"training.patch": [16, 16, 44], "training.batch": 4, "training.steps": 120, **SMALL_NET,
                                  "network.strides": [[2, 2, 2]] * 3}),
    "brain-age": (write_ages, 18, {"training.patch": [20, 20, 28], "training.batch": 4, "training.steps": 220, **SMALL_NET,
                                   "network.strides": [[2, 2, 2]] * 3}),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_learns_as_published(name: str, tmp_path: Path) -> None:
    write, count, small = RECIPES[name]
    assert set(small) <= SIZES
    (tmp_path / "data").mkdir()
    data = write(tmp_path / "data", count, 0)
    shipped = Recipe.load(name)
    recipe = shipped.changed({"device": "cpu", "training.precision": "fp32", "training.validations": 2, **small})
    run = train(data, recipe, out=tmp_path / "run")
    (tmp_path / "unseen").mkdir()
    figures = evaluate_run(run.folder, write(tmp_path / "unseen", 16, 1)).summary()
    if recipe.task == "classification":
        assert figures["auc"]["all"]["value"] > 0.8, figures["auc"]
    else:
        age = figures["targets"]["age"]
        assert age["mae"]["value"] < 0.7 * age["mae_of_mean"], age
    trained = run.recipe.model_dump(mode="json")
    for section, values in shipped.model_dump(mode="json", exclude_defaults=True).items():
        for key, value in values.items() if isinstance(values, dict) and section != "under_budget" else ():
            if f"{section}.{key}" in SIZES | {"training.epochs"}:
                continue
            held = trained[section][key]
            assert held == value or (isinstance(held, list) and value in (held[0], held)) or same(held, value), key


def same(held: Any, given: Any) -> bool:
    """Whether a written-out value is the given one, with defaults filled in."""
    if isinstance(held, dict) and isinstance(given, dict):
        return all(same(held[key], value) for key, value in given.items())
    if isinstance(held, list) and isinstance(given, list):
        return len(held) == len(given) and all(same(a, b) for a, b in zip(held, given, strict=True))
    return bool(held == given or (isinstance(held, list) and len(set(map(str, held))) == 1 and held[0] == given))


def test_raters_masks_and_scores_reach_the_page(tmp_path: Path) -> None:
    write, _, small = RECIPES["lung-nodule"]
    for name, count, seed in (("data", 12, 0), ("unseen", 8, 1)):
        (tmp_path / name).mkdir()
        write(tmp_path / name, count, seed)
    recipe = Recipe.load("lung-nodule").changed(
        {"device": "cpu", "training.precision": "fp32", "training.validations": 1, **small, "training.steps": 4}
    )
    run = train(tmp_path / "data", recipe, out=tmp_path / "run")
    found = evaluate_run(run.folder, tmp_path / "unseen").summary()
    assert found["raters"]["raters"] == 4
    assert found["raters"]["scores"]["value"] > 0.5
    assert found["raters"]["classes"]["value"] > 0.9
    assert sum(row["cases"] for row in found["raters"]["by_outcome"]) == found["cases"] == 6  # two have a median of 3
    assert sum(found["per_patient"]["counts"].values()) == 4
    assert found["per_patient"]["counts"]["malignant"] >= 3
    assert [row["threshold"] for row in found["thresholds"]] == [0.1, 0.3, 0.5, 0.7, 0.9]
    page = run.report().read_text()
    for told in (
        "Raters, test cases",
        "Verdict per patient, test cases",
        "Thresholds on test cases",
        "Abstaining on test cases",
    ):
        assert told in page
