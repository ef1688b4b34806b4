"""Plans for graphics cards that are not there: made-up memory and made-up times in, settings and reasons out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from voxloom.inference.device import GIB, Card
from voxloom.networks import NetworkSettings, build_network
from voxloom.training.body_plan import Body, network_for
from voxloom.training.card_plan import SHARE, bytes_of, smaller
from voxloom.training.compiled import NotCompiled
from voxloom.training.planner import DataFacts, Plan, Wishes, build_plan
from voxloom.training.settings import TrainingSettings

ABDOMEN = DataFacts(90, ((512, 512, 300),) * 90, ((0.8, 0.8, 1.5),) * 90, ("CT",), 16, ("Adrenal gland", 3000.0))
SMALL = DataFacts(160, ((40, 56, 40),) * 160, ((1.0, 1.0, 1.0),) * 160, ("MR",), 3, ("Anterior", 1500.0))
DAY = 24 * 3600.0


def timer(speed: float = 2e13, *, half: float = 0.5, first: float = 1.2, compiled: float = 0.8, graphs: float = 0.9):
    """``speed`` multiplications per second; factors of lower precision, of channels first, and of what is compiled."""

    def time_step(network, training, augment, spacing) -> float:
        voxels, work = float(np.prod(training.patch)) * training.batch, 0.0
        for features, stride in zip(network.features, network.strides, strict=True):
            voxels /= np.prod(stride)
            work += voxels * features**2 * 500
        factor = 1.0 if training.precision == "fp32" else half
        factor *= 1.0 if training.channels_last else first
        factor *= {None: 1.0, "kernels": compiled, "graphs": graphs}[training.compile]
        if math.isnan(factor):
            raise NotCompiled("no compiler was found")
        return work / speed * factor

    return time_step


def plan(gib: float, budget: float = DAY, facts: DataFacts = ABDOMEN, *, bf16: bool = True, **times: float) -> Plan:
    return build_plan(facts, "cuda", budget, timer(**times), Wishes(), Card("made up", int(gib * GIB), bf16))


def row(made: Plan, name: str) -> tuple[str, str]:
    return next((value, why) for choice, value, why in made.reasons if choice == name)


@pytest.mark.parametrize(("gib", "side"), [(8, 128), (11, 160), (24, 192), (48, 256), (80, 256)])
def test_the_patch_grows_with_the_memory(gib: float, side: int) -> None:
    made = plan(gib)
    assert (side * 0.8) ** 3 < np.prod(made.training.patch) <= side**3 * 1.3
    assert bytes_of(made.network, made.training) <= SHARE * gib * GIB * 1.15, "rounding up may take a little more"
    assert f"{gib} GiB" in row(made, "patch")[1]
    assert row(made, "card")[0] == f"made up, {gib} GiB"


def test_a_card_too_small_for_the_usual_patch_gets_a_smaller_one() -> None:
    made = plan(4)
    assert np.prod(made.training.patch) < 0.8 * 128**3
    assert "the largest that 4 GiB hold" in row(made, "patch")[1]


def test_a_short_budget_keeps_the_usual_patch_whatever_the_memory() -> None:
    long, short = plan(80), plan(80, 1200)
    assert np.prod(short.training.patch) < np.prod(long.training.patch)
    assert "take too few steps" in row(short, "patch")[1]


def test_a_shorter_budget_gives_a_narrower_network() -> None:
    assert plan(24, 30, speed=2e12).network.features[0] < plan(24, DAY).network.features[0] == 32


def test_a_card_before_ampere_computes_in_float16() -> None:
    assert plan(11, bf16=True).training.precision == "bf16"
    made = plan(11, bf16=False)
    assert made.training.precision == "fp16"
    assert "it has no bfloat16" in row(made, "card")[1]
    assert plan(11, half=1.5).training.precision == "fp32"


def test_small_volumes_make_fuller_batches() -> None:
    made = plan(11, 240, SMALL)
    assert made.training.batch == 8
    assert made.training.batch * np.prod(made.training.patch) <= 0.05 * 160 * 40 * 56 * 40
    assert plan(11).training.batch == 2


@pytest.mark.parametrize(("first", "last"), [(1.2, True), (0.9, False)])
def test_the_faster_memory_layout_is_taken(first: float, last: bool) -> None:
    made = plan(11, first=first)
    assert made.training.channels_last is last
    assert row(made, "memory layout")[0] == ("channels last" if last else "channels first")


@pytest.mark.parametrize(
    ("times", "budget", "chosen", "why"),
    [
        ({"compiled": 0.8, "graphs": 0.9}, DAY, "kernels", "s a step against"),
        ({"compiled": 0.8, "graphs": 0.5}, DAY, "graphs", "s a step against"),
        ({"compiled": 1.1, "graphs": 1.2}, DAY, None, "s a step against"),
        ({"compiled": 0.99, "graphs": 0.99}, 3600, None, "s a step against"),
        ({"compiled": 0.5, "graphs": 0.5}, 240, None, "too short"),
        ({"compiled": math.nan, "graphs": math.nan}, DAY, None, "no compiler was found"),
    ],
)
def test_compilation_is_timed_and_taken_where_it_pays(
    times: dict[str, float], budget: float, chosen: str | None, why: str
) -> None:
    made = plan(11, budget, **times)
    assert made.training.compile == chosen
    value, reason = row(made, "compile")
    assert value == (chosen or "no")
    assert why in reason


def test_many_steps_take_nnunets_optimizer_and_few_take_orthogonal_ones() -> None:
    assert plan(11, 240, SMALL, speed=5e12).training.optimizer == "muon"
    long = plan(11, 10 * DAY, SMALL)
    assert (long.training.optimizer, long.training.schedule) == ("sgd", "poly")


@pytest.mark.parametrize(("features", "patch"), [((8, 16, 32), (32, 32, 32)), ((16, 32, 64), (24, 40, 32))])
def test_the_reckoned_memory_is_what_a_network_keeps_for_its_backward_pass(
    features: tuple[int, ...], patch: tuple[int, int, int]
) -> None:
    settings = network_for(1, 2, patch, (1.0, 1.0, 1.0), 3, Body(features[0], False, "fp32"))
    settings = settings.model_copy(
        update={"features": features, "strides": settings.strides[:3], "kernels": settings.kernels[:3]}
    )
    settings = NetworkSettings.model_validate({**settings.model_dump(), "deep_supervision": 1})
    training = TrainingSettings(patch=patch, batch=1)
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.numel() > 1000 and not isinstance(tensor, torch.nn.Parameter):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    network = build_network(settings).train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = network(torch.randn(1, 1, *patch))
    assert found is not None
    reckoned = bytes_of(settings, training) - bytes_of(settings, training.model_copy(update={"batch": 0}))
    assert sum(kept.values()) < reckoned < 2.2 * sum(kept.values())


def test_less_memory_is_half_the_batch_and_then_half_the_longest_side() -> None:
    training = TrainingSettings(patch=(128, 96, 64), batch=4)
    seen = [(training.batch, training.patch)]
    while (training := smaller(training, (16, 16, 16))) is not None:
        seen.append((training.batch, training.patch))
    assert seen[:5] == [
        (4, (128, 96, 64)), (2, (128, 96, 64)), (1, (128, 96, 64)), (1, (64, 96, 64)), (1, (64, 48, 64)),
    ]  # fmt: skip
    assert seen[-1] == (1, (32, 48, 32))
    assert smaller(TrainingSettings(patch=(64, 64, 64), batch=1), None) is None
