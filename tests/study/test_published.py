"""Every shipped recipe learns as published: its own network, optimizer, loss and changes, on small made-up cases.

The figures are far above what an empty answer (0) and one that is foreground everywhere get.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.recipe.shipped import recipe_names
from voxloom.training.fit import fit

from .made_up import published_landmarks, published_training
from .test_whole_case_recipes import RECIPES as WHOLE_CASES

Triple = tuple[int, int, int]
#: The planner's own recipe has no settings to be trained as published; `test_run.py` trains it.
PLANNED = {"auto"}
#: Those that differ from another by their first weights alone (`test_shipped.py` asserts it), which are not loaded here.
SAME = {"cervical-spine-2d-imagenet"}
UNET_3D = {
    "network.features": [8, 16, 16], "network.strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "network.kernels": [[3, 3, 3]] * 3,
}  # fmt: skip
UNET_2D = {
    "network.features": [8, 16, 16], "network.strides": [[1, 1], [2, 2], [2, 2]], "network.kernels": [[3, 3]] * 3,
}  # fmt: skip
MONAI_3D = {"network.features": [8, 16, 16], "network.strides": [2, 2]}
#: Levels that are fewer than the planner's have fewer heads.
PLAIN = {"network.deep_supervision": 1}
#: Recipe -> voxels of a case, labels, channels, what makes it small, and the mean Dice of held-out cases that it must reach.
CASES: dict[str, tuple[Triple, int, int, dict[str, Any], float]] = {
    "cervical-spine-2d": ((32, 32, 6), 1, 1, {"training.patch": [32, 32, 1], "training.batch": 4, "training.steps": 40}, 0.5),
    "ct-kidney": (
        (32, 32, 12), 2, 1,
        {**UNET_2D, **PLAIN, "training.patch": [32, 32, 1], "training.batch": 8, "training.steps": 120}, 0.35,
    ),
    "ct-liver": (
        (32, 32, 12), 1, 1,
        {**UNET_2D, **PLAIN, "training.patch": [32, 32, 1], "training.batch": 8, "training.steps": 80}, 0.5,
    ),
    "ct-kidney-3d": (
        (32, 32, 12), 2, 1, {**UNET_3D, **PLAIN, "training.patch": [32, 32, 8], "slices.spread": 8, "training.steps": 80}, 0.4,
    ),
    "ct-kidney-msd-3d": (
        (32, 32, 12), 2, 1, {"network.depth": 10, "training.patch": [32, 32, 8], "slices.spread": 8, "training.steps": 80}, 0.35,
    ),
    "knee-bones": ((24, 24, 8), 3, 1, {**UNET_3D, "training.patch": [24, 24, 8], "training.batch": 2, "training.steps": 120}, 0.35),
    "knee-bones-merged": ((24, 24, 8), 1, 1, {**UNET_3D, "training.patch": [24, 24, 8], "training.steps": 60}, 0.5),
    "skull-strip-3d": (
        (24, 24, 16), 1, 1, {**UNET_3D, **PLAIN, "training.patch": [24, 24, 16], "training.batch": 2, "training.steps": 30}, 0.6,
    ),
    "skull-strip-2d": (
        (32, 32, 6), 1, 1,
        {"init.weights": None, "training.patch": [32, 32, 1], "training.batch": 4, "training.steps": 40}, 0.5,
    ),
    "cervical-cancer": (
        (24, 24, 16), 1, 3, {**MONAI_3D, "training.patch": [24, 24, 16], "training.batch": 2, "training.steps": 40}, 0.6,
    ),
    "spine-small-data": (
        (16, 24, 24), 1, 1, {**MONAI_3D, "training.patch": [16, 24, 24], "training.batch": 2, "training.steps": 40}, 0.5,
    ),
}  # fmt: skip
#: Recipe -> what makes it small, and the recall within 5 mm that it must reach.
LANDMARKS: dict[str, tuple[dict[str, Any], float]] = {
    "foramina-singlenet": ({"landmarks.channels": 4, "training.patch": [33, 65, 3], "training.steps": 100}, 0.6),
    "foramina-multinet": ({"landmarks.channels": 4, "training.patch": [33, 65, 3], "training.steps": 150}, 0.3),
    "foramina-multinet-lowres": (
        {"landmarks.channels": 4, "training.patch": [33, 65, 3], "training.batch": 4, "training.steps": 100}, 0.3,
    ),
    "vertebra-centres": ({"network.features": [8, 16, 16], "network.strides": [[1, 1, 1], [2, 2, 1], [2, 2, 1]],
                          "network.kernels": [[3, 3, 3]] * 3, "training.patch": [32, 64, 6], "training.steps": 60}, 0.3),
}  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_shipped_recipe_is_trained_as_published() -> None:
    assert {*CASES, *LANDMARKS, *WHOLE_CASES} == set(recipe_names()) - PLANNED - SAME


@pytest.mark.parametrize("name", CASES)
def test_a_recipe_learns_as_published(name: str, tmp_path: Path) -> None:
    shape, labels, channels, small, least = CASES[name]
    job = published_training(
        name, tmp_path, shape, {"training.validations": 1, **small}, labels=labels, channels=channels
    )
    truths = [case.label() for case in job.validation.values()]
    everywhere = [2 * (truth == n).mean() / (1 + (truth == n).mean()) for truth in truths for n in range(1, labels + 1)]
    assert np.mean(everywhere) < 0.6 * least
    assert fit(job, device="cpu").best_dice > least


@pytest.mark.parametrize("name", LANDMARKS)
def test_a_landmark_recipe_learns_as_published(name: str, tmp_path: Path) -> None:
    small, least = LANDMARKS[name]
    job = published_landmarks(name, tmp_path, {"training.validations": 1, **small})
    assert fit(job, device="cpu").best_dice > least
