"""Tasks x verbs: classification, regression and a task of another package, from files to figures through the command line."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tasks.scans import write_scans
from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.formats import read_volume
from voxloom.pictures.slice_views import show_slices
from voxloom.tasks.task import task_named
from voxloom.verbs.run import Run

COUNTING = "tests.tasks.counting:TASK"
#: Task -> the name in the recipe, and the main figure of its summary.
TASKS = {"classification": "classification", "regression": "regression", "counting": COUNTING}
SMALL = {
    "device": "cpu", "folds.hold_out": 0.3, "training.steps": 40, "training.validations": 2, "training.batch": 4,
    "training.learning_rate": 0.01, "network.features": [4, 8, 8], "network.strides": [[2, 2, 2]] * 3,
}  # fmt: skip


@pytest.fixture(scope="module", params=TASKS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The task, and a folder with data, an unseen set and a run."""
    root = tmp_path_factory.mktemp(request.param)
    (root / "unseen").mkdir()
    (root / "data").mkdir()
    data, unseen = (
        write_scans(root / "data", request.param, range(16)),
        write_scans(root / "unseen", request.param, range(40, 44)),
    )
    words = [f"{key}={json.dumps(value)}" for key, value in {**SMALL, "task": TASKS[request.param]}.items()]
    told = [part for word in words for part in ("--set", word)]
    assert voxloom(["train", str(data), "-o", str(root / "run"), "--external", str(unseen), *told]) == 0
    return request.param, root


def summary(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "run" / "summary.json").read_text())
    return found


def test_a_run_knows_its_task_and_learns(made: tuple[str, Path]) -> None:
    task, root = made
    about = json.loads((root / "run" / "fold_0" / "model.json").read_text())
    assert about["task"] == task
    assert summary(root)["task"] == task
    figures = summary(root)["validation"]
    if task == "classification":
        assert next(iter(figures["auc"].values()))["value"] > 0.8, figures["auc"]
    else:
        (target,) = figures["targets"].values()
        assert target["r2"]["value"] > 0.3, target
    assert summary(root)["external"]["cases"]["cases"] == 4
    for name in ("report.html", "plan.md", "repeat.yaml", "calibration.json", "fold_0/metrics.csv", "recipe.yaml"):
        assert (root / "run" / name).is_file(), name


def test_cards_are_filled(made: tuple[str, Path]) -> None:
    task, root = made
    run = root / "run"
    model, claim, methods = ((run / name).read_text("utf-8") for name in ("model_card.md", "claim.md", "methods.md"))
    goal = "classification of cases as few and many" if task == "classification" else "prediction of"
    assert goal in model
    assert "Each of 40 steps saw 4 cases" in methods
    assert "the contracting path of a 3D U-Net" in methods
    assert "a chance of 90 %" in methods
    assert "held-out | AUC" in model if task == "classification" else "held-out | " in model
    assert "the calibration of" in claim
    assert "not known to the run" not in claim
    assert "Dice" not in model + claim + methods
    assert "On 4 external cases of cases" in methods
    if task == "counting":
        assert COUNTING in methods


def test_an_answer_for_a_scan(made: tuple[str, Path], tmp_path: Path) -> None:
    task, root = made
    scan = str(root / "unseen" / "s40.nii.gz")
    for extra in ([], ["--tta"]):
        out = tmp_path / f"out{len(extra)}"
        assert voxloom(["predict", str(root / "run"), scan, "-o", str(out), *extra]) == 0
        found = json.loads((out / "s40.json").read_text())
        assert "Infinity" not in (out / "s40.json").read_text()
        if task == "classification":
            assert sum(found["probabilities"].values()) == pytest.approx(1)
            assert found["prediction"] in ("few", "many")
            unsure = tmp_path / f"unsure{len(extra)}"
            assert voxloom(["predict", str(root / "run"), scan, "-o", str(unsure), "--abstain", "1", *extra]) == 0
            open_case = json.loads((unsure / "s40.json").read_text())
            assert (open_case["prediction"], open_case["abstained"]) == (None, max(found["probabilities"].values()) < 1)
        else:
            (value,) = found["targets"].values()
            assert np.isfinite(value["value"])
        assert (out / "predictions.csv").read_text().startswith("case,")


def test_evaluate(made: tuple[str, Path], tmp_path: Path) -> None:
    _, root = made
    for data in ([], [str(root / "unseen" / "cases.csv")]):
        assert voxloom(["evaluate", str(root / "run"), *data, "-o", str(tmp_path / f"out{len(data)}")]) == 0
        rows = list(csv.DictReader((tmp_path / f"out{len(data)}" / "metrics.csv").open()))
        assert len(rows) == (4 if data else summary(root)["validation"]["cases"])


