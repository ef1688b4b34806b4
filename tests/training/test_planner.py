"""The plan is a pure function: made-up machines and budgets in, settings and reasons out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.training.planner import WHOLE_REASON, DataFacts, Plan, Wishes, build_plan
from voxloom.training.settings import USUAL_RATES

HIPPOCAMPUS = DataFacts(160, ((35, 50, 36),) * 160, ((1.0, 1.0, 1.0),) * 160, ("MR",), 3, ("Anterior", 1500.0))
KNEE = DataFacts(20, ((320, 320, 24),) * 20, ((0.5, 0.5, 4.0),) * 20, ("MR",), 4, ("Fibula", 9000.0))


def machine(speed: float, bf16: float = math.inf):
    """A timer: ``speed`` multiplications per second; bfloat16 takes ``bf16`` times as long."""

    def timer(network, training, augment, spacing):
        voxels, work = float(np.prod(training.patch)) * training.batch, 0.0
        for features, stride in zip(network.features, network.strides, strict=True):
            voxels /= np.prod(stride)
            work += voxels * features**2 * 6
        return work / speed * (bf16 if training.precision == "bf16" else 1.0)

    return timer


def plan(budget: float, speed: float = 5e9, facts: DataFacts = HIPPOCAMPUS, device: str = "cpu", **machine_) -> Plan:
    return build_plan(facts, device, budget, machine(speed, **machine_))


def reason(made: Plan, name: str) -> tuple[str, str]:
    return next((value, why) for choice, value, why in made.reasons if choice == name)


def test_a_longer_budget_gives_a_wider_network_and_more_steps() -> None:
    short, long = plan(30), plan(900)
    assert short.network.features[0] < long.network.features[0]
    assert short.training.steps < long.training.steps * 4


def test_a_short_budget_on_a_processor_computes_on_cells_and_a_long_one_on_voxels() -> None:
    short, long = plan(60), plan(100 * 3600)
    assert short.network.strides[0] == (2, 2, 2)
    assert reason(short, "cells")[0] == "2 x 2 x 2 voxels"
    assert long.network.strides[0] == (1, 1, 1)
    assert "cells" not in {choice for choice, _, _ in long.reasons}
    assert len(long.network.features) == len(short.network.features) + 1


def test_thick_slices_are_not_joined_into_cells() -> None:
    assert plan(60, facts=KNEE).network.strides[0] == (2, 2, 1)


def test_a_graphics_card_computes_on_voxels() -> None:
    assert plan(60, 1e13, device="cuda").network.strides[0] == (1, 1, 1)


def test_slices_are_not_joined_into_cells() -> None:
    made = build_plan(KNEE, "cpu", 60, machine(5e9), Wishes(dims=2))
    assert made.network.strides[0] == (1, 1)


@pytest.mark.parametrize(("bf16", "expected"), [(0.3, "bf16"), (1.5, "fp32"), (math.inf, "fp32")])
def test_the_faster_arithmetic_is_taken(bf16: float, expected: str) -> None:
    made = plan(120, bf16=bf16)
    assert made.training.precision == expected
    assert reason(made, "precision")[0] == expected
    assert "inf" not in reason(made, "precision")[1]


def test_every_choice_of_a_plan_has_a_reason() -> None:
    made = plan(120)
    assert {"dimensions", "spacing", "patch", "precision", "width", "batch", "steps", "schedule"} <= {
        choice for choice, _, _ in made.reasons
    }
    assert all(why for _, _, why in made.reasons)


def test_a_volume_of_at_most_two_patches_is_seen_whole_by_a_batch_of_one() -> None:
    spine = DataFacts(20, ((20, 112, 112),) * 20, ((4.0, 2.0, 2.0),) * 20, ("MR",), 6, ("L1", 30_000.0))
    made = plan(1200, facts=spine)
    assert made.training.batch == 1
    assert all(p >= n for p, n in zip(made.training.patch, (20, 112, 112), strict=True))
    assert reason(made, "batch") == ("1", WHOLE_REASON)
    assert plan(1200).training.batch == 2
    assert plan(1200, facts=KNEE).training.batch == 2
    asked = build_plan(spine, "cpu", 1200, machine(5e9), Wishes(patch=(24, 96, 96)))
    assert (asked.training.patch, asked.training.batch) == ((24, 96, 96), 2)


def test_a_budget_too_short_for_looks_at_the_full_resolution_coarsens_the_grid() -> None:
    hurried = plan(1)
    assert min(hurried.prepare.spacing or (0,)) > 1.0
    assert "coarser" in reason(hurried, "spacing")[1]


def test_a_budget_too_short_for_one_step_is_refused() -> None:
    with pytest.raises(BadInput, match="too short"):
        plan(1, speed=1e5)


def test_a_processor_takes_orthogonal_steps_and_a_graphics_card_nnunets() -> None:
    here, there = plan(60), plan(60, 1e13, device="cuda")
    assert (here.training.optimizer, here.training.learning_rate) == ("muon", USUAL_RATES["muon"])
    assert reason(here, "optimizer")[0] == "muon, rate 0.03"
    assert (there.training.optimizer, there.training.learning_rate) == ("sgd", 0.01)
