"""Cases that all get the same number of voxels keep their own millimetres, in the plan and in the training."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.facts import resized
from voxloom.training.planner import DataFacts, augmentation
from voxloom.volume import Volume


def facts(*cases: tuple[tuple[int, int, int], tuple[float, float, float]]) -> DataFacts:
    shapes, spacings = zip(*cases, strict=True)
    return DataFacts(len(cases), shapes, spacings, ("MR",), 2, ("bone", 5000.0))


def test_a_prepared_case_knows_the_millimetres_of_its_resized_voxels() -> None:
    volume = Volume(np.random.default_rng(0).random((1, 40, 30, 10)).astype(np.float32), np.diag([0.5, 0.5, 4.0, 1.0]))
    image, geometry = prepare_image(volume, PrepareSettings(resize_to=(20, 20, 8)))
    assert image.shape == (1, 20, 20, 8)
    assert geometry.spacing == pytest.approx((1.0, 0.75, 5.0))


def test_the_plan_of_knees_knows_that_their_slices_are_thick() -> None:
    """Coronal and sagittal scans, slices last: 120 mm in 224 pixels, and slices of some millimetres."""
    coronal, sagittal = ((800, 41, 800), (0.2, 3.0, 0.2)), ((24, 512, 512), (3.5, 0.35, 0.35))
    found = resized(facts(coronal, coronal, sagittal), Recipe.load("knee-bones"))
    assert set(found.shapes) == {(224, 224, 36)}
    assert found.spacings[0] == pytest.approx((120 / 224, 120 / 224, 41 * 3 / 36))
    assert augmentation(3, found.spacings[0]).rotation == (5.0, 5.0, 20.0)


def test_slices_that_are_spread_over_a_volume_are_far_apart() -> None:
    found = resized(facts(((512, 512, 100), (0.8, 0.8, 2.0))), Recipe.load("ct-kidney-3d"))
    assert found.spacings[0] == pytest.approx((3.2, 3.2, 2.0 * 100 / 16))
    plain = resized(facts(((512, 512, 100), (0.8, 0.8, 2.0))), Recipe.load("ct-kidney"))
    assert plain.spacings[0] == pytest.approx((3.2, 3.2, 2.0))


@pytest.mark.parametrize("budget", [None, "2m"])
def test_the_cervical_recipe_resamples_nothing(budget: str | None) -> None:
    """Without a spacing of its own the planner's would hold: the median, or a coarser one with little time."""
    from voxloom.tasks.segmentation.facts import complete

    recipe = Recipe.load("cervical-spine-2d").changed({"budget": budget} if budget else {}).for_budget()
    cases = [((235, 512, 512), (0.7, 0.35, 0.35)), ((174, 512, 512), (0.9, 0.3, 0.3))] * 6
    full, _ = complete(recipe, facts(*cases), "cpu", 120.0 if budget else None, lambda *_: 2.0)
    settings = PrepareSettings.model_validate(full.prepare).model_copy(update={"n4": False, "pad_to": None})
    assert settings.spacing == (None, None, None)
    volume = Volume(np.random.default_rng(0).random((1, 9, 12, 10)).astype(np.float32), np.diag([0.7, 0.31, 0.31, 1.0]))
    image, _ = prepare_image(volume, settings.model_copy(update={"orientation": "RAS"}))
    assert image.shape == volume.data.shape
    lowest, span = volume.data.min(), np.ptp(volume.data)
    np.testing.assert_allclose(image, (volume.data - lowest) / span, atol=1e-6)
