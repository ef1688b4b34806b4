"""The studies of two papers to their last step, at reduced size: docs/studies.md with made-up data whose answers are known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run as cli
from voxloom.dataset import Dataset
from voxloom.evaluation import dice_score
from voxloom.formats import read_label
from voxloom.phantom import write_phantoms
from voxloom.verbs.run import Run

from .conftest import write_balls

#: Size alone: network, optimizer, loss, schedule and changes stay those of the papers.
SIZE = {
    "network.features": [16, 32],
    "network.strides": [2],
    "training.patch": [24, 24, 16],
    "training.batch": 2,
    "training.validations": 1,
    "prepare.crop_or_pad_to": None,
    "device": "cpu",
}
SMALL = [f"--set={key}={json.dumps(value)}" for key, value in SIZE.items()]
#: Steps after which a run lies far above the floor of its test (Dice 0.7 of a tumor, 0.28 of balls).
STEPS = {"cervical-cancer": "--set=training.steps=60", "spine-small-data": "--set=training.steps=70"}
PUBLISHED = {
    "cervical-cancer": ("monai_unet", "ranger", 0.1, "flat_cosine", "dice"),
    "spine-small-data": ("monai_unet", "ranger", 0.01, "flat_cosine", "focal_tversky"),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def voxloom(*line: object) -> None:
    assert cli([str(word) for word in line]) == 0, line


def trained_as_published(run: str) -> bool:
    """Whether network, optimizer, rate, schedule and loss are the paper's."""
    recipe = Run(run).recipe
    loss, t = recipe.training["loss"], recipe.training
    kind = loss["kind"] if isinstance(loss, dict) else loss
    used = (recipe.network["kind"], t["optimizer"], t["learning_rate"], t["schedule"], kind)
    return used == PUBLISHED[recipe.name]


def everywhere(labels: Path, value: int) -> float:
    """Mean Dice of an answer that is ``value`` in every voxel."""
    shares = [float((read_label(path).data == value).mean()) for path in sorted(labels.iterdir())]
    return float(np.mean([2 * share / (1 + share) for share in shares]))


def renamed(data: Path, prefix: str) -> Path:
    """The data set with cases of other names."""
    for path in [*(data / "imagesTr").iterdir(), *(data / "labelsTr").iterdir()]:
        path.rename(path.with_name(prefix + path.name))
    return data


def test_cervical_cancer_with_two_raters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_phantoms("pelvis-mr", 5, "cohort", seed=1)
    write_phantoms("pelvis-mr", 6, "test", seed=2, raters=2)
    size = (*SMALL, STEPS["cervical-cancer"], "--set=prepare.spacing=[6,6,6]")
    voxloom("train", "cohort", "-r", "cervical-cancer", *size, "-o", "run")
    voxloom("predict", "run", "test/imagesTr", "-o", "predicted")
    raters = ("R1=test/raters/R1", "R2=test/raters/R2", "--model", "DL=predicted", "--labels", "tumor=1")
    factors = ("--table", "test/participants.csv", "--factors", "field_strength,slice_mm,fov_mm")
    voxloom("raters", *raters, *factors, "-o", "agreement")

    assert trained_as_published("run")
    summary = Run("run").summary
    assert [(m["step"], m["used"]) for m in summary["postprocess"]] == [("largest_activation", True)]
    assert Run("run").recipe.training["least_gain"] == 0.005
    for path in Path("predicted").glob("*.nii.gz"):
        assert read_label(path).data.max() <= 1
    figures = json.loads(Path("agreement/raters.json").read_text())
    found = figures["labels"]["tumor"]
    pairs = {(p["first"], p["second"]): p for p in found["pairs"]}
    assert figures["cases"] == 6
    assert set(pairs) == {("DL", "R1"), ("DL", "R2"), ("R1", "R2")}
    masks = [
        [read_label(Path(f"test/raters/{rater}/pelvis_{n:03d}.nii.gz")).data == 1 for n in range(6)]
        for rater in ("R1", "R2")
    ]
    known = float(np.median([dice_score(a, b) for a, b in zip(*masks, strict=True)]))
    assert pairs["R1", "R2"]["dice"]["median"] == pytest.approx(known)
    assert {"tests", "adjusted", "bland_altman", "icc", "friedman", "spearman", "regression"} <= set(found)
    assert Path("agreement/raters.html").is_file()
    floor = everywhere(Path("test/raters/R1"), 1)  # an empty answer scores 0
    assert pairs["DL", "R1"]["dice"]["median"] > max(0.4, 10 * floor)
    before = summary["validation"]["raw"]
    assert before["objects_prediction"]["tumor"]["max"] >= 1  # what the paper counts, before one piece is chosen
    assert summary["validation"]["objects_prediction"]["tumor"]["max"] <= 1


def test_spine_from_little_data_in_four_experiments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    renamed(write_balls(Path("site1"), 4), "a")
    renamed(write_balls(Path("both"), 12), "b")
    for name, cases in (("site2", range(4, 8)), ("more", range(8, 10)), ("public", range(10, 12))):
        for part in ("imagesTr", "labelsTr"):
            Path(name, part).mkdir(parents=True)
            for n in cases:
                for path in Path("both", part).glob(f"bball{n:02d}*"):
                    shutil.copy(path, Path(name, part))
        shutil.copy("both/dataset.json", name)
    recipe = ("-r", "spine-small-data", *SMALL, STEPS["spine-small-data"], "--set=prepare.spacing=[1.5,1.5,2.0]")
    voxloom("train", "site1", *recipe, "--folds", 2, "--external", "site2", "-o", "run1")
    target = ("--add", "site2", "--folds", 2, "--set", "folds.over=added", "--external", "public")
    voxloom("train", "site1", *recipe, *target, "-o", "run2")
    voxloom("pseudo", "run2", "more/imagesTr", "-o", "pseudo", "--agreement", 0, "--expected", 0)
    voxloom("train", "site1", *recipe, *target, "--add", "pseudo", "-o", "run3")
    voxloom("compare", "run2", "run3", "-o", "compared")

    first, second, third = (Run(f"run{n}").summary for n in (1, 2, 3))
    assert all(trained_as_published(f"run{n}") for n in (1, 2, 3))
    floor = max(everywhere(Path("both/labelsTr"), value) for value in (3, 207))  # an empty answer scores 0
    for summary in (first, second, third):
        assert summary["validation"]["dice"]["mean"]["mean"] > 3 * floor
    assert first["external"]["site2"]["cases"] == 4
    assert (second["validation"]["cases"], third["validation"]["cases"]) == (4, 4)
    assert {s["external"]["public"]["cases"] for s in (second, third)} == {2}
    assert second["validation"]["structures"]["true"] == 8
    trained = [case["id"] for case in Run("run3").data["cases"]]
    pseudo = {case.id for case in Dataset("pseudo")}
    assert pseudo
    assert pseudo <= set(trained)
    assert {m["step"] for m in first["postprocess"]} == {"remove_fraction", "name_in_order"}
