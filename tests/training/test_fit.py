"""One training: it learns, it repeats bit for bit, it resumes bit for bit, it refuses what it must."""

from __future__ import annotations

import csv
import math
import os
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from voxloom.errors import BadInput, VoxloomError
from voxloom.training import timing
from voxloom.training.callbacks import Save
from voxloom.training.checkpoint import read_checkpoint
from voxloom.training.fit import fit
from voxloom.training.log import TrainingLog
from voxloom.training.timing import seconds_per_step
from voxloom.training.weights import load_weights

from .fakes import ball_training

pytestmark = pytest.mark.usefixtures("one_thread")


class Killed(Exception):
    """Stands in for kill -9: nothing may be saved after it."""


def killed_at(step: int):
    def report(now: int, steps: int, left: float, loss: float, dice: dict[str, float]) -> None:
        if now == step:
            raise Killed

    return report


def test_training_learns_the_ball(tmp_path: Path) -> None:
    outcome = fit(ball_training(tmp_path, steps=120), device="cpu")
    assert outcome.steps == 120
    assert outcome.best_dice > 0.85


def test_same_seed_same_weights_and_other_seed_others(tmp_path: Path) -> None:
    one = fit(ball_training(tmp_path / "one"), device="cpu")
    two = fit(ball_training(tmp_path / "two"), device="cpu")
    other = fit(ball_training(tmp_path / "other", seed=1), device="cpu")
    assert one.weights_sha256 == two.weights_sha256
    assert one.weights_sha256 != other.weights_sha256


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("kill", [5, 17])
def test_resumed_run_ends_in_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill: int, optimizer: str
) -> None:
    whole = fit(ball_training(tmp_path / "whole", optimizer=optimizer), device="cpu")
    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        fit(ball_training(tmp_path / "killed", optimizer=optimizer), device="cpu", reporter=killed_at(kill))
    assert read_checkpoint(tmp_path / "killed" / "last.ckpt")["module"]["pace"]["step"] < 24
    resumed = fit(ball_training(tmp_path / "killed", optimizer=optimizer), device="cpu", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "killed")]
    without_seconds = [[line.split(",")[:1] + line.split(",")[2:] for line in log] for log in logs]
    assert without_seconds[0] == without_seconds[1]


def test_log_has_a_row_per_validation_and_ends_at_the_last_step(tmp_path: Path) -> None:
    fit(ball_training(tmp_path), device="cpu")
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "step,seconds,epoch,lr,train_loss,val_dice,val_dice_ball,val_loss"
    assert [int(line.split(",")[0]) for line in lines[1:]] == [8, 16, 24]


def test_finished_training_is_extended_by_a_longer_budget(tmp_path: Path) -> None:
    first = fit(ball_training(tmp_path), device="cpu")
    longer = fit(ball_training(tmp_path), device="cpu", resume=True, budget=first.seconds + 2.0)
    assert longer.steps > first.steps
    assert read_checkpoint(tmp_path / "last.ckpt")["module"]["pace"]["step"] == longer.steps


def test_finished_training_without_time_left_is_refused(tmp_path: Path) -> None:
    fit(ball_training(tmp_path), device="cpu")
    with pytest.raises(BadInput, match="already used this budget"):
        fit(ball_training(tmp_path), device="cpu", resume=True, budget=0.001)


def test_budget_shortens_the_run(tmp_path: Path) -> None:
    outcome = fit(ball_training(tmp_path, steps=100_000), device="cpu", budget=4.0)
    assert outcome.steps < 5000
    assert outcome.pace[-1][1] == outcome.steps
    assert outcome.pace[0][0] < 100_000 // 50, (
        "the first correction waits for the clock, not for a fiftieth of all steps"
    )


def test_recorded_pace_repeats_a_budgeted_run(tmp_path: Path) -> None:

    first = fit(ball_training(tmp_path / "a", steps=3000), device="cpu", budget=3.0)
    again = fit(replace(ball_training(tmp_path / "b", steps=3000), pace=first.pace), device="cpu")
    assert again.weights_sha256 == first.weights_sha256


def test_early_stopping(tmp_path: Path) -> None:
    job = ball_training(tmp_path, steps=400, validations=40, patience=2, learning_rate=1e-9, ema=0.0)
    assert fit(job, device="cpu").steps < 400


@pytest.mark.parametrize("validations", [20, 40])
def test_patience_in_epochs_does_not_depend_on_how_often_is_validated(tmp_path: Path, validations: int) -> None:
    """Six cases, two per step: three steps an epoch. Nothing gets better, so five epochs after the first validation it ends."""
    job = ball_training(
        tmp_path, steps=240, validations=validations, patience_epochs=5, learning_rate=1e-12, ema=0.0, batch=2
    )
    ended = fit(job, device="cpu").steps
    first = 240 // validations
    assert first + 15 - 3 <= ended <= first + 15 + first
    rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
    assert len(rows) == pytest.approx(ended / first, abs=1)


