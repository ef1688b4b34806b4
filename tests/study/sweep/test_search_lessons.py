"""What a random search teaches: best trials, importance, sweeps of landmark runs, the shipped search, learning curves by CLI."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.sweep import Sweep, run_sweep
from voxloom.sweep.trial import Job, Record, run_trial
from voxloom.tasks.landmarks.scores import read_point_scores
from voxloom.verbs.train import train

from ..conftest import TINY, write_balls
from ..test_landmarks import RECIPE, write_scans
from .fakes import FakeWorkers

SEARCH = {
    "search": "random",
    "trials": 12,
    "over": {
        "training.learning_rate": {"low": 1e-4, "high": 1.0, "log": True},
        "training.batch": {"low": 1, "high": 8},
    },
    "tables": {"best": 5},
}


def score(levels: dict[str, Any]) -> float | str:
    if levels["training.learning_rate"] > 0.5:
        return "the loss is not a number"
    return 0.1 * float(levels["training.batch"]) + 0.001 * float(levels["training.learning_rate"])


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("search ö")
    write_balls(root / "balls", 4)
    sweep = Sweep.check({"data": "balls", "set": {**TINY, "training.steps": 2}, **SEARCH}, root / "s.yaml")
    result = run_sweep(sweep, root / "out", lambda: FakeWorkers(score))
    assert result.lesson is not None
    assert result.lesson.importance is not None
    assert result.lesson.importance.weights[0].factor == "training.batch"
    return root / "out"


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.open(encoding="utf-8")))


def test_a_search_writes_its_best_trials_and_what_mattered(searched: Path) -> None:
    best = rows(searched / "best.csv")
    everything = sorted((float(r["dice"]) for r in rows(searched / "table.csv") if r["dice"]), reverse=True)
    assert [float(r["dice"]) for r in best] == everything[:5]
    assert list(best[0]) == ["trial", "dice", "training.learning_rate", "training.batch"]
    weights = {r["factor"]: r for r in rows(searched / "importance.csv")}
    assert set(weights) == {"training.batch", "log10(training.learning_rate)"}
    assert float(weights["training.batch"]["coefficient"]) == pytest.approx(0.1, abs=1e-3)
    assert float(weights["training.batch"]["p"]) < 1e-6


def test_the_command_computes_the_same_from_the_table(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["importance", str(searched / "table.csv"), "--score", "dice"]
    asked += ["--factors", "training.learning_rate,training.batch", "--log", "training.learning_rate"]
    assert voxloom([*asked, "--best", "5", "-o", str(tmp_path / "w.csv")]) == 0
    assert (tmp_path / "w.csv").read_text() == (searched / "importance.csv").read_text()
    printed = capsys.readouterr().err
    assert "weight per SD" in printed
    assert "p < .001" in printed
    assert voxloom([*asked, "--json", "--best", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"][0]["dice"] == max(float(r["dice"]) for r in rows(searched / "table.csv") if r["dice"])
    assert voxloom([*asked, "--goal", "min"]) == 2
    assert voxloom(["importance", str(searched / "table.csv"), "--score", "dise", "--factors", "training.batch"]) == 2


def test_few_trials_have_best_ones_but_no_importance(tmp_path: Path) -> None:
    write_balls(tmp_path / "balls", 4)
    sweep = Sweep.check({"data": "balls", "set": TINY, **SEARCH, "trials": 3}, tmp_path / "s.yaml")
    result = run_sweep(sweep, tmp_path / "out", lambda: FakeWorkers(score))
    assert result.lesson is not None
    assert result.lesson.importance is None
    assert "cannot explain" in str(result.lesson.reason)
    assert (tmp_path / "out" / "best.csv").is_file()
    assert not (tmp_path / "out" / "importance.csv").exists()


def test_landmark_runs_are_swept_by_recall_over_training_sizes(tmp_path: Path) -> None:
    write_scans(tmp_path / "scans", 8)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    asked = {"data": "scans", "recipe": "tiny.yaml", "set": {"training.steps": 2, "training.validations": 1}}
    sweep = Sweep.check({**asked, "over": {"folds.train_patients": [2, 4]}}, tmp_path / "s.yaml")
    assert sweep.score == "recall"
    trained = {}
    (tmp_path / "out" / "trials").mkdir(parents=True)
    for number, size in enumerate((2, 4), start=1):
        changes = {"folds.train_patients": size}
        job = Job(str(tmp_path / "out"), number, changes, changes, str(sweep.data), sweep.base.dump(), sweep.score)
        run_trial(job)
        record = Record.read(job.record)
        assert record.status == "finished", record.error
        assert record.score == record.scores["score"]
        assert {"recall.L1", "missed", "shifted"} <= set(record.scores)
        (fold,) = json.loads((job.run / "splits_final.json").read_text())
        trained[size] = (set(fold["train"]), set(fold["val"]))
    assert [len(trained[n][0]) for n in (2, 4)] == [2, 4]
    assert trained[2][0] < trained[4][0], "smaller sets are parts of larger ones"
    assert trained[2][1] == trained[4][1], "all sizes are scored on the same cases"
    with pytest.raises(BadInput, match="patients to train on, not 9"):
        train(sweep.data, sweep.base.changed({"folds.train_patients": 9}), out=tmp_path / "nine")


def test_scores_of_a_landmark_run() -> None:
    level = {"recall": 0.5, "distance_mean": float("nan")}
    everything = {"recall": 0.75, "distance_mean": 2.5, "missed": 1, "shifted": 0, "invented": 2}
    summary = {"validation": {"all": everything, "levels": {"L1": level}}}
    assert read_point_scores(summary, "recall") == {
        "score": 0.75, "missed": 1.0, "shifted": 0.0, "invented": 2.0, "recall.L1": 0.5,
    }  # fmt: skip
    assert read_point_scores(summary, "recall.L1")["score"] == 0.5
    assert read_point_scores(summary, "distance_mean.L1")["score"] is None
    for wrong, says in (("dice", "no figure `dice`"), ("recall.L9", "no level `L9`")):
        with pytest.raises(BadInput, match=says):
            read_point_scores(summary, wrong)
    with pytest.raises(BadInput, match="no case was held out"):
        read_point_scores({}, "recall")


def test_the_published_search_is_shipped() -> None:
    from importlib import resources

    path = Path(str(resources.files("voxloom") / "recipes" / "sweeps" / "foramina-singlenet-search.yaml"))
    sweep = Sweep.load(path)
    factors = {factor.name: factor for factor in sweep.factors}
    assert (sweep.trials, sweep.search, sweep.base.budget, sweep.tables.best) == (51, "random", "3h", 20)
    assert [int(n) for n in factors["patch"].levels] == list(range(33, 482, 32))
    assert sweep.base.changed(factors["patch"].changes("481")).training["patch"] == [481, 481, 3]
    ranges = {name: (f.range.low, f.range.high) for name, f in factors.items() if f.range}
    assert ranges == {
        "training.batch": (2, 6),
        "landmarks.levels": (2, 5),
        "landmarks.channels": (2, 16),
        "landmarks.dropout": (0, 0.6),
    }
    assert Recipe.load(sweep.recipe).landmarks["network"] == "singlenet"


@pytest.mark.drawn
def test_a_learning_curve_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["folds.train_patients,recall", *(f"{n},{0.98 - 0.6 * n**-0.7:.6f}" for n in (5, 10, 20, 40))]
    (tmp_path / "table.csv").write_text("\n".join(lines))
    asked = ["curve", str(tmp_path / "table.csv"), "--score", "recall"]
    assert voxloom([*asked, "-o", str(tmp_path / "curve.png")]) == 0
    printed = capsys.readouterr()
    assert "1 - recall = 0.02" in printed.err
    assert "80 " in printed.err
    assert "fitted trend" in (tmp_path / "curve.svg").read_text()
    assert (tmp_path / "curve.png").stat().st_size > 2000
    assert voxloom([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trend"]["rate"] == pytest.approx(0.7, abs=0.02)
    assert voxloom([*asked, "--size", "scans"]) == 2
