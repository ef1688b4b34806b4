"""Sweeps: searches, records, resumption, failures, tables; then one with real trainings in processes of their own."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.sweep import Sweep, run_sweep
from voxloom.sweep.trial import Job
from voxloom.sweep.workers import LocalWorkers
from voxloom.tasks.segmentation.scores import read_scores

from ..conftest import TINY, write_balls
from .fakes import FakeWorkers, Score, kill_in_second_fold

TPE = {"over": {"training.learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "kind": {"a": {}, "b": {}}}}
GRID = {"over": {"training.batch": [1, 2, 3], "plane": {"sagittal": {"seed": 1}, "axial": {"seed": 2}}}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_balls(tmp_path_factory.mktemp("sweep data é") / "balls", 4)


def sweep_of(data: Path, **changes: Any) -> Sweep:
    return Sweep.check({"data": str(data), "set": {**TINY, "training.steps": 2}, **changes}, Path("sweep.yaml"))


def carried_out(sweep: Sweep, out: Path, score: Score, **options: Any) -> tuple[Any, FakeWorkers]:
    slots, stop = options.pop("slots", 1), options.pop("stop_after", None)
    workers = FakeWorkers(score, slots, stop)
    return run_sweep(sweep, out, lambda: workers, **options), workers


def by_batch(levels: dict[str, Any]) -> float:
    return 0.1 * int(levels["training.batch"]) + (0.5 if levels["plane"] == "sagittal" else 0.0)


def table(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "table.csv").open(encoding="utf-8")))


def test_grid_runs_every_combination_and_tabulates(data: Path, tmp_path: Path) -> None:
    sweep = sweep_of(data, **GRID, tables={"across": "plane", "merge": {"training.batch": {"few": ["1", "2"]}}})
    result, workers = carried_out(sweep, tmp_path / "out", by_batch)
    assert [job.changes for job in workers.jobs][:2] == [{"training.batch": 1, "seed": n} for n in (1, 2)]
    assert len(result.records) == 6
    assert result.best is not None
    assert result.best.levels == {"training.batch": "3", "plane": "sagittal"}
    overall, batches, merged = result.tables
    assert overall.columns == ("sagittal", "axial")
    assert list(batches.levels) == ["1", "2", "3"]
    assert merged.levels["few"]["sagittal"].mean == pytest.approx(0.65)
    assert merged.levels["few"]["axial"].n == 2
    for ending in (".txt", ".csv", ".tex", ".json"):
        assert (tmp_path / "out" / f"tables{ending}").stat().st_size > 20
    assert table(tmp_path / "out")[0]["dice"] == "0.6"


def test_a_failed_run_is_recorded_and_the_others_go_on(data: Path, tmp_path: Path) -> None:
    def score(levels: dict[str, Any]) -> float | str:
        return {"1": 0.5, "2": "the loss is not a number", "3": "died"}[levels["training.batch"]]

    result, _ = carried_out(sweep_of(data, over={"training.batch": [1, 2, 3]}), tmp_path / "out", score)
    assert [r.status for r in result.records] == ["finished", "failed", "failed"]
    assert [row["error"] for row in table(tmp_path / "out")] == ["", "the loss is not a number", "its process died"]
    assert result.tables[0].levels["all"]["dice"].missing == 2
    again, workers = carried_out(
        sweep_of(data, over={"training.batch": [1, 2, 3]}), tmp_path / "out", lambda _: 0.9, resume=True
    )
    assert workers.jobs == []
    again, workers = carried_out(
        sweep_of(data, over={"training.batch": [1, 2, 3]}),
        tmp_path / "out",
        lambda _: 0.9,
        resume=True,
        retry_failed=True,
    )
    assert [job.number for job in workers.jobs] == [2, 3]
    assert [r.score for r in again.records] == [0.5, 0.9, 0.9]


def test_all_failed_gives_no_tables(data: Path, tmp_path: Path) -> None:
    result, _ = carried_out(sweep_of(data, over={"seed": [1]}), tmp_path / "out", lambda _: "no")
    assert result.best is None
    assert result.tables == []


def objective(levels: dict[str, Any]) -> float:
    return -abs(math.log10(levels["training.learning_rate"]) + 2) - (levels["kind"] == "b")


def test_tpe_comes_nearer_than_random(data: Path, tmp_path: Path) -> None:
    found = {}
    for search in ("random", "tpe"):
        sweep = sweep_of(data, **TPE, search=search, trials=30)
        result, _ = carried_out(sweep, tmp_path / search, objective)
        found[search] = sum(r.score for r in result.records[15:])
    assert found["tpe"] > 0.75 * found["random"]


def test_goal_min_looks_for_the_smallest(data: Path, tmp_path: Path) -> None:
    for n, goal in enumerate(({"goal": "min"}, {})):  # a distance knows its goal
        result, _ = carried_out(sweep_of(data, **GRID, score="hd95", **goal), tmp_path / f"out{n}", by_batch)
        assert result.best is not None
        assert result.best.levels == {"training.batch": "1", "plane": "axial"}


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_an_interrupted_search_goes_on_as_if_it_had_not_been(data: Path, tmp_path: Path, search: str) -> None:
    sweep = sweep_of(data, **TPE, search=search, trials=15)
    whole, _ = carried_out(sweep, tmp_path / "whole", objective)
    with pytest.raises(KeyboardInterrupt):
        carried_out(sweep, tmp_path / "parts", objective, stop_after=12)
    assert json.loads((tmp_path / "parts" / "trials" / "0013.json").read_text())["status"] == "running"
    parts, workers = carried_out(sweep, tmp_path / "parts", objective, resume=True)
    assert [job.number for job in workers.jobs] == [13, 14, 15]
    assert [r.levels for r in parts.records] == [r.levels for r in whole.records]


def test_more_trials_extend_a_search(data: Path, tmp_path: Path) -> None:
    carried_out(sweep_of(data, **TPE, search="random", trials=3), tmp_path / "out", objective)
    more, workers = carried_out(
        sweep_of(data, **TPE, search="random", trials=5), tmp_path / "out", objective, resume=True, slots=2
    )
    assert len(more.records) == 5
    assert len(workers.jobs) == 2


def test_folders_that_are_refused(data: Path, tmp_path: Path) -> None:
    sweep = sweep_of(data, **GRID)
    with pytest.raises(BadInput, match="no sweep was begun"):
        carried_out(sweep, tmp_path / "out", by_batch, resume=True)
    carried_out(sweep, tmp_path / "out", by_batch)
    with pytest.raises(BadInput, match="not empty"):
        carried_out(sweep, tmp_path / "out", by_batch)
    with pytest.raises(BadInput, match="`over` differs"):
        carried_out(sweep_of(data, over={"seed": [1]}), tmp_path / "out", by_batch, resume=True)
    (tmp_path / "mine.yaml").write_text("seed: 1")
    carried_out(sweep_of(data, **GRID, recipe=str(tmp_path / "mine.yaml")), tmp_path / "mine", by_batch)
    (tmp_path / "mine.yaml").write_text("seed: 3")
    with pytest.raises(BadInput, match="`recipe` differs"):
        carried_out(
            sweep_of(data, **GRID, recipe=str(tmp_path / "mine.yaml")), tmp_path / "mine", by_batch, resume=True
        )
    with pytest.raises(BadInput, match="does not exist|no such"):
        carried_out(sweep_of(tmp_path / "nothing", **GRID), tmp_path / "new", by_batch)
    assert not (tmp_path / "new").exists()


def test_damaged_record_is_named(data: Path, tmp_path: Path) -> None:
    carried_out(sweep_of(data, over={"seed": [1]}), tmp_path / "out", lambda _: 0.5)
    (tmp_path / "out" / "trials" / "0001.json").write_text("{")
    with pytest.raises(BadInput, match="0001.json"):
        carried_out(sweep_of(data, over={"seed": [1]}), tmp_path / "out", lambda _: 0.5, resume=True)


SUMMARY = {
    "validation": {
        "dice": {"a": {"mean": 0.8, "sd": 0.1, "median": 0.7}, "mean": {"mean": 0.9, "sd": 0.2, "median": 0.6}},
        "kinds": {},
        "robustness": {"mean": {"sd_folds": 0.03}},
    }
}


def test_scores_of_a_run() -> None:
    assert read_scores(SUMMARY, "dice") == {
        "score": 0.9, "sd_cases": 0.2, "sd_folds": 0.03, "dice.a": 0.8, "dice.mean": 0.9,
    }  # fmt: skip
    assert read_scores(SUMMARY, "dice.a.median")["score"] == 0.7
    for wrong, message in (("dise", "There are dice"), ("dice.b", "There are a, mean"), ("dice.a.max", "a.max")):
        with pytest.raises(BadInput, match=message):
            read_scores(SUMMARY, wrong)
    with pytest.raises(BadInput, match="no case was held out"):
        read_scores({}, "dice")


def test_real_runs_in_processes(data: Path, tmp_path: Path) -> None:
    """A process is killed in its second fold, the next trial is refused by the training; a resumption mends the first."""
    over = {"size": {"small": {"folds.count": 2}, "many": {"folds.count": 9}}}
    sweep = sweep_of(data, over=over)
    workers = Killer(1)
    result = run_sweep(sweep, tmp_path / "out ü", lambda: workers)
    assert [r.status for r in result.records] == ["failed", "failed"]
    assert "died" in str(result.records[0].error)
    assert "9 folds of 4 patients" in str(result.records[1].error)
    weights = tmp_path / "out ü" / "runs" / "0001" / "fold_0" / "model.safetensors"
    written = weights.stat().st_mtime_ns
    result = run_sweep(sweep, tmp_path / "out ü", lambda: workers, resume=True, retry_failed=True)
    LocalWorkers.close(workers)
    assert workers.killed == 1
    assert [r.status for r in result.records] == ["finished", "failed"]
    assert weights.stat().st_mtime_ns == written, "the finished fold was trained again"
    assert [path.name for path in weights.parent.glob("*.ckpt")] == [], "a finished run keeps no checkpoint"
    assert Recipe.load(tmp_path / "out ü" / "runs" / "0001" / "recipe.yaml").folds.count == 2
    row = table(tmp_path / "out ü")[0]
    assert float(row["dice"]) == pytest.approx(result.records[0].score)
    assert row["sd_folds"] != ""
    assert row["dice.bright"] != ""


class Killer(LocalWorkers):
    """Kills the process of the first trial once, when that has finished a fold. Stays open for a second session."""

    killed = 0

    def wait(self) -> list[tuple[Job, str | None]]:
        job = next(iter(self.busy.values()))[0]
        if job.number == 1 and not self.killed:
            kill_in_second_fold(job)
            self.killed += 1
        return super().wait()

    def close(self) -> None:
        pass
