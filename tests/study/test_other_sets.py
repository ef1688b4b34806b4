"""A run on another data set: labels by name, ``-o`` without a data set, pictures of test cases, and a sweep's test set."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.formats import read_label, write_volume
from voxloom.recipe.recipe import Recipe
from voxloom.sweep import Sweep, run_sweep
from voxloom.sweep.trial import Job
from voxloom.tasks.task import task_named
from voxloom.verbs.evaluate import evaluate_run
from voxloom.verbs.external import open_external
from voxloom.verbs.stress import stress_run

from .conftest import TINY, Trained
from .sweep.fakes import FakeWorkers

BRIGHT, DARK = 3, 207


def copied(source: Path, out: Path, labels: dict[str, int], values: dict[int, int]) -> Path:
    """A data set with other declared labels and other values in its files."""
    shutil.copytree(source, out)
    about = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps({**about, "labels": {"background": 0, **labels}}))
    for path in (out / "labelsTr").iterdir():
        volume = read_label(path)
        data = volume.data.copy()
        for old, new in values.items():
            data[volume.data == old] = new
        write_volume(volume.with_data(data), path)
    return out


@pytest.fixture(scope="module")
def swapped(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unseen cases with the values of the two labels exchanged, and an added third label."""
    out = tmp_path_factory.mktemp("other") / "swapped"
    return copied(trained.unseen, out, {"Dark": BRIGHT, "bright": DARK, "else": 9}, {BRIGHT: DARK, DARK: BRIGHT})


