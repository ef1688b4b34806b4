"""Every shipped recipe runs end to end on phantoms, made small by ``--set``; the shipped sweeps have their runs.

A few steps show that everything fits together; that the recipes learn as published is tested in ``test_published.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset.tables import read_table
from voxloom.errors import BadInput
from voxloom.evaluation.aggregate import Cell
from voxloom.formats import read_label
from voxloom.phantom import write_phantoms
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.shipped import recipe_names, sweep_names
from voxloom.report.aggregate_tables import cell_text
from voxloom.sweep import Sweep
from voxloom.verbs.run import Run

from .sweep.fakes import FakeWorkers

#: The 72 scores of the thesis.
PUBLISHED = Path(__file__).parents[1] / "evaluation" / "cervical_table_4_3.csv"
SMALL = {"device": "cpu", "training.steps": 3, "training.validations": 1, "training.precision": "fp32"}
UNET_3D = {
    "network.features": [4, 8, 8], "network.strides": [[2, 2, 2], [2, 2, 1], [2, 2, 1]],
    "network.kernels": [[3, 3, 3], [3, 3, 3], [3, 3, 3]], "network.deep_supervision": 1,
}  # fmt: skip
UNET_2D = {"network.features": [4, 8, 8], "network.strides": [[1, 1], [2, 2], [2, 2]], "network.kernels": [[3, 3]] * 3}
#: Recipe -> kind of phantom, and what makes it small.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "cervical-spine-2d": ("cervical-mr", {
        "training.patch": [64, 64, 1], "prepare.pad_to": None, "prepare.n4_iterations": [2], "training.batch": 2,
        "prepare.spacing": [4, 4, 4], "inference.batch": 32,
    }),
    "ct-kidney": ("abdomen-ct", {
        **UNET_2D, "network.deep_supervision": 1, "prepare.resize_to": [48, 48, None], "training.patch": [48, 48, 1],
        "training.batch": 4, "folds.count": 2,
    }),
    "ct-kidney-3d": ("abdomen-ct", {
        **UNET_3D, "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "prepare.resize_to": [48, 48, None],
        "training.patch": [48, 48, 8], "slices.spread": 8, "folds.count": 2,
    }),
    "ct-kidney-msd-3d": ("abdomen-ct", {
        "network.depth": 3, "prepare.resize_to": [48, 48, None], "training.patch": [48, 48, 8], "slices.spread": 8,
        "folds.count": 2,
    }),
    "knee-bones": ("knee-mr", {
        **UNET_3D, "prepare.resize_to": [48, 48, 12], "training.patch": [48, 48, 12], "prepare.n4_iterations": [2],
    }),
    "skull-strip-3d": ("head-mr", {
        **UNET_3D, "prepare.n4_iterations": [2], "prepare.resize_to": [32, 40, 30], "prepare.pad_to": [32, 40, 32],
        "training.patch": [32, 40, 32], "training.batch": 2, "network.strides": [[2, 2, 2], [2, 2, 2], [2, 2, 2]],
        "training.steps": 60,
    }),
    "skull-strip-2d": ("head-mr", {
        "init.weights": None, "prepare.n4_iterations": [2], "prepare.resize_to": [32, 32, None], "prepare.spacing": [None, None, 8.0],
        "training.patch": [32, 32, 1], "training.batch": 2, "inference.batch": 32,
    }),
}  # fmt: skip
#: Recipes that differ from a tested one by these keys alone, and so run as it does.
VARIANTS = {
    "cervical-spine-2d-imagenet": ("cervical-spine-2d", {"init"}),
    "ct-liver": ("ct-kidney", {"reference"}),
    "knee-bones-merged": ("knee-bones", {"labels"}),
}


pytestmark = pytest.mark.usefixtures("one_thread")


Phantoms = Callable[[str], Path]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Phantoms:
    """The data set of a kind, made once: scans of at least three patients; knees are scanned twice."""
    root = tmp_path_factory.mktemp("phantoms")

    @cache
    def made(kind: str) -> Path:
        return write_phantoms(kind, 5 if kind == "knee-mr" else 4, root / kind, seed=3)

    return made


@pytest.mark.parametrize("name", CASES)
def test_a_shipped_recipe_trains_and_predicts_on_phantoms(name: str, phantoms: Phantoms, tmp_path: Path) -> None:
    kind, changes = CASES[name]
    changes = {**SMALL, **changes}
    assignments = [part for key, value in changes.items() for part in ("--set", f"{key}={as_yaml(value)}")]
    assert voxloom(["train", str(phantoms(kind)), "-r", name, "-o", str(tmp_path / "run"), *assignments]) == 0
    run = Run(tmp_path / "run")
    assert run.recipe.name == name
    held_out = sorted((tmp_path / "run").glob("fold_*/predictions/*.nii.gz"))
    assert len(held_out) == (4 if run.recipe.folds.count == 2 else 1)
    for path in held_out:
        found, truth = read_label(path), read_label(phantoms(kind) / "labelsTr" / path.name)
        assert found.same_grid(truth)
        assert set(np.unique(found.data)) <= set(np.unique(truth.data)) | {0}
    assert kept_as_published(name, run.recipe, changes) == []
    if name == "skull-strip-3d":  # a brain fills a tenth of the scan; guessing gives less than 0.25
        assert run.summary["validation"]["dice"]["brain"]["mean"] > 0.6


def kept_as_published(name: str, trained: Recipe, changes: dict[str, Any]) -> list[str]:
    """The keys of a shipped recipe, beside those that made it small, that were not trained with the recipe's value."""
    gone = {"training.epochs"}  # steps stand in their place
    published, used = (one.model_dump(mode="json") for one in (Recipe.load(name), trained))
    return [
        f"{section}.{key}"
        for section in ("labels", "slices", "prepare", "init", "network", "training", "augment", "inference")
        for key, value in published[section].items()
        if f"{section}.{key}" not in {*changes, *gone} and not same(used[section].get(key), value)
    ]


