"""Every family of network trains, predicts and is refused where it does not fit, through whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_label
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.facts import wishes_of
from voxloom.verbs.train import train

from .conftest import write_balls
from .test_kinds import write_discs

FAST = {
    "training.patch": [32, 32, 1], "training.batch": 4, "training.validations": 2, "training.learning_rate": 0.003,
    "training.ema": 0.9, "training.precision": "fp32", "device": "cpu",
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize(
    ("network", "steps"),
    [
        ({"kind": "pspnet", "encoder": "resnet34"}, 60),
        ({"kind": "cnn", "version": "v3_small32"}, 60),
        ({"kind": "msd", "depth": 8}, 60),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_run_of_each_family_learns_2d_images(tmp_path: Path, network: dict[str, Any], steps: int) -> None:
    data = write_discs(tmp_path / "discs")
    changes = {**{f"network.{key}": value for key, value in network.items()}, **FAST, "training.steps": steps}
    run = train(data, Recipe.load("auto").changed(changes), out=tmp_path / "run")
    assert run.recipe.network["kind"] == network["kind"]
    assert "features" not in run.recipe.network
    plan = (run.folder / "plan.md").read_text(encoding="utf-8")
    assert f"| network.kind | {network['kind']} | set by the recipe |" in plan
    assert "| width |" not in plan
    found, truth = run.predict(data / "images" / "d3.png"), read_label(data / "masks" / "d3.png")
    assert set(np.unique(found.data)) <= {0, 255}
    assert 2 * ((found.data > 0) & (truth.data > 0)).sum() / ((found.data > 0).sum() + (truth.data > 0).sum()) > 0.6
    assert "with Voxloom's own code" in (run.export(tmp_path / "bundle") / "docs" / "README.md").read_text()


def test_msd_trains_on_3d_patches(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 6)
    changes = {"network.kind": "msd", "network.depth": 6, **FAST, "training.patch": [16, 16, 16], "training.steps": 90}
    changes |= {"training.learning_rate": 0.01}
    run = train(data, Recipe.load("auto").changed(changes), out=tmp_path / "run")
    assert run.recipe.network["dims"] == 3
    assert run.summary["validation"]["dice"]["mean"]["mean"] > 0.2
    assert run.predict(data / "imagesTr" / "ball00_0000.nii.gz").shape == (22, 20, 15)


def test_an_unknown_kind_and_a_key_of_another_kind_are_named() -> None:
    with pytest.raises(BadInput, match="Did you mean `linknet`"):
        Recipe.parse("network: {kind: linkent}", "r.yaml")
    with pytest.raises(BadInput, match=r"unknown key `network\.features`"):
        Recipe.parse("network: {kind: fpn, features: [1, 2, 3]}", "r.yaml")
    with pytest.raises(BadInput, match="Did you mean `encoder`"):
        Recipe.parse("network: {kind: fpn, encodr: resnet34}", "r.yaml")


def test_a_family_of_2d_networks_makes_the_plan_2d() -> None:
    dims = [
        wishes_of(Recipe.load("auto").changed({"network.kind": kind})).dims for kind in ("fpn", "cnn", "msd", "unet")
    ]
    assert dims == [2, 2, None, None]
