"""A run as a zip to share: it predicts and evaluates as before, and nothing in it names, dates or shows a patient."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import TINY, write_balls
from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.export.share import Names, scrubbed, scrubbed_table
from voxloom.files import read_json
from voxloom.recipe.recipe import Recipe
from voxloom.verbs.run import Run
from voxloom.verbs.train import train

#: What must not leave: names of cases and people, ages, diagnoses, hospitals.
PEOPLE = ["Mueller-Anna", "Schmidt^Kurt", "Dubois Claire", "Rossi", "Novak", "Olsen", "Petrov", "Garcia"]
AGES = [61.37, 42.81, 77.73, 53.19, 68.41, 35.67, 59.93, 49.27]


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on cases that are named after people, with ages, two folds, a test, a stress test, structures and a calibration."""
    root = tmp_path_factory.mktemp("Krankenhaus Ost")
    data = write_balls(root / "archive", 10)
    for n in range(8):
        (data / "imagesTr" / f"ball0{n}_0000.nii.gz").rename(
            data / "imagesTr" / f"{PEOPLE[n].split('^')[0]}_0000.nii.gz"
        )
        (data / "labelsTr" / f"ball0{n}.nii.gz").rename(data / "labelsTr" / f"{PEOPLE[n].split('^')[0]}.nii.gz")
    rows = [f"{PEOPLE[n].split('^')[0]},{PEOPLE[n]},{AGES[n]},WardSeven" for n in range(8)]
    (data / "participants.csv").write_text(
        "\n".join(["case,patient,age,ward", *rows, "ball08,p8,50,x", "ball09,p9,51,y", ""])
    )
    test = write_balls(root / "test", 13)
    for n in range(11):
        (test / "imagesTr" / f"ball{n:02d}_0000.nii.gz").unlink()
        (test / "labelsTr" / f"ball{n:02d}.nii.gz").unlink()
    recipe = Recipe.load("auto").changed(
        {**TINY, "training.steps": 40, "inference.instances": "auto", "data.exclude": ["ball08"]}
    )
    run = train(Dataset(data), recipe, out=root / "run", folds=2)
    run.evaluate(test)
    assert voxloom(["stress", str(run.folder), "--only", "noise", "--cases", "2"]) == 0
    return run.folder


