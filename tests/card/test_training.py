"""Whole trainings on a pretended card: the weights of the processor, and no wait within a step."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.card.pretended import NAME, Mixed, Waits, pretended_card
from tests.training.fakes import ball_training
from tests.training.test_skipping import LAYER, rows
from voxloom.training import fit as fit_module
from voxloom.training.checkpoint import read_checkpoint
from voxloom.training.fit import fit
from voxloom.training.loop import Outcome
from voxloom.training.module import TrainingModule
from voxloom.training.weights import load_weights

OPTIMIZERS = ["adam", "adamw", "muon", "ranger", "sgd"]


def same_weights(one: Path, other: Path, tolerance: float = 1e-4) -> None:
    first, second = (load_weights(folder)[0] for folder in (one, other))
    assert first.keys() == second.keys()
    for name, weight in first.items():
        assert torch.allclose(weight, second[name], atol=tolerance), name


def waits_of_steps(waits: Waits) -> tuple[object, list[int]]:
    """A reporter, and how many waits had been by the end of every step."""
    marks: list[int] = []
    return (lambda *told: marks.append(len(waits.found))), marks


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_card_gives_the_weights_of_the_processor_and_no_step_waits_for_it(
    tmp_path: Path, card: Waits, optimizer: str
) -> None:
    settings = {"steps": 6, "validations": 1, "optimizer": optimizer, "ema": 0.8, "learning_rate": 0.003}
    reporter, marks = waits_of_steps(card)
    outcome = fit(ball_training(tmp_path / "card", **settings), device=NAME, reporter=reporter)
    fit(ball_training(tmp_path / "cpu", **settings), device="cpu")
    same_weights(tmp_path / "card", tmp_path / "cpu")
    assert (outcome.steps, len(marks)) == (6, 6)
    within = [place for _, place in card.found[marks[0] : marks[-2]]]
    if optimizer == "ranger":  # PyTorch has no kernel of it that could leave a step out: its gradient is judged at once
        assert {place.partition(":")[0] for place in within} <= {"training/module.py", "optim/ranger.py"}
    else:
        assert within == []


def test_the_same_card_finds_what_a_wrong_step_would_wait_for(tmp_path: Path, card: Waits) -> None:
    class Waiting(TrainingModule):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            assert float(loss) > 0
            return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_module, "TrainingModule", Waiting)
        reporter, marks = waits_of_steps(card)
        fit(ball_training(tmp_path, steps=4, validations=1), device=NAME, reporter=reporter)
    assert [what for what, _ in card.found[marks[0] : marks[-2]]] == ["aten::_local_scalar_dense"] * 2


def test_the_card_is_as_strict_as_a_real_one() -> None:
    with pretended_card() as waits:
        here, there = torch.ones(3), torch.ones(3, device=NAME)
        with pytest.raises(Mixed, match="same device"):
            _ = here + there
        assert (there + 1).device.type == NAME
        assert waits.found == []
        assert float(there.sum()) == 3
        _ = there[there > 0], there.nonzero(), there.cpu(), here.to(NAME), here.to(NAME, non_blocking=True)
        assert torch.equal((there + torch.tensor(1.0)).cpu(), here * 2), "a number of the processor may go along"
    found = [what for what, _ in waits.found]
    assert found == [
        "aten::_local_scalar_dense", "aten::index with a mask", "aten::nonzero", "aten::_to_copy to the processor",
        "aten::_to_copy to the card", "aten::_to_copy to the processor",
    ]  # fmt: skip


@pytest.fixture
def spoiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gradient of one layer is not finite in steps 3 and 5."""
    monkeypatch.setattr(TrainingModule, "on_after_backward", spoiling(2, 4))


def spoiling(*steps: int):
    """A hook that spoils the gradient of one layer; hooks of the weights would not outlive their move to the card."""

    def spoil(module: TrainingModule) -> None:
        weight = next(p for name, p in module.network.named_parameters() if LAYER in name)
        if module.pace.step in steps:
            weight.grad.fill_(math.nan)

    return spoil


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd", "ranger"])
def test_a_step_without_a_finite_gradient_is_left_out_on_the_card_and_named_later(
    tmp_path: Path, card: Waits, spoiled: None, optimizer: str
) -> None:
    def training(folder: str) -> object:
        job = ball_training(tmp_path / folder, steps=6, validations=1, optimizer=optimizer, learning_rate=0.003)
        return replace(job, network=job.network.model_copy(update={"norm": "batch"}))

    reporter, marks = waits_of_steps(card)
    outcome = fit(training("card"), device=NAME, reporter=reporter)
    assert [(row["step"], row["what"]) for row in rows(tmp_path / "card")] == [("3", "gradient"), ("5", "gradient")]
    assert all(LAYER in row["layer"] for row in rows(tmp_path / "card"))
    fit(training("cpu"), device="cpu")
    assert rows(tmp_path / "cpu") == rows(tmp_path / "card")
    same_weights(tmp_path / "card", tmp_path / "cpu")
    assert sum(outcome.skipped.values()) == 2
    if optimizer != "ranger":
        assert card.found[marks[0] : marks[-2]] == []


def test_a_killed_training_on_a_card_ends_in_the_same_weights(
    tmp_path: Path, card: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(Exception):
        pass

    def kill(step: int, *told: object) -> None:
        if step == 4:
            raise Killed

    settings = {"steps": 6, "validations": 1, "optimizer": "muon"}
    whole = fit(ball_training(tmp_path / "whole", **settings), device=NAME)
    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        fit(ball_training(tmp_path / "killed", **settings), device=NAME, reporter=kill)
    assert read_checkpoint(tmp_path / "killed" / "last.ckpt")["module"]["pace"]["step"] == 3
    resumed: Outcome = fit(ball_training(tmp_path / "killed", **settings), device=NAME, resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256


def test_float16_scales_its_loss_and_a_large_scale_is_no_fault(tmp_path: Path, card: Waits) -> None:
    job = ball_training(tmp_path, steps=5, validations=1, precision="fp16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingModule, "on_after_backward", spoiling(1))  # as one that leaves the range of float16
        outcome = fit(job, device=NAME)
    assert outcome.steps == 5
    assert outcome.skipped == {}
    saved = read_checkpoint(tmp_path / "last.ckpt")["module"]["scaler"]
    assert saved["scale"] == 2.0**15, "halved once, by the step that overflowed"


def test_bfloat16_trains_and_predicts_on_the_card(tmp_path: Path, card: Waits, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("training.loop", "inference.precision"):
        monkeypatch.setattr(f"voxloom.{module}.bf16_slowdown", lambda device: 0.5)
    reporter, marks = waits_of_steps(card)
    outcome = fit(ball_training(tmp_path, steps=4, validations=1, precision="bf16"), device=NAME, reporter=reporter)
    assert outcome.steps == 4
    assert card.found[marks[0] : marks[-2]] == []