def test_the_last_weights_are_kept_where_the_recipe_says_so(tmp_path: Path) -> None:
    """The rate is so high at the end that the best weights are not the last ones."""
    hashes = {}
    for keep in ("best", "last"):
        job = ball_training(
            tmp_path / keep, steps=30, validations=6, keep=keep, ema=0.0, learning_rate=0.3, schedule="constant"
        )
        hashes[keep] = fit(job, device="cpu").weights_sha256
        scores = [float(row.split(",")[5]) for row in (tmp_path / keep / "log.csv").read_text().splitlines()[1:]]
    assert scores[-1] < max(scores), "the test needs a training whose last validation is not its best"
    assert hashes["best"] != hashes["last"]


def test_a_limit_of_0_does_not_limit_the_gradient(tmp_path: Path) -> None:
    free, wide, tight = (
        fit(ball_training(tmp_path / str(limit), steps=6, gradient_clip=limit, optimizer="sgd"), device="cpu")
        for limit in (0.0, 1e9, 1e-3)
    )
    assert free.weights_sha256 == wide.weights_sha256 != tight.weights_sha256


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_saves_and_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    def interrupt(now: int, steps: int, left: float, loss: float, dice: dict[str, float]) -> None:
        if now == 6:
            os.kill(os.getpid(), number)

    whole = fit(ball_training(tmp_path / "whole"), device="cpu")
    with pytest.raises(KeyboardInterrupt):
        fit(ball_training(tmp_path / "cut"), device="cpu", reporter=interrupt)
    saved = read_checkpoint(tmp_path / "cut" / "last.ckpt")["module"]["pace"]["step"]
    assert 6 <= saved < 24
    assert fit(ball_training(tmp_path / "cut"), device="cpu", resume=True).weights_sha256 == whole.weights_sha256


class Payload:
    """What a malicious checkpoint would carry."""

    def __reduce__(self):
        return (os.mkdir, ("pwned",))


def test_checkpoint_with_a_pickle_payload_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"network": Payload()}, tmp_path / "last.ckpt")
    with pytest.raises(BadInput, match="pickled object"):
        fit(ball_training(tmp_path), device="cpu", resume=True)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04cut"])
def test_damaged_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(BadInput, match="last.ckpt"):
        fit(ball_training(tmp_path), device="cpu", resume=True)


