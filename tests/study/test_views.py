"""Views of a run: Dice per slice by anatomy, best and worst slices, kernels and activations."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.pictures import slice_views
from voxloom.pictures.inside_views import first_kernels, layer_activations
from voxloom.pictures.slice_views import SlicedCase, sliced_cases
from voxloom.report.look import Look
from voxloom.report.panels import Overlay, Scene
from voxloom.training.weights import load_weights

from .conftest import Trained

pytestmark = pytest.mark.drawn


def drawn(axis: int) -> SlicedCase:
    """Three slices along ``axis``: a perfect one, a half-found one, and an empty one."""
    truth = np.zeros((3, 4, 4), np.uint8)
    truth[0, :2, :2] = 1
    truth[1, :2, :2] = 2
    prediction = truth.copy()
    prediction[1, 0, :2] = 0
    image, *maps = (np.moveaxis(array, 0, axis) for array in (np.ones((3, 4, 4), np.float32), truth, prediction))
    spacing = [2.0, 2.0, 2.0]
    spacing[axis] = 5.0
    labels = Labels((Label("a", (1,)), Label("b", (2,))))
    scene = Scene.of(Look.at(np.diag([*spacing, 1.0])), image, [Overlay(maps[0]), Overlay(maps[1], "--")], labels)
    return SlicedCase("x", axis, scene)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_dice_and_area_per_slice(axis: int) -> None:
    case = drawn(axis)
    assert case.dice().tolist() == [1.0, pytest.approx(2 / 3), 1.0]
    assert case.dice("a").tolist() == [1.0, 1.0, 1.0]
    assert case.area().tolist() == [16.0, 16.0, 0.0]
    assert case.filled().tolist() == [0, 1]
    assert case.filled("b").tolist() == [1]


def test_planes_are_anatomical(trained: Trained) -> None:
    """The phantoms are 22 to 24 x 20 x 15 voxels, stored as L A S."""
    lengths = {plane: next(sliced_cases(trained.run, plane)).count for plane in slice_views.PLANES}
    assert lengths["coronal"] == 20
    assert lengths["axial"] == 15
    assert lengths["sagittal"] in (22, 23, 24)


def test_slices_add_up_to_the_case(trained: Trained) -> None:
    case = next(sliced_cases(trained.run, "axial"))
    dark = next(label for label in case.scene.labels.foreground if label.name == "dark").values
    truth = case.scene.maps[0].outer
    assert case.area("dark").sum() == pytest.approx(np.isin(truth, dark).sum() * 1.5 * 1.5)


def test_gallery_shows_the_best_and_the_worst(trained: Trained) -> None:
    figure = slice_views.show_gallery(trained.run, count=2)
    titles = [axes.get_title() for axes in figure.axes]
    values = [float(title.rsplit(" ", 1)[1]) for title in titles]
    assert len(values) == 4
    assert min(values[:2]) >= max(values[2:])
    every = [d for case in sliced_cases(trained.run, "axial") for d in case.dice()]
    assert values[2] == pytest.approx(min(every), abs=0.006)


def test_kernels_are_those_of_the_weights(trained: Trained) -> None:
    kernels = first_kernels(trained.run, 1)
    weights, _ = load_weights(trained.run.folder / "fold_1")
    first = next(w for w in weights.values() if w.ndim == 5 and w.shape[1] == 1)
    assert kernels.shape == (4, 1, 3, 3)
    assert np.array_equal(kernels, first[..., 1].numpy())


def test_activations_go_down_and_up_again(trained: Trained) -> None:
    layers = layer_activations(trained.run, 0)
    widths = [answers.shape[1] for answers in layers.values()]
    assert min(widths) < widths[0]
    assert widths[-1] == widths[0]
    assert all(a != b for a, b in pairwise(widths))
    assert all(np.isfinite(answers).all() and answers.std() > 0 for answers in layers.values())


@pytest.mark.parametrize(
    "arguments",
    [
        ["slices", "--plane", "coronal", "--label", "dark"],
        ["gallery", "--plane", "sagittal"],
        ["kernels", "--fold", "1"],
        ["activations"],
    ],
)
def test_pictures_from_the_command_line(
    trained: Trained, tmp_path: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    what, *options = arguments
    out = tmp_path / f"{what} é.png"
    assert voxloom(["show", what, str(trained.run.folder), "-o", str(out), *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"picture": str(out)}
    assert out.read_bytes().startswith(b"\x89PNG")


def test_refusals(trained: Trained) -> None:
    with pytest.raises(BadInput, match="no label is called 'x'"):
        slice_views.show_slices(trained.run, label="x")
    with pytest.raises(BadInput, match="no prediction of nobody"):
        slice_views.show_slices(trained.run, case="nobody")
    with pytest.raises(BadInput, match="no trained fold 7"):
        first_kernels(trained.run, 7)
    with pytest.raises(BadInput, match="no case nobody"):
        layer_activations(trained.run, 0, "nobody")


def test_a_batch_is_shown_before_any_training(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(trained.run.folder / "recipe.yaml")
    words = ["show", "batch", str(trained.data), "-r", recipe, "-o", str(tmp_path / "before.png")]
    assert voxloom(words) == 0
    trained.run.show_batch(tmp_path / "after.png")
    assert (tmp_path / "before.png").read_bytes() == (
        tmp_path / "after.png"
    ).read_bytes()  # the batch that was trained on
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after.png", "before.png"]
    capsys.readouterr()
    assert voxloom(["show", "results", str(trained.data), "-r", recipe, "-o", str(tmp_path / "x.png")]) == 2
    assert "--recipe is for batch" in capsys.readouterr().err
