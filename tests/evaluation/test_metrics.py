"""Metrics of masks against hand-computed cases, SimpleITK and a brute-force computation."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from voxloom.evaluation import dice_score, mask_metrics, surface_distances
from voxloom.evaluation.surface import surface

SPACING = (0.8, 1.5, 3.0)


def ball(center: tuple[float, float, float], radius: float, shape: tuple[int, int, int] = (24, 20, 12)) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * SPACING
    return ((grid - np.array(center) * SPACING) ** 2).sum(-1) < radius**2


def voxels(*places: tuple[int, int, int], shape: tuple[int, int, int] = (6, 6, 6)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


def test_hand_computed_case() -> None:
    a, b = voxels((1, 1, 1), (1, 1, 2)), voxels((1, 1, 2), (1, 1, 3))
    m = mask_metrics(a, b, (1.0, 1.0, 2.0))
    assert (m.dice, m.iou, m.precision, m.recall) == (0.5, 1 / 3, 0.5, 0.5)
    assert (m.hd, m.assd) == (2.0, 1.0)
    assert m.volume_ml_prediction == m.volume_ml_truth == 0.004
    assert m.kind == "ok"


def test_perfect_prediction() -> None:
    m = mask_metrics(ball((12, 10, 6), 6), ball((12, 10, 6), 6), SPACING)
    assert (m.dice, m.iou, m.precision, m.recall, m.hd, m.hd95, m.assd, m.volume_error_ml) == (1, 1, 1, 1, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("prediction", "truth", "kind", "dice", "distance"),
    [
        (voxels(), voxels(), "both_empty", 1.0, 0.0),
        (voxels((1, 1, 1)), voxels(), "truth_empty", 0.0, math.inf),
        (voxels(), voxels((1, 1, 1)), "prediction_empty", 0.0, math.inf),
    ],
)
def test_empty_masks(prediction: np.ndarray, truth: np.ndarray, kind: str, dice: float, distance: float) -> None:
    m = mask_metrics(prediction, truth, SPACING)
    assert (m.kind, m.dice, m.hd, m.hd95, m.assd) == (kind, dice, distance, distance, distance)
    assert not any(isinstance(v, float) and math.isnan(v) for v in m.to_dict().values())


def test_full_and_one_voxel_masks() -> None:
    full, one = np.ones((5, 5, 5), bool), voxels((2, 2, 2), shape=(5, 5, 5))
    m = mask_metrics(one, full, (1.0, 1.0, 1.0))
    assert m.precision == 1.0
    assert m.recall == 1 / 125
    assert m.hd == pytest.approx(math.sqrt(12))


def test_masks_that_touch_the_border_have_a_surface_there() -> None:
    full = np.ones((4, 4, 4), bool)
    assert surface(full).sum() == 64 - 8


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_distances_agree_with_brute_force(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.random((7, 6, 5)) < 0.3, random.random((7, 6, 5)) < 0.3
    a[0, 0, 0] = b[6, 5, 4] = True
    found = surface_distances(a, b, SPACING)
    points = [np.argwhere(surface(m)) * SPACING for m in (a, b)]
    matrix = cdist(*points)
    assert np.allclose(np.sort(found.forward), np.sort(matrix.min(axis=1)), atol=1e-4)
    assert np.allclose(np.sort(found.backward), np.sort(matrix.min(axis=0)), atol=1e-4)
    assert found.hd == pytest.approx(max(matrix.min(axis=1).max(), matrix.min(axis=0).max()), abs=1e-4)


def test_hausdorff_and_dice_agree_with_simpleitk() -> None:
    a, b = ball((11, 9, 6), 6.0), ball((13, 10, 6), 7.0)
    images = []
    for mask in (a, b):
        image = sitk.GetImageFromArray(mask.transpose(2, 1, 0).astype(np.uint8))
        image.SetSpacing(SPACING)
        images.append(image)
    judge = sitk.HausdorffDistanceImageFilter()
    judge.Execute(*images)
    overlap = sitk.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*images)
    m = mask_metrics(a, b, SPACING)
    assert m.hd == pytest.approx(judge.GetHausdorffDistance(), abs=1e-3)
    assert m.dice == pytest.approx(overlap.GetDiceCoefficient())
    assert m.iou == pytest.approx(overlap.GetJaccardCoefficient())


def test_symmetry_and_units() -> None:
    a, b = ball((11, 9, 6), 6.0), ball((13, 10, 6), 7.0)
    one, two = mask_metrics(a, b, SPACING), mask_metrics(b, a, SPACING)
    assert (one.dice, one.hd, one.hd95, one.assd) == (two.dice, two.hd, two.hd95, two.assd)
    doubled = mask_metrics(a, b, (1.6, 3.0, 6.0))
    assert doubled.hd95 == pytest.approx(2 * one.hd95, rel=1e-5)
    assert doubled.volume_ml_truth == pytest.approx(8 * one.volume_ml_truth)


def test_single_slices_are_measured_in_their_plane() -> None:
    a, b = np.zeros((9, 9, 1), bool), np.zeros((9, 9, 1), bool)
    a[2:7, 2:7], b[3:8, 2:7] = True, True
    assert surface(a).sum() == 16
    assert mask_metrics(a, b, (0.5, 0.5, 10.0)).hd == 0.5


def test_memory_follows_the_box_of_the_masks() -> None:
    """Masks of 200 KB in a volume of 8 MB: the rest of the volume is looked at, not copied."""
    a, b = np.zeros((2, 200, 200, 200), bool)
    a[90:110, 90:110, 90:110], b[92:112, 90:110, 90:110] = True, True
    mask_metrics(a, b, SPACING)
    tracemalloc.start()
    found = mask_metrics(a, b, SPACING, np.ones((200, 200, 200), bool))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.hd == pytest.approx(1.6)
    assert peak < 8e6 + 1e6  # the mask of valid voxels is made here


def test_ignored_voxels_count_nowhere() -> None:
    truth, found = voxels((1, 1, 1)), voxels((1, 1, 1), (4, 4, 4))
    valid = np.ones((6, 6, 6), bool)
    valid[4, 4, 4] = False
    m = mask_metrics(found, truth, (1.0, 1.0, 1.0), valid)
    assert (m.dice, m.hd, m.volume_error_ml) == (1.0, 0.0, 0.0)


def test_dice_of_empty_masks_is_one() -> None:
    assert dice_score(voxels(), voxels()) == 1.0


def test_other_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shape"):
        mask_metrics(np.ones((2, 2, 2), bool), np.ones((2, 2, 3), bool), SPACING)
