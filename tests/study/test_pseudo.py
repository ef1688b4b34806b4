"""Pseudo-labels: who is kept and who is refused, what is written, and that it never becomes a truth."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained
from voxloom.annotate.pseudo import Rule, pseudo_label
from voxloom.cli.app import run as cli
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import read_label, read_volume, write_volume
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import choose_folds
from voxloom.tasks.segmentation.material import usable_cases
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.trust.agreement import confidence_of, expected_dice, pairwise_dice
from voxloom.verbs.run import Run
from voxloom.volume import Volume


@pytest.fixture(scope="module")
def scans(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three unseen scans, one of noise, a held-out scan saved anew, and one of a held-out patient by the table."""
    folder = tmp_path_factory.mktemp("scans")
    for n in (10, 11, 12):
        shutil.copy(trained.unseen / "imagesTr" / f"ball{n}_0000.nii.gz", folder / f"new{n}.nii.gz")
    noise = np.random.default_rng(0).normal(100, 10, (1, 22, 20, 15)).astype(np.float32)
    write_volume(Volume(noise, np.diag([-1.5, 1.5, 2.0, 1.0])), folder / "noise.nii.gz")
    write_volume(read_volume(trained.data / "imagesTr" / "ball03_0000.nii.gz"), folder / "copy.mha")
    (folder / "participants.csv").write_text("case,patient\nnew10,N1\nnew12,ball05\n")
    return folder


@pytest.fixture(scope="module")
def labelled(trained: Trained, scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pseudo") / "data set"
    assert (
        cli(["pseudo", str(trained.run.folder), str(scans), "-o", str(out), "--agreement", "0.7", "--expected", "0.7"])
        == 0
    )
    return out


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "pseudo.csv").open(encoding="utf-8") as f:
        return {row["case"]: row for row in csv.DictReader(f)}


def test_every_case_is_listed_with_its_reason(labelled: Path) -> None:
    rows = rows_of(labelled)
    assert {case: row["kept"] for case, row in rows.items()} == {
        "copy": "no",
        "new10": "yes",
        "new11": "yes",
        "new12": "no",
        "noise": "no",
    }
    assert "held-out case ball03 have the same image, saved differently" in rows["copy"]["reason"]
    assert "held-out case ball05 are of one patient (ball05)" in rows["new12"]["reason"]
    assert rows["noise"]["reason"].split(":")[0] in (
        "no label was found",
        "the folds disagree on bright",
        "the folds disagree on dark",
        "little confidence in bright",
        "little confidence in dark",
    )
    assert rows["new10"]["patient"] == "N1"
    assert float(rows["new10"]["agreement"]) > 0.7


def test_the_data_set_is_nnunet_with_the_labels_of_the_run(labelled: Path, trained: Trained) -> None:
    data = Dataset(labelled)
    assert (data.layout, [case.id for case in data]) == ("nnU-Net", ["new10", "new11"])
    assert data.labels == Dataset(trained.data).labels
    assert all(case.is_pseudo for case in data)
    assert data["new10"].attributes["pseudo"] == "run"
    again = Predictor.of(trained.run).predict(labelled / "imagesTr" / "new10_0000.nii.gz")
    assert np.array_equal(read_label(labelled / "labelsTr" / "new10.nii.gz").data, again.data)
    truth = read_label(trained.unseen / "labelsTr" / "ball10.nii.gz").data
    assert pairwise_dice([again.data == 3, truth == 3]) > 0.7


def test_it_trains_with_the_original_and_never_validates(labelled: Path, trained: Trained) -> None:
    recipe = Recipe.load("auto").changed({"data.add": [str(labelled)], "folds.count": 5})
    cases, _ = usable_cases(Dataset(trained.data), recipe)
    folds = choose_folds(cases, recipe)
    assert all({"new10", "new11"} < set(fold.train) and len(fold.val) == 2 for fold in folds)


def test_the_rule_names_what_it_refuses(trained: Trained) -> None:
    found = confidence_of(Predictor.of(trained.run), read_volume(trained.unseen / "imagesTr" / "ball10_0000.nii.gz"))
    assert Rule(0, 0).refuses(found) == ""
    assert "the folds disagree on bright: Dice" in Rule(1, 0).refuses(found)
    assert "little confidence in bright: expected Dice" in Rule(0, 1).refuses(found)
    assert 0.5 < min(found.expected.values()) <= max(found.expected.values()) < 1
    assert Rule(0, 0).refuses(type(found)(found.prediction, found.agreement, {})) == "no label was found"


def test_expected_dice_is_that_of_the_mean_of_many_draws() -> None:
    random = np.random.default_rng(1)
    probability = random.uniform(0, 1, (12, 12, 12)) ** 3
    mask = probability > 0.5
    drawn = [pairwise_dice([random.uniform(size=mask.shape) < probability, mask]) for _ in range(200)]
    assert expected_dice(probability, mask) == pytest.approx(float(np.mean(drawn)), abs=0.005)
    assert expected_dice(mask.astype(np.float32), mask) == 1


def test_a_labelled_set_gives_its_unlabelled_cases(trained: Trained, tmp_path: Path) -> None:
    data = tmp_path / "mixed"
    shutil.copytree(trained.unseen, data)
    (data / "imagesTs").mkdir()
    for n in (11, 12, 13):
        (data / "labelsTr" / f"ball{n}.nii.gz").unlink()
        (data / "imagesTr" / f"ball{n}_0000.nii.gz").rename(data / "imagesTs" / f"ball{n}_0000.nii.gz")
    verdicts = pseudo_label(trained.run.folder, [data], tmp_path / "out", Rule(0, 0))
    assert [verdict.case.id for verdict in verdicts] == ["ball11", "ball12", "ball13"]
    assert len(Dataset(tmp_path / "out")) == 3


def test_bad_input_is_refused_and_nothing_is_left(trained: Trained, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(BadInput, match=r"none of 5 cases is kept; the surest, new1[01]: the folds disagree on"):
        pseudo_label(trained.run.folder, [scans], out, Rule(1, 1))
    with pytest.raises(BadInput, match="every case has a label"):
        pseudo_label(trained.run.folder, [trained.unseen], out)
    assert list(tmp_path.iterdir()) == []
    single = tmp_path / "single"
    shutil.copytree(trained.run.folder, single)
    (single / "fold_1" / "model.safetensors").unlink()
    with pytest.raises(BadInput, match="one network has nobody to agree with"):
        pseudo_label(single, [scans], out)
    out.mkdir()
    with pytest.raises(BadInput, match="exists already"):
        pseudo_label(trained.run.folder, [scans], out)


def test_json_says_the_same(trained: Trained, scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        str(trained.run.folder),
        str(scans / "new10.nii.gz"),
        "-o",
        str(tmp_path / "out"),
        "--agreement",
        "0.1",
    ]
    assert cli(["pseudo", *arguments, "--expected", "0.1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kept"] == 1
    assert told["cases"][0]["case"] == "new10"
    assert Run(trained.run.folder).folder.name == "run"
