"""Structures in a run: scored after training and on other data, numbered and measured in predictions."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voxloom.cli.app import app
from voxloom.cli.app import run as cli
from voxloom.formats import read_label, write_volume
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.study import open_study
from voxloom.verbs.evaluate import validate_run
from voxloom.verbs.run import Run

from .conftest import Trained


@pytest.fixture(scope="module")
def counting(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The trained run with a recipe that counts structures, its held-out cases evaluated anew."""
    folder = tmp_path_factory.mktemp("structures") / "run"
    shutil.copytree(trained.run.folder, folder)
    run = Run(folder)
    run.recipe.changed({"inference.instances": ["bright"]}).save(folder / "recipe.yaml")
    validate_run(open_study(run), run.summary["folds"])
    return run


def test_held_out_structures_are_matched_and_written(counting: Run) -> None:
    figures = counting.summary["validation"]["structures"]
    assert figures["true"] == 20
    assert figures["found"] >= 18
    assert figures["found"] + figures["missed"] == figures["true"]
    assert figures["dice"]["all"]["mean"] > 0.6
    with (counting.folder / "structures.csv").open(newline="") as f:
        rows = [row for row in csv.DictReader(f) if row["number"]]
    assert {row["label"] for row in rows} == {"bright", "dark"}
    assert len({row["case"] for row in rows}) == 10
    page = counting.report().read_text(encoding="utf-8")
    assert "Held-out cases: structures from head to feet" in page
    assert f"Of 20 true structures {figures['found']} were found" in page
    text = (counting.folder / "methods.md").read_text(encoding="utf-8")
    assert f"Of 20 single structures {figures['found']} were found" in text


def test_evaluate_and_predict_count_structures(counting: Run, trained: Trained, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["evaluate", str(counting.folder), str(trained.unseen)])
    assert result.exit_code == 0, result.output
    assert "8 structures" in result.output
    assert json.loads((counting.folder / "summary.json").read_text())["test"]["structures"]["true"] == 8
    assert (counting.folder / "test" / "structures.csv").is_file()
    out = tmp_path / "out"
    scan = str(trained.unseen / "imagesTr" / "ball11_0000.nii.gz")
    done = CliRunner().invoke(app, ["predict", str(counting.folder), scan, "-o", str(out)])
    assert done.exit_code == 0, done.output
    numbers, labels = read_label(out / "structures" / "ball11.nii.gz"), read_label(out / "ball11.nii.gz")
    assert np.array_equal(np.unique(numbers.data), np.arange(numbers.data.max() + 1))
    with (out / "structures.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    voxel_ml = float(np.prod(labels.spacing)) / 1000
    for row in rows:
        volume = (numbers.data == int(row["number"])).sum() * voxel_ml
        assert float(row["volume_ml"]) == pytest.approx(volume, abs=1e-4)
    heights = [float(row["z"]) for row in rows]
    assert heights == sorted(heights, reverse=True)


def test_two_folders_of_masks_are_matched_structure_by_structure(
    counting: Run, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    true = trained.data / "labelsTr"
    found = tmp_path / "found"
    shutil.copytree(true, found)
    gone, doubled = sorted(found.iterdir())[:2]
    gone.unlink()
    label = read_label(doubled)
    label.data[label.data > 0] = np.unique(label.data)[1]  # both labels become one, which has two pieces
    write_volume(label, doubled)
    line = ["evaluate", "--pred", str(found), "--truth", str(true), "--labels", str(trained.data / "dataset.json")]
    result = CliRunner().invoke(app, [*line, "--instances", "bright,dark", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "structures.csv").open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert f"{len([r for r in rows if r['number']])} structures" in result.output
    stem = gone.name.removesuffix(".nii.gz")
    assert all(row["predicted_number"] == "" and float(row["dice"]) == 0 for row in rows if row["case"] == stem)
    rest = [r for r in rows if r["case"] not in (stem, doubled.name.removesuffix(".nii.gz"))]
    assert {float(row["dice"]) for row in rest} == {1.0}
    assert cli([*line, "--instances", "brigth"]) == 2
    assert "Error: no label is called brigth. Declared are bright, dark" in capsys.readouterr().err
    assert cli(["evaluate", str(counting.folder), "--instances", "auto"]) == 2


def test_runs_that_do_not_ask_write_nothing(trained: Trained, tmp_path: Path) -> None:
    from voxloom.tasks.segmentation.structures import write_structures

    predictor = Predictor.of(trained.run)
    assert write_structures(trained.run, predictor.labels, [tmp_path / "x.nii.gz"], tmp_path) == []
    assert "structures" not in trained.run.summary["validation"]
