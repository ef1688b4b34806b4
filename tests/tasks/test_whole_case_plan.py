"""How fine a whole case is seen depends on what the time allows: planned with a timer whose step costs what its voxels do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from voxloom.dataset.inspect import Fingerprint
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.whole_case.plan import LEAST_PASSES, SMALLEST, Asked, WholeCasePlan, plan_whole_case

ASKED = Asked(("zscore",), 2, 0, "val_loss")


def planned(
    cases: int,
    seconds: float | None,
    recipe: dict[str, Any] | None = None,
    asked: Asked = ASKED,
    values: tuple[float, ...] = (),
    slower: Callable[[tuple[int, ...]], float] = lambda patch: 1.0,
) -> WholeCasePlan:
    """A plan for cases of 64 x 64 x 64 voxels of 1 mm, where a million voxels take a sixth of a second."""
    channels = {"CT": SimpleNamespace(few_values=values)}
    one = SimpleNamespace(problem="", orientation="RAS", shape=(64, 64, 64), spacing=(1.0, 1.0, 1.0), channels=channels)
    facts = [one] * cases
    found = cast(Fingerprint, SimpleNamespace(cases=facts))

    def time_step(network: Any, training: Any, augment: Any, spacing: Any) -> float:
        return slower(training.patch) * float(np.prod(training.patch) * training.batch / 6e6)

    return plan_whole_case(Recipe.load("auto").changed(recipe or {}), found, asked, "cpu", seconds, time_step)


def patch_of(plan: WholeCasePlan) -> tuple[int, ...]:
    return tuple(plan.recipe.training["patch"])


def test_many_cases_and_little_time_are_seen_coarser() -> None:
    plan = planned(1188, 1200)
    assert np.prod(patch_of(plan)) < 64**3
    assert np.prod(patch_of(plan)) >= SMALLEST
    passes = plan.recipe.training["steps"] * plan.recipe.training["batch"] / 1188
    assert passes > 0.5 * LEAST_PASSES
    assert max(plan.spacing) > 1.2
    (why,) = [row[2] for row in plan.rows if row[0] == "coarser"]
    assert "262144 voxels a case the budget has 22 passes" in why


def test_the_least_input_is_kept_where_time_is_very_short() -> None:
    assert np.prod(patch_of(planned(5000, 60))) == SMALLEST


@pytest.mark.parametrize(
    ("cases", "seconds", "recipe"),
    [
        (100, 1200, {}),
        (1188, None, {}),
        (1188, 1200, {"prepare.spacing": [1.0, 1.0, 1.0]}),
        (1188, 1200, {"training.patch": [64, 64, 64]}),
    ],
)
def test_the_cases_own_grid_stays_where_time_suffices_or_the_recipe_says_so(
    cases: int, seconds: float | None, recipe: dict[str, Any]
) -> None:
    plan = planned(cases, seconds, recipe)
    assert patch_of(plan) == (64, 64, 64)
    assert not [row for row in plan.rows if row[0] == "coarser"]


@pytest.mark.parametrize(
    ("targets", "recipe", "axes"),
    [
        (("benign", "malignant"), {}, [0]),
        (("benign", "malignant"), {"prepare.orientation": "ALS"}, [1]),
        (("benign", "malignant"), {"augment.mirror": []}, []),
        (("knee_left", "knee_right"), {}, []),
        (("volume", "left_ventricle_mass"), {}, []),
    ],
)
def test_cases_are_mirrored_unless_a_target_names_a_side(
    targets: tuple[str, ...], recipe: dict[str, Any], axes: list[int]
) -> None:
    plan = planned(100, None, recipe, replace(ASKED, targets=targets))
    assert list(plan.recipe.augment["mirror"]) == axes
    assert bool([row for row in plan.rows if row[0] == "mirrored"]) == (bool(axes) and "augment.mirror" not in recipe)


@pytest.mark.parametrize(
    ("values", "recipe", "chances"),
    [
        ((), {}, (0.5, 0.8)),
        ((0.0, 255.0), {}, (0.0, 0.0)),
        ((0.0, 255.0), {"augment.noise_chance": 0.3}, (0.3, 0.0)),
    ],
)
def test_intensities_of_masks_are_not_changed(
    values: tuple[float, ...], recipe: dict[str, Any], chances: tuple[float, float]
) -> None:
    plan = planned(100, None, recipe, values=values)
    augment = plan.recipe.augment
    assert (augment["noise_chance"], augment["intensity_chance"]) == chances
    assert [row[2] for row in plan.rows if row[0] == "intensities"] == (
        ["the images are masks: their shape is all that can be learned"] if values else []
    )


def test_a_coarse_input_is_seen_at_full_resolution_by_few_channels() -> None:
    fine, coarse = planned(100, None).recipe.network, planned(5000, 60).recipe.network
    assert (fine["strides"][0], fine["features"][0]) == ([2, 2, 2], 16)
    assert (coarse["strides"][0], coarse["features"][0]) == ([1, 1, 1], 8)
    assert coarse["features"][-1] == 64


def test_a_coarser_input_whose_network_is_too_slow_becomes_the_coarsest() -> None:
    def slow(patch: tuple[int, ...]) -> float:
        return 10.0 if np.prod(patch) <= 48**3 else 1.0

    plan = planned(1188, 1200, slower=slow)
    assert np.prod(patch_of(plan)) == SMALLEST
    assert np.prod(patch_of(planned(1188, 1200))) > SMALLEST


@pytest.mark.parametrize(
    ("named", "levels"),
    [
        ({"network.features": [8, 16, 32]}, 3),
        ({"network.features": [4, 4, 8, 8, 16, 16, 32]}, 7),
        ({"network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]]}, 3),
    ],
)
def test_what_is_not_named_follows_the_levels_that_are(named: dict[str, Any], levels: int) -> None:
    network = planned(60, 600, named).recipe.network
    assert [len(network[key]) for key in ("features", "strides", "kernels")] == [levels] * 3
    assert all(network[key.removeprefix("network.")] == value for key, value in named.items())
