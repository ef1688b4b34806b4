"""Test-time augmentation takes what training used; sides that are labels of their own are never exchanged."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxloom.augment import AugmentSettings
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset, Labels
from voxloom.dataset.labels import Label
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score
from voxloom.files import read_json, write_json
from voxloom.formats import read_label, read_volume
from voxloom.landmarks import Layout
from voxloom.recipe.recipe import Recipe
from voxloom.run.listener import Listener
from voxloom.run.mirroring import without_sided_mirrors
from voxloom.tasks.landmarks.material import LandmarkMaterial
from voxloom.tasks.landmarks.task import TASK
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.tta import DRAWS, OWN_SHARE, views_told, with_tta
from voxloom.trust.uncertainty import Sampling, check_sources
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

from .conftest import TINY, Trained, write_balls

SIDED = Labels((Label("lung_left", (1,)), Label("lung_right", (2,))))
PLAIN = ("liver", "spleen")


def taught(predictor: Predictor, **changes: object) -> Predictor:
    """The predictor as if its training had other random changes."""
    assert predictor.augment is not None
    return replace(predictor, augment=predictor.augment.model_copy(update=changes))


def test_without_mirroring_the_views_are_training_draws(trained: Trained) -> None:
    predictor = Predictor.of(trained.run)
    assert predictor.trained_mirror == ()
    views = with_tta(predictor).looks
    assert len(views) == 1 + DRAWS == 5
    assert views[0].name == "as is"
    assert views[0].weight == OWN_SHARE
    assert sum(view.weight for view in views) == pytest.approx(1)
    assert all(view.name != "as is" and "mirror" not in view.name for view in views[1:])
    assert with_tta(predictor).inference.mirror == ()
    told = views_told(with_tta(predictor))
    assert told is not None
    assert all(view.name in told for view in views[1:])
    assert views_told(predictor) is None


def test_it_helps_or_does_little_harm_where_mirror_images_ruin(trained: Trained) -> None:
    """The two balls differ by their place along i too: a network that never saw mirror images confuses them."""
    predictor, before, after = Predictor.of(trained.run), [], []
    for path in sorted((trained.unseen / "imagesTr").iterdir()):
        scan, truth = read_volume(path), read_label(trained.unseen / "labelsTr" / path.name.replace("_0000", "")).data
        for found, one in ((before, predictor), (after, with_tta(predictor))):
            labels = one.predict(scan).data
            found.append(np.mean([dice_score(labels == value, truth == value) for value in (3, 207)]))
    assert np.mean(after) > np.mean(before) - 0.03
    assert before != after


def test_a_run_that_mirrored_takes_its_mirror_images(trained: Trained) -> None:
    mirroring = taught(Predictor.of(trained.run), mirror=(0, 2))
    assert with_tta(mirroring).inference.mirror == (0, 2)
    assert with_tta(mirroring).looks == ()
    assert "along i, k" in str(views_told(with_tta(mirroring)))
    flat = replace(mirroring, patch=(24, 24, 1))
    assert with_tta(flat).inference.mirror == (0,)
    sided = replace(mirroring, labels=SIDED)
    assert with_tta(sided).inference.mirror == (2,)
    sagittal = replace(sided, prepare=sided.prepare.model_copy(update={"orientation": "ASR"}))
    assert with_tta(sagittal).inference.mirror == (0,)


def test_a_run_without_random_changes_is_refused(trained: Trained) -> None:
    still = replace(Predictor.of(trained.run), augment=AugmentSettings().off())
    with pytest.raises(BadInput, match="without random changes"):
        with_tta(still)
    with pytest.raises(BadInput, match="without random changes"):
        check_sources([still], Sampling.parse("tta"))


def test_a_run_of_an_earlier_version_forgets_mirror_images_it_never_saw(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(trained.run.folder, folder)
    for path in folder.glob("fold_*/model.json"):
        about = read_json(path)
        about["inference"]["mirror"] = [0, 1]
        del about["augment"]
        write_json(path, about)
    predictor = Predictor.of(Run(folder))
    assert predictor.inference.mirror == ()
    assert len(with_tta(predictor).looks) == 5


def test_the_command_line_says_which_views(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan = trained.unseen / "imagesTr" / "ball10_0000.nii.gz"
    command = ["predict", str(trained.run.folder), str(scan), "--json", "-o"]
    assert voxloom([*command, str(tmp_path / "one"), "--tta", "--seed", "3"]) == 0
    printed = capsys.readouterr()
    assert "Mean over 5 views" in json.loads(printed.out)["views"]
    assert "Mean over 5 views" in printed.err.replace("\n", " ")
    assert voxloom([*command, str(tmp_path / "two"), "--tta", "--seed", "3"]) == 0
    one, two = (read_label(tmp_path / name / "ball10.nii.gz").data for name in ("one", "two"))
    assert np.array_equal(one, two)
    capsys.readouterr()
    assert voxloom([*command, str(tmp_path / "plain")]) == 0
    assert "views" not in json.loads(capsys.readouterr().out)


def recipe(**changes: object) -> Recipe:
    return Recipe.load("auto").changed({key.replace("__", "."): value for key, value in changes.items()})


def test_mirror_images_that_exchange_labels_are_left_out_of_training() -> None:
    asked = recipe(augment__mirror=[0, 1], inference__mirror=[0, 1])
    kept, told = without_sided_mirrors(asked, SIDED.names)
    assert kept.augment["mirror"] == [1]
    assert kept.inference["mirror"] == [1]
    assert told is not None
    assert "along i" in told
    assert "lung_left and lung_right" in told
    assert without_sided_mirrors(asked, PLAIN) == (asked, None)
    sagittal = recipe(augment__mirror=[0, 2], slices__plane="sagittal")
    assert without_sided_mirrors(sagittal, SIDED.names)[0].augment["mirror"] == [0]
    own = recipe(augment__mirror=[0, 2], prepare__orientation="slices")
    assert without_sided_mirrors(own, SIDED.names)[0].augment["mirror"] == []


def test_marks_of_two_sides_are_not_exchanged_either() -> None:
    asked = recipe(augment__mirror=[0])
    both = ("left", "right")
    for layout, mirrors in (
        (Layout("landmark", ("L1",), both), []),
        (Layout("level", ("L1",), both), [0]),
        (Layout("landmark", ("L1",), ("",)), [0]),
    ):
        nothing = Dataset.from_cases("none", (), ("MR",))
        settled, told = TASK.settled(asked, LandmarkMaterial(nothing, layout=layout, points={}))
        assert settled.augment["mirror"] == mirrors
        assert (told is None) == (mirrors == [0])


def test_a_run_leaves_them_out_and_says_so(tmp_path: Path) -> None:
    data = write_balls(tmp_path / "balls", 4)
    about = read_json(data / "dataset.json")
    write_json(data / "dataset.json", {**about, "labels": {"background": 0, "left ball": 3, "right ball": 207}})
    told: list[str] = []
    asked = Recipe.load("auto").changed({**TINY, "training.steps": 2, "augment.mirror": [0, 1]})
    run = train(Dataset(data), asked, out=tmp_path / "run", listener=Listener(stage=told.append))
    assert run.recipe.augment["mirror"] == [1]
    assert any("left ball and right ball" in line for line in told)
    assert Predictor.of(run).trained_mirror == (1,)


def test_prediction_cannot_ask_for_mirror_images_that_training_lacks() -> None:
    with pytest.raises(BadInput, match=r"`inference.mirror` has j, along which training shows no mirror images"):
        without_sided_mirrors(recipe(augment__mirror=[0], inference__mirror=[0, 1]), PLAIN)
