"""Bad input at the command line: one clear line that names the case or file, exit code 2, nothing half-written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.formats import read_label, write_volume

from .conftest import write_balls


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_balls(tmp_path / "balls", 6)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The error line of a command that must end with exit code 2."""
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.strip().splitlines()[-1]


#: A training that is over at once.
FAST_LINE = ["--set", "training.steps=2", "--set", "network.features=[4, 8, 8]", "--set", "device=cpu"]


def training(data: Path, tmp_path: Path) -> list[str]:
    return ["train", str(data), "-o", str(tmp_path / "run"), "--budget", "5s", "--device", "cpu"]


def test_undeclared_label_value(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "labelsTr" / "ball03.nii.gz"
    volume = read_label(path)
    wrong = volume.data.copy()
    wrong[0, 0, 0, 0] = 4
    write_volume(volume.with_data(wrong), path)
    line = refused(training(data, tmp_path), capsys)
    assert "ball03" in line
    assert "4" in line
    assert not (tmp_path / "run").exists(), "the mended data must go into the same folder"


def test_half_copied_scan(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "imagesTr" / "ball02_0000.nii.gz"
    path.write_bytes(path.read_bytes()[:400])
    assert "ball02" in refused(training(data, tmp_path), capsys)


def test_image_without_label(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of many is told and left out; a set without any is refused."""
    (data / "labelsTr" / "ball05.nii.gz").unlink()
    assert run(["train", str(data), "-o", str(tmp_path / "run"), *FAST_LINE]) == 0
    assert "no label for ball05" in capsys.readouterr().err
    shutil.rmtree(data / "labelsTr")
    (data / "labelsTr").mkdir()
    refused(["train", str(data), "-o", str(tmp_path / "none"), *FAST_LINE], capsys)
    assert not (tmp_path / "none").exists()


def test_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(["train", str(tmp_path / "empty")], capsys)


def test_label_on_another_grid(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "labelsTr" / "ball01.nii.gz"
    volume = read_label(path)
    moved = np.array(volume.affine)
    moved[0, 3] += 7.0
    write_volume(type(volume)(volume.data, moved), path)
    line = refused(training(data, tmp_path), capsys)
    assert "ball01" in line
    assert "7" in line


def test_budget_too_short(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*training(data, tmp_path)[:-4], "--budget", "0.0001s", "--device", "cpu"]
    assert "too short" in refused(arguments, capsys)
    assert not (tmp_path / "run").exists()


def test_keys_that_do_not_go_together_with_the_plan(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "train",
        str(data),
        "-o",
        str(tmp_path / "run"),
        "--device",
        "cpu",
        "--set",
        "network.features=[8,8,8,8,8,8,8]",
    ]
    line = refused(arguments, capsys)
    assert "together with what the planner chose" in line
    assert "level" in line
    assert not (tmp_path / "run").exists()