def same(used: Any, published: Any) -> bool:
    """Whether a value is the published one; a run writes out what belongs to a kind that the recipe only names."""
    if isinstance(used, dict) and isinstance(published, str):
        return bool(used.get("kind") == published)
    if isinstance(used, dict) and isinstance(published, dict):
        return all(used.get(key) == value for key, value in published.items())
    return bool(used == published)


def as_yaml(value: Any) -> str:
    return "null" if value is None else str(value).replace("None", "null")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_differs_by_a_few_keys(name: str) -> None:
    base, keys = VARIANTS[name]
    one, other = Recipe.load(base).model_dump(), Recipe.load(name).model_dump()
    assert {key for key in one if one[key] != other[key]} == keys | {"name", "description"}


def test_a_budget_makes_skull_stripping_small_enough_for_a_laptop() -> None:
    recipe = Recipe.load("skull-strip-3d").changed({"budget": "15m", "training.batch": 2})
    small = recipe.for_budget()
    assert (small.training["patch"], small.training["batch"]) == ([80, 96, 96], 2)  # what the user sets stays
    assert (small.prepare["spacing"], "resize_to" in small.prepare) == ([2, 2, 2], False)
    assert Recipe.load("skull-strip-3d").for_budget().training["batch"] == 8


def test_every_shipped_recipe_of_the_papers_is_tested() -> None:
    published = {"cervical-spine-2d", "ct-kidney", "ct-liver", "knee-bones", "skull-strip-2d", "skull-strip-3d"}
    assert published <= {*CASES, *VARIANTS} <= set(recipe_names())


@pytest.mark.parametrize(("name", "runs"), [("cervical-spine-study", 72), ("ct-study", 8)])
def test_a_shipped_sweep_has_its_runs(name: str, runs: int, tmp_path: Path) -> None:
    sweep = Sweep.load(name, data=tmp_path, changes={"training.steps": 5})
    assert np.prod([len(factor.levels) for factor in sweep.factors]) == runs
    assert sweep.base.training["steps"] == 5
    assert name in sweep_names()


def test_a_shipped_sweep_asks_for_data_and_a_misspelt_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="--data"):
        Sweep.load("ct-study")
    with pytest.raises(BadInput, match="Did you mean `ct-study`"):
        Sweep.load("ct-stdy")


def test_the_study_of_72_runs_prints_the_tables_of_the_thesis(
    phantoms: Phantoms, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    published = {(row["model"], row["weights"], row["corrected"]): row for row in read_table(PUBLISHED)}

    def score(levels: dict[str, str]) -> float:
        return float(published[levels["model"], levels["weights"], levels["corrected"]][levels["plane"].lower()]) / 100

    monkeypatch.setattr("voxloom.cli.sweep.start_workers", lambda *arguments: FakeWorkers(score))
    data = str(phantoms("cervical-mr"))
    assert voxloom(["sweep", "cervical-spine-study", "--data", data, "-o", str(tmp_path / "out"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert len(result["trials"]) == 72
    tables = {(table["factor"], level): cells for table in result["tables"] for level, cells in table["levels"].items()}
    assert shown(tables["all", "all"]) == ["81 ± 3.8", "78 ± 4.4", "75 ± 2.9"]  # Table 4.4
    assert shown(tables["corrected", "Yes"]) == ["81 ± 4.0", "80 ± 5.1", "74 ± 2.6"]  # Table 4.5
    assert shown(tables["weights", "Transfer learning"]) == ["81 ± 4.2", "80 ± 3.9", "76 ± 2.8"]  # Table 4.7
    assert shown(tables["weights", "Inception-v4"]) == ["78 ± 2.4", "81 ± 4.0", "76 ± 2.6"]  # Table 4.8


def shown(cells: dict[str, dict[str, float]]) -> list[str]:
    """Percent, as the thesis prints them."""
    planes = ("Sagittal", "Coronal", "Axial")
    return [cell_text(Cell(8, 0, 100 * cells[p]["mean"], 100 * cells[p]["sd"]), (0, 1)) for p in planes]