@pytest.mark.drawn
def test_two_runs_are_compared(made: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, root = made
    shutil.copytree(root / "run", tmp_path / "other")
    line = ["compare", str(root / "run"), str(tmp_path / "other"), "-o", str(tmp_path / "out"), "--json"]
    assert voxloom(line) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metric"] == ("auc" if task == "classification" else "mae")
    (difference,) = found["differences"]
    assert (difference["difference"]["value"], difference["p"]) == (0, 1)
    assert found["conclusions"][0].startswith("No difference was shown")
    assert (tmp_path / "out" / "compare.html").is_file()


def rounded(values: object) -> object:
    """JSON-able values with five digits of every number: answers that are read back from a table differ in the sixth."""
    return json.loads(json.dumps(values), parse_float=lambda text: round(float(text), 5))


def test_a_run_is_calibrated_for_another_site(
    made: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, root = made
    run, unseen, site = tmp_path / "run", str(root / "unseen" / "cases.csv"), tmp_path / "site"
    shutil.copytree(root / "run", run)
    site.mkdir()
    data = str(write_scans(site, task, range(60, 68)))
    before = json.loads((run / "calibration.json").read_text())
    assert voxloom(["calibrate", str(run), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert rounded({key: again[key] for key in before if key != "on"}) == rounded(
        {key: value for key, value in before.items() if key != "on"}
    )
    assert voxloom(["calibrate", str(run), "--data", data, "--promise", "0.8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["on"] == "cases"
    assert found["promise"] == 0.8
    key = "limit" if task == "classification" else "limits"
    assert found[key] != before[key]
    assert voxloom(["predict", str(run), str(site / "s60.nii.gz"), "-o", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "s60.json").read_text())["promise"] == 0.8
    for where, used in ((data, True), (unseen, False)):
        assert voxloom(["evaluate", str(run), where]) == 0
        warnings = json.loads((run / "summary.json").read_text())["test"].get("warnings", [])
        assert any("was used to calibrate the run" in warning for warning in warnings) == used
    assert voxloom(["calibrate", str(root / "run"), "--data", str(root / "data" / "cases.csv")]) == 2
    assert "have the same image file" in capsys.readouterr().err


@pytest.mark.drawn
def test_pictures_tell_target_and_answer(made: tuple[str, Path], tmp_path: Path) -> None:
    task, root = made
    opened = Run(root / "run")
    for name in ("batch", "results", "kernels"):
        assert voxloom(["show", name, str(opened.folder), "-o", str(tmp_path / f"{name}.png")]) == 0
    batch, results = opened.show_batch(), opened.show_results()
    titles = [axes.get_title().replace("\n", " ") for axes in batch.axes]
    assert len(titles) == 3 * SMALL["training.batch"]
    rows = {row["case"]: row for row in csv.DictReader((opened.folder / "fold_0" / "metrics.csv").open())}
    spoken = [axes.get_title().replace("\n", " ") for axes in results.axes]
    told = {title.split(":")[0]: title for title in spoken if ": " in title}
    assert len(spoken) == 3 * len(told)
    assert set(told) == set(sorted(rows)[:4])
    for case, title in told.items():
        if task == "classification":
            assert any(word in titles[0] for word in ("target few", "target many"))
            assert f"truth {rows[case]['truth']}, answer {rows[case]['prediction']}" in title
        else:
            assert titles[0].startswith("target ")
            assert f"{float(rows[case]['truth']):.4g}, answer {float(rows[case]['prediction']):.4g}" in title


def test_every_score_of_a_task_is_found_by_a_sweep(made: tuple[str, Path]) -> None:
    name, root = made
    task, kept = task_named(TASKS[name]), summary(root)
    for score in task.scores:
        found = task.sweep_scores(kept, score)["score"]
        assert isinstance(found, float), score
    label = "f1.few" if name == "classification" else f"rmse.{next(iter(kept['validation']['targets']))}"
    assert isinstance(task.sweep_scores(kept, label)["score"], float)
    for wrong in ("dice", task.main_score + ".nobody"):
        with pytest.raises(BadInput, match=r"nobody|dice"):
            task.sweep_scores(kept, wrong)


@pytest.mark.drawn
def test_scans_get_worse(made: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task, root = made
    data = str(root / "unseen" / "cases.csv")
    for number, more in enumerate(([], [data])):
        out = tmp_path / f"out{number}"
        line = ["stress", str(root / "run"), *more, "--only", "noise,crop", "--cases", "4", "-o", str(out), "--json"]
        assert voxloom(line) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["figure"] == ("accuracy" if task == "classification" else "error")
        rows = list(csv.DictReader((out / "stress.csv").open()))
        assert len(rows) == 4 * (1 + 4 + 4)
        as_is = {row["case"]: float(row[found["figure"]]) for row in rows if not row["stress"]}
        kept = root / "run" / ("fold_0" if not more else "external/cases") / "metrics.csv"
        for row in csv.DictReader(kept.open()):
            if row["case"] in as_is:
                right = float(row["truth"] == row["prediction"]) if task == "classification" else None
                expected = right if right is not None else abs(float(row["truth"]) - float(row["prediction"]))
                assert as_is[row["case"]] == pytest.approx(expected, rel=1e-3)
        assert (out / "stress.html").is_file()


def test_a_run_is_resumed_repeated_and_shared(made: tuple[str, Path], tmp_path: Path) -> None:
    _, root = made
    data, again = str(root / "data" / "cases.csv"), tmp_path / "again"
    assert voxloom(["train", data, "-r", str(root / "run" / "repeat.yaml"), "-o", str(again)]) == 0
    first = json.loads((root / "run" / "summary.json").read_text())["folds"]["fold_0"]["weights_sha256"]
    assert json.loads((again / "summary.json").read_text())["folds"]["fold_0"]["weights_sha256"] == first
    shutil.rmtree(again / "fold_0" / "predictions")
    assert voxloom(["train", data, "-o", str(again), "--resume"]) == 0
    assert json.loads((again / "summary.json").read_text())["folds"]["fold_0"]["weights_sha256"] == first
    assert voxloom(["export", str(again), "--to", "zip", "-o", str(tmp_path / "shared.zip")]) == 0
    assert (
        voxloom(["train", data, "--find-lr", "-r", str(root / "run" / "recipe.yaml"), "-o", str(tmp_path / "lr")]) == 0
    )
    assert (tmp_path / "lr" / "find_lr.csv").is_file()


def test_a_key_of_another_task_is_refused(
    made: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, root = made
    told = ["--set", f"task={TASKS[task]}", "--set", "inference.mirror=[0]", "--set", "device=cpu"]
    assert voxloom(["train", str(root / "data" / "cases.csv"), "-o", str(tmp_path / "run"), *told]) == 2
    assert "`inference.mirror` is not used by a training on" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_task_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = write_scans(tmp_path, "regression", range(4))
    for name in ("segmentatoin", "tests.tasks.counting:NONE", "no.such.module:TASK"):
        assert voxloom(["train", str(data), "-o", str(tmp_path / "run"), "--set", f"task={name}"]) == 2
        said = capsys.readouterr().err
        assert name.split(":")[-1] in said or name in said
        assert not (tmp_path / "run").exists()


@pytest.mark.drawn
def test_explain(made: tuple[str, Path], tmp_path: Path) -> None:
    task, root = made
    words = ["explain", str(root / "run"), str(root / "unseen" / "s43.nii.gz"), "-o", str(tmp_path)]
    assert voxloom([*words, "--json"]) == 0
    (found,) = tmp_path.glob("s43_grad-cam_*.nii.gz")
    image = read_volume(found)
    assert image.shape == (16, 16, 12)
    assert np.isfinite(image.data).all()
    index = json.loads((root / "run" / "explained" / "index.json").read_text())
    assert index["cases"]
    assert "with maps of grad-cam" in (root / "run" / "report.html").read_text()
    losses = Run(root / "run").top_losses()
    assert losses[0].loss >= losses[-1].loss
    if task != "classification":
        assert losses[0].loss == pytest.approx(abs(float(losses[0].truth) - float(losses[0].answer)), rel=0.01)
        with pytest.raises(BadInput, match="which have no confusion matrix"):
            Run(root / "run").confusion_matrix()


@pytest.mark.drawn
def test_slices_of_cases_have_truth_and_answer_above_them(
    made: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Run(made[1] / "run")
    case = next(iter(run.fold_of))
    figure = show_slices(run, tmp_path / "slices.png", plane="coronal", case=case, label=None)
    titles = [axes.get_title() for axes in figure.axes]
    assert len(titles) == 8, "as many as are shown of 16"
    assert titles[0].replace("\n", " ").startswith(f"{case}: ")
    assert ["coronal" in title for title in titles] == [True] * 8
    assert (tmp_path / "slices.png").is_file()
    with pytest.raises(BadInput, match="no label maps"):
        show_slices(run, label="ball")
    assert voxloom(["show", "gallery", str(run.folder), "-o", str(tmp_path / "g.png")]) == 2
    assert "their slices: show slices" in capsys.readouterr().err
