"""Where figures go beside log.csv: JSON lines, MLflow's file store, Weights & Biases; one line where a package is absent."""

from __future__ import annotations

import csv
import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

from voxloom.cli.app import run
from voxloom.errors import MissingExtra
from voxloom.training import trackers
from voxloom.training.fit import fit
from voxloom.training.trackers import loggers, refuse_absent

from .fakes import ball_training

pytestmark = pytest.mark.usefixtures("one_thread")


def log_of(folder: Path) -> list[dict[str, float]]:
    rows = csv.DictReader((folder / "log.csv").open())
    return [{name: float(value) for name, value in row.items()} for row in rows]


def test_json_lines_hold_the_rows_of_the_log(tmp_path: Path) -> None:
    fit(ball_training(tmp_path, steps=4, validations=2, trackers=("jsonl",)), device="cpu")
    first, *rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert first["settings"]["steps"] == 4
    assert [row["step"] for row in rows] == [2, 4]
    for row, logged in zip(rows, log_of(tmp_path), strict=True):
        assert row["val_dice"] == pytest.approx(logged["val_dice"], rel=1e-4)
        assert row["train_loss"] == pytest.approx(logged["train_loss"], rel=1e-4)


class Killed(Exception):
    """Ends a training at once."""


def test_mlflow_gets_the_rows_of_the_log_and_one_run_when_a_training_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    fold = tmp_path / "my-run" / "fold_0"
    job = ball_training(fold, steps=4, validations=2, trackers=("mlflow",))

    def stop(now: int, *_: object) -> None:
        if now == 3:
            raise Killed

    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        fit(job, device="cpu", reporter=stop)
    fit(job, device="cpu", resume=True)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"file:{tmp_path / 'my-run' / 'mlruns'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "my-run"]
    (made,) = client.search_runs([experiment.experiment_id])
    assert made.info.run_name == "fold_0"
    assert made.data.params["steps"] == "4"
    told = {(one.step, round(one.value, 4)) for one in client.get_metric_history(made.info.run_id, "val_dice")}
    assert {(int(row["step"]), round(row["val_dice"], 4)) for row in log_of(fold)} == told
    assert {step for step, _ in told} == {2, 4}


class FakeWandb:
    """Stands in for Lightning's logger of Weights & Biases: notes what it was made with and told."""

    made: list[Any] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        self.options, self.told = options, dict[str, Any]()
        self.made.append(self)

    def log_hyperparams(self, params: dict[str, Any]) -> None:
        self.told = params


def test_wandb_is_offline_and_continues_its_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.pytorch.loggers.WandbLogger", FakeWandb)
    monkeypatch.setattr(trackers, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.delenv("WANDB_MODE", raising=False)
    folder = tmp_path / "my-run" / "fold_1"
    loggers(folder, ("wandb",), {"steps": 4})
    monkeypatch.setenv("WANDB_MODE", "online")
    loggers(folder, ("wandb",), {"steps": 4})
    first, second = (one.options for one in FakeWandb.made)
    assert (first["offline"], second["offline"]) == (True, False)
    assert first["project"] == "my-run"
    assert first["name"] == "fold_1"
    assert first["id"] == second["id"]
    assert FakeWandb.made[0].told == {"steps": 4}


@pytest.mark.parametrize(("name", "part"), [("mlflow", "MLflow"), ("wandb", "Weights & Biases")])
def test_an_absent_package_names_its_extra(name: str, part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trackers, "find_spec", lambda module: None)
    with pytest.raises(
        MissingExtra, match=rf"{part} is not installed. Install it with: pip install 'voxloom\[{name}\]'"
    ):
        refuse_absent([name])
    refuse_absent(["jsonl"])


def test_the_command_line_takes_known_trackers(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["train", str(tmp_path), "--tracker", "comet", "-o", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "training.trackers" in error
    assert "jsonl" in error
    assert run(["train", str(tmp_path), "--tracker", "jsonl", "--resume", "-o", str(tmp_path / "run")]) == 2
    assert "Leave --tracker out" in capsys.readouterr().err
