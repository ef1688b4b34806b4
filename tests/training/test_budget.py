"""A budget on a machine that is busy now and quiet then: it is used up, and validations never eat it. No real time passes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from voxloom.training.callbacks import VALIDATION_SHARE
from voxloom.training.fit import fit
from voxloom.training.job import Measured
from voxloom.training.loop import Outcome

from .fakes import ball_training

pytestmark = pytest.mark.usefixtures("one_thread")


class Machine:
    """A clock that goes on by what steps and validations are said to take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, step: float, validation: float) -> None:
        self.now, self.step, self.validation, self.validations = 0.0, step, validation, 0
        monkeypatch.setattr("voxloom.training.callbacks.time", SimpleNamespace(monotonic=lambda: self.now))

    def report(self, step: int, steps: int, left: float, loss: float, scores: dict[str, float]) -> None:
        self.now += self.step

    def scores(self, network: nn.Module) -> Measured:
        self.now += self.validation
        self.validations += 1
        return Measured([0.5 + self.validations / 1000], 1.0)


def trained(machine: Machine, folder: Path, budget: float | None, validations: int = 40, **changes: Any) -> Outcome:
    job = ball_training(folder, steps=80)
    job = replace(job, training=job.training.model_copy(update={"validations": validations}), **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(job), "build_validator", lambda self, device: machine)
        return fit(job, device="cpu", budget=budget, reporter=machine.report)


def test_a_slow_validation_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, step=0.5, validation=1.5)  # 40 of them would take 60 s of 40
    outcome = trained(machine, tmp_path, 40.0)
    assert 36 < outcome.seconds <= 44
    assert outcome.steps > 50
    assert machine.validations * 1.5 <= VALIDATION_SHARE * outcome.seconds + 2 * 1.5
    assert len(outcome.left_out) + machine.validations >= 39
    rows = [int(line.split(",")[0]) for line in (tmp_path / "log.csv").read_text().splitlines()[1:]]
    assert rows[-1] == outcome.steps
    assert max(b - a for a, b in pairwise(rows)) < 0.5 * outcome.steps, "they are spread over the run"


def test_cheap_validations_are_all_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, step=0.5, validation=0.2)
    outcome = trained(machine, tmp_path, 40.0)
    assert (outcome.left_out, machine.validations) == ((), 40)


def test_what_was_left_out_is_left_out_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = trained(Machine(monkeypatch, step=0.5, validation=1.5), tmp_path / "first", 40.0)
    again = trained(
        Machine(monkeypatch, step=1.0, validation=0.1),
        tmp_path / "again",
        None,
        pace=first.pace,
        left_out=first.left_out,
    )
    assert first.left_out
    assert (again.steps, again.weights_sha256) == (first.steps, first.weights_sha256)


def test_a_machine_that_becomes_quiet_gives_more_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Calming(Machine):
        def report(self, step: int, *rest: Any) -> None:
            self.step = 2.0 if step < 20 else 0.5
            super().report(step, *rest)

    outcome = trained(Calming(monkeypatch, 2.0, 0.1), tmp_path, 80.0, validations=4)
    assert outcome.steps > 80  # 40 by the pace of its first half
    assert 72 < outcome.seconds <= 84
