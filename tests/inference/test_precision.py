"""No path may fall into bfloat16 on a machine that emulates it: a training there would look endless."""

import math

import pytest
import torch

from voxloom.inference import precision


@pytest.fixture
def slowdown(monkeypatch):
    """Pretend a ratio of bfloat16 to float32 time."""
    return lambda ratio: monkeypatch.setattr(
        precision, "_convolution_seconds", lambda t: ratio if t is torch.bfloat16 else 1.0
    )


@pytest.fixture(autouse=True)
def _measure_afresh():
    precision.bf16_slowdown.cache_clear()
    yield
    precision.bf16_slowdown.cache_clear()


@pytest.mark.parametrize(("ratio", "expected"), [(0.3, torch.bfloat16), (2.0, torch.bfloat16), (200.0, None)])
def test_prediction_follows_the_training_only_where_the_machine_can(slowdown, ratio, expected):
    slowdown(ratio)
    assert precision.autocast_dtype("bf16", torch.device("cpu")) is expected
    assert precision.autocast_dtype("fp32", torch.device("cpu")) is None


def test_other_work_on_the_machine_does_not_look_like_slow_arithmetic(monkeypatch):
    disturbed = iter([90.0, 1.0, 80.0, 1.0, 2.0, 1.0])
    monkeypatch.setattr(precision, "_convolution_seconds", lambda t: next(disturbed))
    assert precision.bf16_slowdown("cpu") == 2.0


def test_the_ratio_is_measured():
    ratio = precision.bf16_slowdown("cpu")
    assert 0 < ratio < math.inf


def test_a_gpu_is_asked_and_not_timed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert precision.bf16_slowdown("cuda") == math.inf