@pytest.fixture(scope="module")
def contrary(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copied(trained.unseen, tmp_path_factory.mktemp("other") / "contrary", {"left": BRIGHT, "right": DARK}, {})


def dice(evaluation: Any) -> dict[str, float]:
    return {name: figures["mean"] for name, figures in evaluation.summary()["dice"].items()}


def test_values_follow_names(trained: Trained, swapped: Path, tmp_path: Path) -> None:
    plain = evaluate_run(trained.run.folder, trained.unseen, tmp_path / "plain")
    other = evaluate_run(trained.run.folder, swapped, tmp_path / "other")
    assert dice(plain) == dice(other)
    assert dice(plain)["mean"] > 0.5
    assert any(note.startswith("else of the data set") for note in other.warnings)
    kept = json.loads((tmp_path / "other" / "statistics.json").read_text())
    assert kept["dice"]["bright"]["mean"] == dice(plain)["bright"]
    assert kept["warnings"] == list(other.warnings)


def test_stress_and_external_sets_do_the_same(trained: Trained, swapped: Path) -> None:
    plain, other = (stress_run(trained.run.folder, data, [], most=2).rows for data in (trained.unseen, swapped))
    assert [row.value for row in plain] == [row.value for row in other]
    recipe = Recipe.load("auto").changed({"data.external": [str(swapped)]})
    task, whole = task_named("segmentation"), Dataset(trained.data)
    (external,) = open_external(task, task.material(whole, recipe), recipe, whole).values()
    truth, same = external.cases[0].read_label(), Dataset(trained.unseen).cases[0].read_label()
    assert truth is not None
    assert same is not None
    assert np.array_equal(truth.data, same.data)


def test_contradicting_labels_are_refused(
    trained: Trained, contrary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (
        ["evaluate", str(trained.run.folder), str(contrary)],
        ["stress", str(trained.run.folder), str(contrary)],
    ):
        assert voxloom([*line, "-o", str(tmp_path / "out")]) == 2
        assert "label bright (3) is not declared here; declared are 3 left, 207 right" in capsys.readouterr().err
    for key in ("data.add", "data.external"):
        line = ["train", str(trained.data), "--set", f"{key}=[{contrary}]", "-o", str(tmp_path / "run")]
        assert voxloom(line) == 2
        assert "not declared here" in capsys.readouterr().err


def test_undeclared_values_of_a_truth_are_told(trained: Trained, tmp_path: Path) -> None:
    out = copied(trained.unseen, tmp_path / "odd", {"bright": BRIGHT, "dark": DARK}, {DARK: 8})
    found = evaluate_run(trained.run.folder, out, tmp_path / "out")
    assert any("value 8 of the truth is not a label of the run" in note for note in found.warnings)


def test_channels_are_taken_by_name(trained: Trained, tmp_path: Path) -> None:
    out = copied(trained.unseen, tmp_path / "two", {"bright": BRIGHT, "dark": DARK}, {})
    about = json.loads((out / "dataset.json").read_text())
    (out / "dataset.json").write_text(json.dumps({**about, "channel_names": {"0": "CT", "1": "MR"}}))
    for path in list((out / "imagesTr").iterdir()):
        shutil.copy(path, path.with_name(path.name.replace("_0000", "_0001")))
    with pytest.raises(BadInput, match="has the channels CT, MR, not MR"):
        evaluate_run(trained.run.folder, out, tmp_path / "out")


def test_out_without_a_data_set_holds_the_held_out_figures(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "kept figures"
    assert voxloom(["evaluate", str(trained.run.folder), "-o", str(out)]) == 0
    told = capsys.readouterr().out
    assert f"Wrote {out / 'metrics.csv'}" in told
    assert len((out / "metrics.csv").read_text().splitlines()) == 1 + 10 * 2
    assert json.loads((out / "statistics.json").read_text())["cases"] == 10


@pytest.mark.drawn
def test_pictures_of_test_cases(
    trained: Trained, swapped: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained.run.folder, run)
    (run / "summary.json").write_text(json.dumps({"folds": {}}))
    line = ["show", "gallery", str(run), "--on", "test", "-o", str(tmp_path / "g.png")]
    assert voxloom(line) == 2
    assert "not evaluated on a test set" in capsys.readouterr().err
    assert voxloom(["evaluate", str(run), str(trained.unseen)]) == 0
    assert voxloom(["evaluate", str(run), str(swapped)]) == 0
    assert "Beware: else of the data set" in (run / "report.html").read_text()
    for what in ("gallery", "results", "slices"):
        picture = tmp_path / f"{what}.png"
        assert voxloom(["show", what, str(run), "--on", "test", "-o", str(picture)]) == 0
        assert picture.stat().st_size > 1000
    assert (
        voxloom(["show", "results", str(run), "--on", "test", "--case", "ball00", "-o", str(tmp_path / "x.png")]) == 2
    )
    assert "ball10" in capsys.readouterr().err  # a held-out case is not a test case


class RunWorkers(FakeWorkers):
    """Puts a trained run in the place of every trial."""

    folder: Path

    def submit(self, job: Job) -> None:
        shutil.copytree(self.folder, job.run)
        super().submit(job)


def test_a_sweep_scores_every_run_on_a_test_set(trained: Trained, swapped: Path, tmp_path: Path) -> None:
    values = {"data": str(trained.data), "set": TINY, "over": {"seed": [1, 2]}, "test": str(swapped)}
    sweep = Sweep.check(values, tmp_path / "sweep.yaml")
    workers = RunWorkers(lambda levels: 0.9 if levels["seed"] == "2" else 0.8)
    workers.folder = trained.run.folder
    result = run_sweep(sweep, tmp_path / "out", lambda: workers)
    plain = dice(evaluate_run(trained.run.folder, trained.unseen, tmp_path / "plain"))
    assert result.tests[1]["score"] == result.tests[2]["score"] == plain["mean"]
    assert result.best is not None
    assert result.best.number == 2  # the held-out figure decides
    with (tmp_path / "out" / "table.csv").open() as f:
        rows = list(csv.DictReader(f))
    assert [float(row["test.dice"]) for row in rows] == [plain["mean"]] * 2
    assert float(rows[0]["test.dice.bright"]) == plain["bright"]
    assert "test.dice" in (tmp_path / "out" / "tables.txt").read_text()
    shutil.rmtree(tmp_path / "out" / "runs")  # scores that are kept are not computed again
    again = run_sweep(sweep, tmp_path / "out", lambda: workers, resume=True)
    assert again.tests == result.tests


def test_a_test_set_that_was_trained_on_is_refused_before_anything_starts(trained: Trained, tmp_path: Path) -> None:
    values = {"data": str(trained.data), "set": TINY, "over": {"seed": [1]}, "test": str(trained.data)}
    with pytest.raises(BadInput, match="test set: case"):
        run_sweep(Sweep.check(values, tmp_path / "sweep.yaml"), tmp_path / "out", lambda: FakeWorkers(lambda _: 0.5))
    assert not (tmp_path / "out").exists()
