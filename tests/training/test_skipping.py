"""Steps without a finite gradient: not taken, counted, named; the same after a resumption; too many end the training."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from voxloom.errors import VoxloomError
from voxloom.training import fit as fit_module
from voxloom.training.fit import fit
from voxloom.training.module import TrainingModule
from voxloom.training.skipping import (
    MOST_IN_A_ROW,
    Fault,
    SkippedSteps,
    gradient_fault,
    output_fault,
    skipped_sentence,
)
from voxloom.training.weights import load_weights

from .fakes import BallCase, ball_training

LAYER = "bottleneck.conv2.conv"


pytestmark = pytest.mark.usefixtures("one_thread")


def spoil(module: TrainingModule, layer: str, at: Callable[[int], bool]) -> None:
    """The gradient of one layer's weights is not finite in some steps, as that of a wrong kernel."""
    weight = next(p for name, p in module.network.named_parameters() if layer in name)
    weight.register_hook(lambda g: torch.full_like(g, math.nan) if at(module.pace.step) else g)


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[int]], None]:
    build = fit_module.build_module

    def ask(steps: Iterable[int]) -> None:
        wanted = set(steps)

        def built(*args: object, **options: object) -> TrainingModule:
            module = build(*args, **options)
            spoil(module, LAYER, lambda step: step in wanted)
            return module

        monkeypatch.setattr(fit_module, "build_module", built)

    return ask


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "skipped.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_step_is_left_out_counted_and_named(tmp_path: Path, spoiled: Callable[[Iterable[int]], None]) -> None:
    spoiled([4, 11])
    outcome = fit(ball_training(tmp_path, steps=24), device="cpu")
    assert outcome.steps == 24
    assert [row["step"] for row in rows(tmp_path)] == ["5", "12"]
    assert {(row["precision"], row["what"]) for row in rows(tmp_path)} == {("fp32", "gradient")}
    assert all(LAYER in row["layer"] for row in rows(tmp_path))
    assert list(outcome.skipped.values()) == [2]
    assert LAYER in skipped_sentence(outcome.skipped, outcome.steps)
    assert "2 of 24 steps were skipped" in skipped_sentence(outcome.skipped, outcome.steps)
    weights, _ = load_weights(tmp_path)
    assert all(bool(torch.isfinite(w).all()) for w in weights.values())


def test_without_a_fault_nothing_is_written(tmp_path: Path) -> None:
    assert fit(ball_training(tmp_path, steps=3), device="cpu").skipped == {}
    assert not (tmp_path / "skipped.csv").exists()


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon", "ranger", "sgd"])
def test_a_skipped_step_moves_neither_weights_nor_norms(
    tmp_path: Path, spoiled: Callable[[Iterable[int]], None], optimizer: str
) -> None:
    job = ball_training(tmp_path, steps=2, optimizer=optimizer, ema=0.0, weight_decay=0.1, validations=1)
    job = replace(job, network=job.network.model_copy(update={"norm": "batch"}))
    spoiled([0, 1])
    before = {k: v.clone() for k, v in fit_module.build_module(job, fit_module.Pace(2)).network.state_dict().items()}
    assert any("running_mean" in name for name in before)
    fit(job, device="cpu")
    weights, _ = load_weights(tmp_path)
    assert all(torch.equal(weights[name], before[name]) for name in before)


def test_a_resumed_training_counts_and_ends_as_one_that_never_stopped(
    tmp_path: Path, spoiled: Callable[[Iterable[int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spoiled([3, 4, 8, 9, 15])
    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    whole = fit(ball_training(tmp_path / "whole"), device="cpu")

    class Killed(Exception):
        pass

    def kill(now: int, *others: object) -> None:
        if now == 9:
            raise Killed

    with pytest.raises(Killed):
        fit(ball_training(tmp_path / "cut"), device="cpu", reporter=kill)
    resumed = fit(ball_training(tmp_path / "cut"), device="cpu", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256
    assert resumed.skipped == whole.skipped
    assert (tmp_path / "cut/skipped.csv").read_text() == (tmp_path / "whole/skipped.csv").read_text()


def test_the_count_in_a_row_survives_a_resumption() -> None:
    one = SkippedSteps()
    for step in range(MOST_IN_A_ROW - 1):
        one.add(step, Fault("gradient", "layer"), "bf16", nn.Linear(1, 1))
    other = SkippedSteps()
    other.load_state_dict(one.state_dict())
    with pytest.raises(VoxloomError, match="in layer, computed in bf16"):
        other.add(9, Fault("gradient", "layer"), "bf16", nn.Linear(1, 1))
    old = SkippedSteps()
    old.load_state_dict({})  # a checkpoint of an earlier version
    assert (old.rows, old.in_a_row) == ([], 0)


def test_many_in_a_row_end_the_training_naming_layer_and_precision_not_the_rate(
    tmp_path: Path, spoiled: Callable[[Iterable[int]], None]
) -> None:
    spoiled(range(5, 100))
    with pytest.raises(VoxloomError) as caught:
        fit(ball_training(tmp_path, steps=40), device="cpu")
    assert LAYER in str(caught.value)
    assert "fp32" in str(caught.value)
    assert "10 steps in a row" in str(caught.value)
    assert "learning_rate" not in str(caught.value)
    assert len(rows(tmp_path)) == MOST_IN_A_ROW
    with pytest.raises(VoxloomError, match=r"training\.precision to fp32"):
        SkippedSteps(in_a_row=9).add(1, Fault("gradient", "layer"), "bf16", nn.Linear(1, 1))


def test_a_few_in_a_row_do_not(tmp_path: Path, spoiled: Callable[[Iterable[int]], None]) -> None:
    spoiled(n for n in range(24) if n % MOST_IN_A_ROW)  # nine in a row, then one
    assert sum(fit(ball_training(tmp_path, steps=24), device="cpu").skipped.values()) == 21


class HollowCase(BallCase):
    """A case whose image holds NaN."""

    def image(self, slices=None):
        return np.full_like(super().image(slices), np.nan)


def test_one_image_of_nan_costs_its_steps_only(tmp_path: Path) -> None:
    job = ball_training(tmp_path, steps=12, batch=1)
    job = replace(job, train={**job.train, "hollow": HollowCase(9)})
    outcome = fit(job, device="cpu")
    assert list(outcome.skipped) == ["the image, fp32"]
    assert math.isfinite(float((tmp_path / "log.csv").read_text().splitlines()[-1].split(",")[4]))
    only = replace(job, folder=tmp_path / "only", train={"hollow": HollowCase(9)})
    with pytest.raises(VoxloomError, match="images hold numbers that are not finite"):
        fit(only, device="cpu")


def test_where_a_fault_arises() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Identity(), nn.Linear(3, 1))
    x = torch.ones(4, 2)
    network[1].register_forward_hook(lambda m, i, o: o * math.inf)
    assert output_fault(network, x) == Fault("output", "1")
    assert output_fault(network, x * math.nan) == Fault("image", "the image")
    assert output_fault(nn.Sequential(nn.Linear(2, 3)), x) == Fault("output", "the loss")
    network[2].weight.data.fill_(math.nan)
    assert output_fault(network, x) == Fault("weights", "2")
    for weight in network.parameters():
        weight.grad = torch.ones_like(weight)
    network[0].weight.grad.mul_(1e30)
    assert gradient_fault(network) == Fault("gradient", "0")
    network[0].weight.grad.fill_(math.nan)
    network[2].bias.grad.fill_(math.nan)
    assert gradient_fault(network) == Fault("gradient", "2")