@pytest.fixture(scope="module")
def opened(private: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip, unpacked by the command that is printed."""
    place = tmp_path_factory.mktemp("elsewhere")
    subprocess.run(
        [sys.executable, "-m", "voxloom", "export", str(private), "--to", "zip", "-o", "shared.zip"],
        cwd=place,
        check=True,
    )
    subprocess.run([sys.executable, "-m", "zipfile", "-e", "shared.zip", "."], cwd=place, check=True)
    return place / "shared"


def test_nothing_in_it_names_or_describes_a_patient(private: Path, opened: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(opened.parent / "shared.zip") as packed:  # as packed: other tests evaluate the opened one
        packed.extractall(tmp_path)
    packed_again, opened = opened, tmp_path / "shared"
    about = read_json(private / "data.json")
    ids = [case["id"] for case in about["cases"]]
    secrets = [*ids, *(case["patient"] for case in about["cases"]), *map(str, AGES), "WardSeven", "Krankenhaus"]
    secrets += ["ball08", "ball11", "ball12", str(private.parent), str(Path.home()), "/tmp/"]
    assert len(ids) == 9
    for path in (p for p in opened.rglob("*") if p.is_file()):
        assert path.suffix in (".json", ".csv", ".md", ".yaml", ".safetensors"), path
        raw = path.read_bytes()
        for secret in secrets:
            if len(secret) > 2:
                assert secret.encode() not in raw, f"{secret} in {path.relative_to(opened)}"
        assert not any(secret in str(path.relative_to(opened)) for secret in secrets)
    with zipfile.ZipFile(packed_again.parent / "shared.zip") as packed:
        assert not any(re.search("png|nii|html|ckpt|tfevents|predictions", name) for name in packed.namelist())
        assert packed.comment == b""


def test_it_predicts_and_evaluates_as_before(private: Path, opened: Path, tmp_path: Path) -> None:
    scan = private.parent / "test" / "imagesTr" / "ball12_0000.nii.gz"
    assert np.array_equal(Run(opened).predict(scan).data, Run(private).predict(scan).data)
    ours, theirs = Run(private).evaluate(), Run(opened).evaluate()
    for label, figures in ours.summary()["dice"].items():
        told = theirs.summary()["dice"][label]
        assert told.pop("ci") == pytest.approx(
            figures.pop("ci"), abs=0.1
        )  # it draws patients in the order of their names
        assert told == figures
    assert all(re.fullmatch(r"case_\d{4}", case) for case in theirs.evaluation.cases)
    unseen = private.parent / "test"
    assert voxloom(["evaluate", str(opened), str(unseen), "-o", str(tmp_path / "out")]) == 0
    assert "Dice" in (opened / "report.html").read_text()


def test_a_training_case_is_still_no_test(private: Path, opened: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert voxloom(["evaluate", str(opened), str(private.parent / "archive")]) == 2
    assert "the run's case" in capsys.readouterr().err


def test_one_person_keeps_one_number(private: Path, opened: Path) -> None:
    cases = read_json(opened / "data.json")["cases"]
    number = {case["id"]: case["patient"] for case in cases}
    with next(opened.glob("fold_*/metrics.csv")).open() as table:
        for row in csv.DictReader(table):
            assert number[row["case"]] == row["patient"]
    splits = read_json(opened / "splits_final.json")
    assert {name for fold in splits for part in ("train", "val") for name in fold[part]} == set(number)
    assert {name for fold in splits for name in fold["val"]} == {
        case["id"] for case in cases if case["fold"] is not None
    }


def test_the_card_is_there_and_says_nothing_of_ages(opened: Path) -> None:
    card = (opened / "model_card.md").read_text()
    assert "bright" in card
    assert "TO FILL IN: age" in (opened / "claim.md").read_text(), "who has the table can say it"


@pytest.mark.parametrize("words", [["show", "results"], ["review"], ["stress"], ["calibrate"]])
def test_what_needs_the_data_says_that_they_were_not_shared(
    words: list[str], opened: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {"show": ["-o", str(tmp_path / "a.png")], "review": ["--threshold", "1", "-o", str(tmp_path / "r")]}
    assert voxloom([*words, str(opened), *more.get(words[0], [])]) == 2
    assert "shared without its data set" in capsys.readouterr().err


def test_wrong_places_are_refused(private: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"Write -o run\.zip"):
        Run(private).export(tmp_path / "run", "zip")
    (tmp_path / "there.zip").touch()
    with pytest.raises(BadInput, match="there is such a file"):
        Run(private).export(tmp_path / "there.zip", "zip")


def test_names_in_sentences_and_tables() -> None:
    names = Names({"P-12": "case_0001", "P-1": "case_0002", "7": "case_0003"}, {"Rossi": "patient_0001"})
    told = scrubbed(
        {"P-12": "P-12 and P-1 of Rossi, 7 mm", "attributes": {"age": 4}, "files": {"/a/P-1.nii": "ff"}, "n": ["7"]},
        names,
    )
    assert told == {
        "case_0001": "case_0001 and case_0002 of patient_0001, 7 mm",
        "files": {"file_0": "ff"},
        "n": ["case_0003"],
    }
    table = scrubbed_table('case,patient,label,dice\n7,Rossi,liver,0.5\n"P-1",P-1,liver,0.7\n', names)
    assert table == "case,patient,label,dice\ncase_0003,patient_0001,liver,0.5\ncase_0002,case_0002,liver,0.7\n"
    assert json.dumps(scrubbed({"dice": 0.5, "values": [1, None]}, names)) == '{"dice": 0.5, "values": [1, null]}'
