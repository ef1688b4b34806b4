"""Whole runs on slices of an anatomical plane: the plan, the run, and predictions on each scan's own oblique grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_label
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.facts import complete
from voxloom.training.planner import DataFacts
from voxloom.verbs.train import train

from .conftest import write_balls

#: Voxel axes to the head, to the left and to the front, turned by about 10 degrees.
_LEFT, _, _RIGHT = np.linalg.svd([[0.1, -1.0, 0.05], [-0.05, 0.1, 1.0], [1.0, 0.1, 0.1]])
#: Slices lie obliquely, at right angles to one another.
OBLIQUE = np.eye(4)
OBLIQUE[:3] = np.column_stack([_LEFT @ _RIGHT @ np.diag([1.5, 1.5, 2.0]), (5, -8, 3)])
SLICED = {
    "network.features": [4, 8, 16],
    "network.strides": [[1, 1], [2, 2], [2, 2]],
    "network.kernels": [[3, 3], [3, 3], [3, 3]],
    "training.patch": [24, 24, 1],
    "training.batch": 8,
    "training.steps": 150,
    "training.validations": 2,
    "training.learning_rate": 0.01,
    "training.ema": 0.9,
    "inference.batch": 8,
    "device": "cpu",
}


pytestmark = pytest.mark.usefixtures("one_thread")


def test_slices_of_a_plane_train_and_predict_on_the_scans_own_grid(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 8, affine=OBLIQUE)
    slices = {"slices.plane": "coronal", "slices.neighbors": 1, "slices.per_volume": 6}
    run = train(data, Recipe.load("auto").changed({**SLICED, **slices}), out=tmp_path / "run")
    assert run.recipe.network["dims"] == 2
    assert run.recipe.network["in_channels"] == 3
    assert run.recipe.prepare["orientation"] == "RSA"
    found = run.predict(data / "imagesTr" / "ball02_0000.nii.gz")
    truth = read_label(data / "labelsTr" / "ball02.nii.gz")
    assert found.same_grid(truth)
    for value in (3, 207):
        a, b = found.data == value, truth.data == value
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.7
    kept = run.summary["validation"]
    assert kept["slices"]["planes"] == ["coronal"]
    assert kept["slices"]["bright"]["with_truth"]["mean"] > 0.4  # empty answers score 0
    assert kept["slices"]["bright"]["all"]["n"] > kept["slices"]["bright"]["with_truth"]["n"] > 0
    assert (run.folder / "slices.csv").is_file()
    assert kept["seconds"]["n"] == kept["cases"]
    assert kept["seconds"]["device"] == "cpu"
    assert 0 < kept["seconds"]["median"] <= kept["seconds"]["max"]
    assert "Held-out cases: slices" in (run.folder / "report.html").read_text()


@pytest.mark.parametrize("changes", [{"training.patch": [16, 16, 8]}, {"network.dims": 3}])
def test_slices_of_a_3d_network_are_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    data = write_balls(tmp_path / "balls", 4)
    recipe = Recipe.load("auto").changed({"slices.neighbors": 1, "device": "cpu", **changes})
    with pytest.raises(BadInput, match="2D networks"):
        train(data, recipe, out=tmp_path / "run")


def test_plane_wins_over_the_order_of_the_axes_and_keeps_their_directions() -> None:
    recipe = Recipe.parse("slices: {plane: coronal}\nprepare: {orientation: LPS}", "text")
    assert recipe.preparation.orientation == "LSP"


@pytest.mark.parametrize(
    ("slices", "patch"),
    [("{}", (56, 64, 24)), ("{neighbors: 1}", (56, 64, 1)), ("{plane: coronal}", (56, 64, 1))],
)
def test_the_plan_reckons_with_the_size_that_every_case_gets(slices: str, patch: tuple[int, int, int]) -> None:
    text = f"slices: {slices}\nprepare: {{resize_to: [56, 64, 24], orientation: RAS}}\nbudget: 1m"
    facts = DataFacts(9, ((300, 40, 310),) * 9, ((0.5, 4.0, 0.5),) * 9, ("MR",), 4, None)
    full, _ = complete(Recipe.parse(text, "text"), facts, "cpu", 60.0, lambda *_, **__: 0.01)
    assert tuple(full.training["patch"]) == patch
    assert full.network["in_channels"] == (3 if "neighbors" in slices else 1)


def test_an_axis_that_is_not_resized_keeps_its_spacing_and_the_plan_fits_the_patch() -> None:
    text = "network: {dims: 3}\nprepare: {resize_to: [56, 64, null]}\ntraining: {patch: [56, 60, 20]}\nbudget: 1m"
    facts = DataFacts(9, ((300, 40, 310),) * 9, ((0.5, 4.0, 0.5),) * 9, ("MR",), 4, None)
    full, _ = complete(Recipe.parse(text, "text"), facts, "cpu", 60.0, lambda *_, **__: 0.01)
    assert full.prepare["spacing"] is None
    multiple = np.prod(np.array(full.network["strides"]), axis=0)
    assert not (np.array([56, 60, 20]) % multiple).any()
