"""Runs on PNG pictures: what is kept, predicted and shown of them are pictures too, which people can open and see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import voxloom as vx
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.formats import read_label, read_volume
from voxloom.report.style import color_of
from voxloom.runfiles import CaseFiles

from .test_kinds import TINY_2D, write_discs


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, vx.Run]:
    """Ten pictures with a disc, and a run on them in two folds."""
    root, before = tmp_path_factory.mktemp("pictures"), torch.get_num_threads()
    torch.set_num_threads(1)
    recipe = vx.Recipe.load("auto").changed(
        {**TINY_2D, "training.steps": 30, "inference.largest_component": ["label_255"]}
    )
    made = vx.train(write_discs(root / "discs"), recipe, folds=2, out=root / "run")
    torch.set_num_threads(before)
    return root / "discs", made


def test_held_out_pictures_are_kept_as_pictures(discs: tuple[Path, vx.Run], tmp_path: Path) -> None:
    _, run = discs
    kept = {path.name for fold in run.folds for path in fold.held_out.predictions.iterdir()}
    assert kept == {f"d{n}.png" for n in range(10)}
    run.show_results(tmp_path / "held-out.png")
    assert voxloom(["evaluate", str(run.folder), "--metrics", "nsd"]) == 0  # measured anew from the pictures


def test_a_picture_of_a_later_training_goes_before_an_older_volume(tmp_path: Path) -> None:
    files = CaseFiles(tmp_path)
    files.predictions.mkdir()
    for name in ("a.nii.gz", "b.nii.gz", "b.png"):
        (files.predictions / name).touch()
    assert files.prediction("a").name == files.found()["a"].name == "a.nii.gz"
    assert files.prediction("b").name == files.found()["b"].name == "b.png"
    assert files.prediction("c").name == "c.nii.gz"
    assert files.prediction("b", ".csv").name == "b.csv"


def test_a_predicted_mask_is_seen_in_color_beside_it(discs: tuple[Path, vx.Run], tmp_path: Path) -> None:
    data, run = discs
    out, scan = tmp_path / "out", data / "images" / "d3.png"
    assert voxloom(["predict", str(run.folder), str(scan), "-o", str(out)]) == 0
    mask, seen = read_label(out / "d3.png").data[0], read_volume(out / "overlays" / "d3.png").data
    inside = mask > 0
    assert inside.any()
    assert (seen[:, ~inside] == seen[:1, ~inside]).all()  # gray where there is no label
    assert (seen[0][inside] > seen[2][inside]).all()  # orange over it
    ink = tuple(int(color_of(0)[n : n + 2], 16) for n in (1, 3, 5))
    edge = (ink == seen.reshape(3, -1).T).all(axis=1).reshape(mask.shape)
    assert edge.any()
    assert not edge[~inside].any()
    assert {path.name for path in out.iterdir()} == {"d3.png", "overlays", "predictions.json"}


def test_overlays_can_be_left_out(discs: tuple[Path, vx.Run], tmp_path: Path) -> None:
    data, run = discs
    scan = str(data / "images" / "d3.png")
    assert voxloom(["predict", str(run.folder), scan, "-o", str(tmp_path / "a"), "--no-overlays"]) == 0
    assert voxloom(["predict", str(run.folder), scan, "-o", str(tmp_path / "b"), "--ending", ".nii.gz"]) == 0
    for name in ("a", "b"):
        assert not (tmp_path / name / "overlays").exists()


def test_probabilities_and_disagreement_in_python(discs: tuple[Path, vx.Run]) -> None:
    data, run = discs
    scan = data / "images" / "d3.png"
    (found,) = run.probabilities(scan).values()
    assert found.shape == read_volume(scan).shape
    assert found.data.min() >= 0
    assert found.data.max() <= 1
    mask = run.predict(scan).data > 0
    assert (found.data[mask] > 0.49).all()
    turned = run.probabilities(scan, tta=True)
    assert not np.array_equal(next(iter(turned.values())).data, found.data)
    unsure = run.uncertainty(scan)
    assert unsure.spread.shape == found.shape
    assert unsure.spread.data.max() > 0
    assert unsure.figures["sources"] == "folds"
    assert 0 <= unsure.figures["pairwise_dice"] <= 1
    with pytest.raises(BadInput, match="not a source"):
        run.uncertainty(scan, over="luck")