def test_weights_that_are_a_pickle_are_refused(tmp_path: Path) -> None:
    torch.save({"network": Payload()}, tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(BadInput, match="safetensors"):
        load_weights(tmp_path)


def test_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    job = ball_training(tmp_path, steps=200, learning_rate=1e12, gradient_clip=1e9, optimizer="sgd", ema=0.0)
    with pytest.raises(VoxloomError, match="not finite"):
        fit(job, device="cpu")


def test_checkpoint_is_written_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(ball_training(tmp_path), device="cpu")
    before = (tmp_path / "last.ckpt").read_bytes()

    def full(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", full)
    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    with pytest.raises(OSError, match="disk full"):
        fit(ball_training(tmp_path, steps=30), device="cpu")
    assert (tmp_path / "last.ckpt").read_bytes() == before
    assert not list(tmp_path.glob(".*part*"))
    assert Save is not None


def test_bfloat16_is_refused_and_not_timed_where_the_machine_emulates_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("voxloom.training.loop", "voxloom.training.timing"):
        monkeypatch.setattr(f"{module}.bf16_slowdown", lambda device: 200.0)
    job = ball_training(tmp_path, precision="bf16")
    with pytest.raises(BadInput, match="200 times slower.*training.precision=fp32"):
        fit(job, device="cpu")
    assert seconds_per_step(job, device="cpu") == math.inf


@pytest.mark.parametrize("loss", ["focal_tversky", {"kind": "tanimoto_ce", "mix": "product"}, "bce"])
def test_a_recipe_chooses_the_loss(tmp_path: Path, loss: object) -> None:
    other = fit(ball_training(tmp_path / "other", steps=8), device="cpu")
    chosen = fit(ball_training(tmp_path / "chosen", steps=8, loss=loss), device="cpu")
    assert chosen.weights_sha256 != other.weights_sha256


def test_weights_by_counts_are_the_rarest_label_over_each() -> None:
    from voxloom.dataset.labels import Label, Labels
    from voxloom.tasks.segmentation.training import count_weights

    class Counted:
        def label(self, slices: object = None) -> np.ndarray:
            return np.repeat([0, 1, 2, 3], [50, 30, 10, 7]).reshape(97, 1, 1)  # 3 is ignored

    plain = Labels((Label("a", (1,)), Label("b", (2,))), ignore=3)
    assert count_weights(plain, [Counted(), Counted()]) == [1.0, pytest.approx(1 / 3), 1.0]
    regions = Labels((Label("both", (1, 2)), Label("b", (2,))), ignore=3)
    assert count_weights(regions, [Counted()]) == [pytest.approx(0.25), 1.0]


def test_epochs_are_passes_over_the_training_cases(tmp_path: Path) -> None:
    job = ball_training(tmp_path, epochs=2.5, batch=4, validations=1)
    assert fit(job, device="cpu").steps == 4  # 15 patches
    assert ball_training(tmp_path).training.steps_for(1000) == 24


def test_weights_are_kept_only_for_the_least_gain(tmp_path: Path) -> None:
    scores = [0.1, 0.13, 0.149, 0.16, 0.15, 0.21]
    kept = {}
    for gain in (0.0, 0.05):
        log = TrainingLog(tmp_path / "log.csv", ["ball"], least_gain=gain)
        kept[gain] = []
        for score in scores:
            log.add([0, 0, 0, 0, 0, score, score])
            kept[gain].append(log.is_best())
    assert kept[0.0] == [True, True, True, True, False, True]
    assert kept[0.05] == [True, False, False, True, False, True]
    first = fit(ball_training(tmp_path / "strict", least_gain=2.0), device="cpu")
    best = fit(ball_training(tmp_path / "loose"), device="cpu")
    assert first.best_dice == best.best_dice
    assert first.weights_sha256 != best.weights_sha256, "no gain of 2 is possible: the first weights stay"


@pytest.mark.parametrize(("seconds", "steps", "found"), [(1.0, 6, 1.0), (4.0, 3, 4.0), (30.0, 1, 30.0)])
def test_a_plan_does_not_time_long_steps_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, steps: int, found: float
) -> None:
    clock, taken = [0.0], []

    def take(*_: object) -> None:
        clock[0] += seconds
        taken.append(clock[0])

    monkeypatch.setattr(timing, "take_step", take)
    monkeypatch.setattr(timing, "time", SimpleNamespace(perf_counter=lambda: clock[0], process_time=lambda: clock[0]))
    monkeypatch.setattr(timing, "OtherWork", lambda: SimpleNamespace(share=lambda: 0.0))
    job = ball_training(tmp_path)
    assert seconds_per_step(job, device="cpu") == found
    assert len(taken) == steps


@pytest.mark.parametrize(("others", "found"), [(0.05, 3.0), (0.6, 1.0)])
def test_a_busy_machine_plans_by_the_time_that_a_step_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: float, found: float
) -> None:
    clock, computed = [0.0], [0.0]

    def take(*_: object) -> None:
        clock[0] += 3.0
        computed[0] += 0.85  # one thread, which waits for 15 % of a quiet step

    monkeypatch.setattr(timing, "take_step", take)
    times = SimpleNamespace(perf_counter=lambda: clock[0], process_time=lambda: computed[0])
    monkeypatch.setattr(timing, "time", times)
    monkeypatch.setattr(timing, "OtherWork", lambda: SimpleNamespace(share=lambda: others))
    assert seconds_per_step(ball_training(tmp_path), device="cpu") == pytest.approx(found)


def test_validation_loss_and_distances_are_logged(tmp_path: Path) -> None:
    fit(ball_training(tmp_path, distances=True), device="cpu")
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert list(rows[0])[-3:] == ["val_loss", "val_hd", "val_hd95"]
    losses = [float(row["val_loss"]) for row in rows]
    assert 0 < losses[-1] < losses[0]
    assert 0 < float(rows[-1]["val_hd95"]) <= float(rows[-1]["val_hd"]) < 30


def test_hausdorff_distance_may_decide_and_must_be_measured(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="val_hd95"):
        fit(ball_training(tmp_path / "a", monitor="val_hd95"), device="cpu")
    job = ball_training(tmp_path / "b", monitor="val_hd95", distances=True, steps=6)
    fit(job, device="cpu")
    log = job.build_log()
    assert log.columns.index("val_hd95") == len(log.columns) - 1


def test_rows_of_earlier_versions_have_no_validation_loss(tmp_path: Path) -> None:
    log = ball_training(tmp_path).build_log()
    log.restore([[8, 1.0, 1.0, 0.01, 0.5, 0.6, 0.6]])
    assert math.isnan(log.rows[0][-1])
    assert (tmp_path / "log.csv").read_text().splitlines()[1].endswith("nan")
