"""DICOM folders with several series: every command that reads scans can be told which one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.study.conftest import Trained
from voxloom.annotate.pseudo import unlabelled_cases
from voxloom.cli.app import run as voxloom
from voxloom.formats import read_volume, write_dicom_series
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import other_set
from voxloom.verbs.run import Run


def two_series(folder: Path, scan: Path) -> Path:
    """A folder with a series T1, the scan, and a series T2, its opposite."""
    image = read_volume(scan)
    whole = image.with_data(np.clip(image.data, 0, 400).round().astype(np.int16))
    for number, (name, values) in enumerate((("T1", whole.data), ("T2", 400 - whole.data)), start=3):
        part = folder / name
        header = {"SeriesDescription": name, "SeriesNumber": number}
        for file in write_dicom_series(whole.with_data(values), part, template=header):
            file.rename(folder / f"{name}-{file.name}")
        part.rmdir()
    return folder


@pytest.fixture(scope="module")
def folders(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two patients with two series each."""
    root = tmp_path_factory.mktemp("series")
    scans = sorted((trained.unseen / "imagesTr").glob("*.nii.gz"))[:2]
    return [two_series(root / f"p{n}", scan) for n, scan in enumerate(scans)]


@pytest.mark.parametrize(
    "line",
    [
        ["rank", "RUN", "SCANS", "-o", "OUT/rank.csv"],
        ["pseudo", "RUN", "SCANS", "-o", "OUT", "--agreement", "0", "--expected", "0"],
    ],
)
def test_what_chooses_scans_to_label_takes_one_of_several(
    line: list[str], trained: Trained, folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"RUN": [str(trained.run.folder)], "SCANS": [str(folder) for folder in folders]}
    words = [part for word in line for part in places.get(word, [word.replace("OUT", str(tmp_path / "out"))])]
    assert voxloom(words) == 2
    assert "Choose one: --series NAME" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    assert voxloom([*words, "--series", "T1"]) == 0


def test_pseudo_labels_are_of_the_series_that_was_named(folders: list[Path]) -> None:
    for name in ("T1", "T2"):
        case = unlabelled_cases(folders[:1], ("MR",), may_lack=False, series=[name])[0]
        assert case.read_image().meta["series_description"] == name


def test_other_sets_are_read_by_the_series_of_the_run(trained: Trained, folders: list[Path], tmp_path: Path) -> None:
    data, run = tmp_path / "set", tmp_path / "run"
    (data / "imagesTr").mkdir(parents=True)
    for folder in folders:
        shutil.copytree(folder, data / "imagesTr" / folder.name)
    shutil.copy(trained.data / "dataset.json", data)
    shutil.copytree(trained.run.folder, run)
    Recipe.load(run / "recipe.yaml").changed({"data.series": ["T2"]}).save(run / "recipe.yaml")
    read = [case.read_image().meta["series_description"] for case in other_set(Run(run), data)]
    assert read == ["T2", "T2"]


def test_inspect_takes_one_of_several(folders: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["case,image", *(f"{folder.name},{folder}" for folder in folders)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    assert voxloom(["inspect", str(tmp_path / "t.csv"), "--series", "T1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["fingerprint"]["cases"]
    assert [case["problem"] for case in found] == [None, None]
