"""Phases, layer groups, freezing, decay and what ends a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from voxloom.errors import BadInput
from voxloom.training.fit import build_module, fit
from voxloom.training.log import TrainingLog
from voxloom.training.pace import Pace
from voxloom.training.phases import WHOLE, Phase, phase_at
from voxloom.training.sampling import Triple
from voxloom.training.settings import TrainingSettings

from .fakes import ball_training

FROZEN_THEN_FREE = ({"share": 1, "frozen": True}, {"share": 3, "rate": 0.5})
SMALL_THEN_LARGE = ({"share": 1, "scale": 0.5}, {"share": 1})


pytestmark = pytest.mark.usefixtures("one_thread")


def test_each_phase_has_its_own_progress() -> None:
    phases = [Phase(share=1, frozen=True), Phase(share=3)]
    assert phase_at((), 0.3) == (WHOLE, 0.3)
    assert phase_at(phases, 0.0) == (phases[0], 0.0)
    assert phase_at(phases, 0.125) == (phases[0], 0.5)
    assert phase_at(phases, 0.25) == (phases[1], 0.0)
    assert phase_at(phases, 0.625) == (phases[1], pytest.approx(0.5))
    assert phase_at(phases, 1.0) == (phases[1], 1.0)
    with pytest.raises(ValidationError):
        Phase(scale=1.5)


def rates_of(tmp_path: Path, **settings: object) -> list[float]:
    module = build_module(ball_training(tmp_path, **settings), Pace(8))
    rates = []
    for _ in range(8):
        rates.append(module.rate)
        module.pace.advance()
    return rates


def test_the_schedule_starts_again_in_every_phase(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, phases=FROZEN_THEN_FREE, schedule="flat_cosine", learning_rate=1.0)
    assert rates[:3] == [1.0, 1.0, 0.5]
    assert rates[6] == pytest.approx(0.5)
    assert rates[7] < 0.5


def test_decay_divides_by_one_more_per_thousand_steps(tmp_path: Path) -> None:
    rates = rates_of(tmp_path, schedule="constant", decay=0.5, learning_rate=1.0)
    assert rates == [pytest.approx(1 / (1 + 0.5 * n)) for n in range(8)]


def test_a_frozen_encoder_keeps_weights_and_statistics_until_it_is_freed(tmp_path: Path) -> None:
    job = ball_training(tmp_path, phases=FROZEN_THEN_FREE, ema=0.0, weight_decay=0.1)
    module = build_module(job, Pace(8))
    encoder = set(module.network.encoder_names())

    def frozen_at(progress: float) -> bool:
        module.pace.progress = progress
        module.network.train()
        module.freeze_as_due()
        named = dict(module.network.named_parameters())
        assert all(weight.requires_grad for name, weight in named.items() if name not in encoder)
        assert module.network.net.upsamples[0].training
        states = {weight.requires_grad for name, weight in named.items() if name in encoder}
        assert states == {module.network.net.bottleneck.training}
        return states == {False}

    assert [frozen_at(progress) for progress in (0.0, 0.2, 0.25, 0.9, 0.1)] == [True, True, False, False, True]


def test_training_in_phases_freezes_then_moves_the_encoder(tmp_path: Path) -> None:
    from voxloom.training.weights import load_weights

    first = build_module(ball_training(tmp_path), Pace(8)).network.state_dict()
    name = "net.input_block.conv1.conv.weight"
    always = {"phases": ({"frozen": True},), "ema": 0.0}
    fit(ball_training(tmp_path / "always", steps=6, **always), device="cpu")
    assert torch.equal(load_weights(tmp_path / "always")[0][name], first[name])
    fit(ball_training(tmp_path / "then", steps=6, phases=FROZEN_THEN_FREE, ema=0.0), device="cpu")
    assert not torch.equal(load_weights(tmp_path / "then")[0][name], first[name])


@pytest.mark.parametrize("phases", [FROZEN_THEN_FREE, SMALL_THEN_LARGE])
def test_a_run_with_phases_and_group_rates_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phases: object
) -> None:
    from .test_fit import Killed, killed_at

    settings = {"steps": 12, "phases": phases, "discriminative": 0.05, "optimizer": "ranger"}
    whole = fit(ball_training(tmp_path / "whole", **settings), device="cpu")
    monkeypatch.setattr("voxloom.training.callbacks.SAVE_EVERY", 0.0)
    with pytest.raises(Killed):
        fit(ball_training(tmp_path / "killed", **settings), device="cpu", reporter=killed_at(5))
    resumed = fit(ball_training(tmp_path / "killed", **settings), device="cpu", resume=True)
    assert resumed.weights_sha256 == whole.weights_sha256


def test_layer_groups_learn_at_rates_that_fall_towards_the_image(tmp_path: Path) -> None:
    module = build_module(ball_training(tmp_path, discriminative=0.05), Pace(8))
    factors = [group["factor"] for group in module.configure_optimizers().param_groups]
    assert factors[0] == pytest.approx(0.05)
    assert factors[-1] == 1.0
    assert factors == [pytest.approx(0.05 ** (n / 3)) for n in (3, 2, 1, 0)]
    (only,) = build_module(ball_training(tmp_path), Pace(8)).configure_optimizers().param_groups
    assert only["factor"] == 1.0


def test_small_patches_come_first_and_keep_the_field_of_view(tmp_path: Path) -> None:
    job = ball_training(tmp_path, phases=SMALL_THEN_LARGE)
    module = build_module(job, Pace(8))
    image = torch.randn(2, 1, 20, 20, 20)
    label = (image[:, 0] > 0).long()
    sizes: list[Triple] = []
    for progress in (0.0, 0.49, 0.5, 1.0):
        module.pace.progress = progress
        seen, truth = module.augmented((3, image, label))
        assert seen.shape[2:] == truth.shape[1:]
        sizes.append(tuple(seen.shape[2:]))
    assert sizes == [(8, 8, 8), (8, 8, 8), (16, 16, 16), (16, 16, 16)]
    module.pace.progress = 1.0
    large, _ = module.augmented((3, image, label))
    module.pace.progress = 0.0
    small, _ = module.augmented((3, image, label))
    assert torch.allclose(torch.nn.functional.avg_pool3d(large, 2), small, atol=1e-5)
    assert module.feed.coarse_size(0.6) == (8, 8, 8)  # a multiple of what the network halves


@pytest.mark.parametrize("monitor", ["val_loss", "train_loss", "val_dice_ball"])
def test_patience_goes_by_any_logged_value(tmp_path: Path, monitor: str) -> None:
    job = ball_training(
        tmp_path, steps=400, validations=40, patience=2, learning_rate=1e-9, ema=0.0, monitor=monitor, optimizer="adam"
    )
    assert fit(job, device="cpu").steps < 400
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].endswith(",val_dice,val_dice_ball,val_loss")
    values = [float(line.split(",")[lines[0].split(",").index(monitor)]) for line in lines[1:]]
    better = min if monitor.endswith("loss") else max
    assert len(values) - 1 - values.index(better(values)) >= 2


def test_the_best_row_is_the_highest_dice_or_the_lowest_loss(tmp_path: Path) -> None:
    rows = [(0.9, 0.5, 0.7), (0.5, 0.6, 0.4), (0.6, 0.7, 0.5)]  # train_loss, val_dice, val_loss
    best = {}
    for monitor in ("train_loss", "val_dice", "val_loss"):
        log = TrainingLog(tmp_path / "log.csv", ["ball"], monitor=monitor)
        for step, (train, dice, loss) in enumerate(rows):
            log.add([step, 0, 0, 0, train, dice, dice, *([loss] if monitor == "val_loss" else [])])
            if log.is_best():
                best[monitor] = step
        assert log.since_best() == len(rows) - 1 - best[monitor]
        assert log.best() == 0.7
    assert best == {"train_loss": 1, "val_dice": 2, "val_loss": 1}


def test_a_value_that_is_not_logged_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="val_dice_bowl"):
        fit(ball_training(tmp_path, monitor="val_dice_bowl"), device="cpu")
    with pytest.raises(ValidationError):
        TrainingSettings(patch=(8, 8, 8), monitor="seconds")
