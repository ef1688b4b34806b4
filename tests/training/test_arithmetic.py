"""Switches of a training for graphics cards: set while it runs, put back afterwards; compiled networks fall back and say why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.training.fakes import ball_training
from voxloom.errors import BadInput, VoxloomError
from voxloom.training.arithmetic import cast, switched
from voxloom.training.compiled import Called, NotCompiled
from voxloom.training.fit import fit
from voxloom.training.settings import TrainingSettings
from voxloom.training.timing import seconds_per_step

pytestmark = pytest.mark.usefixtures("one_thread")


def switches() -> tuple[bool, ...]:
    cudnn = torch.backends.cudnn
    return (
        cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32, cudnn.benchmark, cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "within"),
    [
        ({}, (True, True, True, False, False)),
        ({"tf32": False}, (False, False, True, False, False)),
        ({"deterministic": True}, (True, True, False, True, True)),
    ],
)
def test_the_switches_hold_for_the_training_alone(more: dict[str, Any], within: tuple[bool, ...]) -> None:
    before = switches()
    with switched(TrainingSettings(patch=(8, 8, 8), **more)):
        assert switches() == within
    assert switches() == before


def test_a_training_sets_them(tmp_path: Path) -> None:
    seen = []
    job = ball_training(tmp_path, steps=2, validations=1, deterministic=True, tf32=False)
    fit(job, device="cpu", reporter=lambda *told: seen.append(switches()))
    assert seen == [(False, False, False, True, True)] * 2


def test_precision_names_a_type() -> None:
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        with cast(name, torch.device("cpu")):
            assert torch.get_autocast_dtype("cpu") is dtype
            assert torch.is_autocast_enabled("cpu")
    with cast("fp32", torch.device("cpu")):
        assert not torch.is_autocast_enabled("cpu")


def test_float16_is_refused_on_a_processor_and_never_planned_for_it(tmp_path: Path) -> None:
    job = ball_training(tmp_path, precision="fp16")
    with pytest.raises(BadInput, match="fp16 is for graphics cards.*training.precision=fp32"):
        fit(job, device="cpu")
    assert seconds_per_step(job, device="cpu") == float("inf")


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A compiler that notes how it was asked, and fails where told."""
    asked: dict[str, Any] = {"calls": 0, "fails": False}

    def compile_(network: nn.Module, mode: str) -> Any:
        asked["mode"] = mode

        def call(*inputs: Any) -> Any:
            asked["calls"] += 1
            if asked["fails"]:
                raise RuntimeError("no C compiler\nand a long tale")
            return network(*inputs)

        return call

    monkeypatch.setattr(torch, "compile", compile_)
    return asked


@pytest.mark.parametrize(("how", "mode"), [("kernels", "default"), ("graphs", "reduce-overhead")])
def test_a_training_calls_the_compiled_network(tmp_path: Path, compiler: dict[str, Any], how: str, mode: str) -> None:
    plain = fit(ball_training(tmp_path / "plain", steps=3, validations=1), device="cpu")
    assert compiler["calls"] == 0
    outcome = fit(ball_training(tmp_path / "compiled", steps=3, validations=1, compile=how), device="cpu")
    assert (compiler["mode"], compiler["calls"]) == (mode, 3)
    assert outcome.notes == ()
    assert outcome.weights_sha256 == plain.weights_sha256


def test_what_cannot_be_compiled_trains_as_it_is_and_says_why(tmp_path: Path, compiler: dict[str, Any]) -> None:
    compiler["fails"] = True
    plain = fit(ball_training(tmp_path / "plain", steps=3, validations=1), device="cpu")
    outcome = fit(ball_training(tmp_path / "failed", steps=3, validations=1, compile="kernels"), device="cpu")
    assert outcome.weights_sha256 == plain.weights_sha256
    assert outcome.notes == ("torch.compile failed (RuntimeError: no C compiler); the network runs as it is",)
    assert compiler["calls"] == 1, "it is not tried again"
    with pytest.raises(NotCompiled, match="no C compiler"):
        seconds_per_step(ball_training(tmp_path, compile="kernels"), device="cpu", steps=1)


def test_too_little_memory_is_not_taken_for_a_compiler_that_fails(compiler: dict[str, Any]) -> None:
    class Large(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        Called(Large(), "kernels")(torch.zeros(1))


def test_a_step_that_the_memory_does_not_hold_takes_infinitely_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("voxloom.training.timing.take_step", out)
    assert seconds_per_step(ball_training(tmp_path), device="cpu") == float("inf")
    assert issubclass(NotCompiled, RuntimeError)
    assert not issubclass(NotCompiled, VoxloomError)
