"""ChosenStep masks: each step on shapes whose right answer is known; label maps keep their other labels."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.inference.mask_steps import DEFAULT_AMOUNT, StepName, Surroundings, run_step
from voxloom.inference.postprocess import apply_step

MM = Surroundings((1.0, 1.0, 1.0))
TWO = Labels((Label("kidney", (10,)), Label("tumor", (20,))))
NESTED = Labels((Label("whole", (1, 2)), Label("core", (2,))), regions_order=(1, 2))


def ball(shape: tuple[int, ...], center: tuple[float, ...], radius: float, spacing: tuple[float, ...] = (1, 1, 1)):
    grid = np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij")
    return sum((g - c) ** 2 for g, c in zip(grid, center, strict=True)) <= radius**2


def test_a_hollow_ball_is_filled_and_an_open_one_is_not() -> None:
    full = ball((21, 21, 21), (10, 10, 10), 8)
    hollow = full & ~ball((21, 21, 21), (10, 10, 10), 4)
    assert np.array_equal(run_step(hollow, "fill_holes", np.inf, MM), full)
    opened = hollow.copy()
    opened[10, 10, 10:] = False
    assert np.array_equal(run_step(opened, "fill_holes", np.inf, MM), opened)


def test_holes_in_a_single_slice_are_filled_in_its_plane() -> None:
    ring = np.zeros((9, 9, 1), bool)
    ring[2:7, 2:7] = True
    full = ring.copy()
    ring[4, 4] = False
    assert np.array_equal(run_step(ring, "fill_holes", np.inf, MM), full)


def test_only_holes_up_to_the_size_are_filled() -> None:
    mask = np.ones((20, 20, 20), bool)
    mask[3, 3, 3] = mask[10:14, 10:14, 10:14] = False
    after = run_step(mask, "fill_holes", 0.01, MM)
    assert after[3, 3, 3]
    assert not after[11, 11, 11]


def test_smoothing_removes_a_spike_and_keeps_the_size_on_an_uneven_grid() -> None:
    spacing = (1.0, 1.0, 3.0)
    clean = ball((40, 40, 13), (20, 20, 18), 12, spacing)
    spiked = clean.copy()
    spiked[20, 20, 6] = True
    spiked[20, 0:20, 6] = True
    after = run_step(spiked, "smooth", 1.5, Surroundings(spacing))
    assert not after[20, 2, 6]
    assert abs(int(after.sum()) - int(clean.sum())) < 0.05 * clean.sum()


def test_a_missing_slice_lies_between_its_neighbors() -> None:
    """A cone cut along its axis, whose radius at slice k is 4 + k."""
    i, j = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")
    cone = np.stack([(i - 20) ** 2 + (j - 20) ** 2 <= (4 + k) ** 2 for k in range(8)], axis=-1)
    broken = cone.copy()
    broken[..., 3] = False
    thick = Surroundings((1.0, 1.0, 4.0))
    after = run_step(broken, "interpolate", 1, thick)
    union = after[..., 3] | cone[..., 3]
    assert (after[..., 3] & cone[..., 3]).sum() / union.sum() > 0.9
    assert np.array_equal(np.delete(after, 3, axis=2), np.delete(cone, 3, axis=2))
    broken[..., 4] = False
    assert np.array_equal(run_step(broken, "interpolate", 1, thick), broken), "two slices are a wider gap than one"
    assert run_step(broken, "interpolate", 2, thick)[..., 3:5].any(axis=(0, 1)).all()


def pieces() -> np.ndarray:
    """Pieces of 27, 8 and 1 voxels."""
    mask = np.zeros((20, 20, 20), bool)
    mask[2:5, 2:5, 2:5] = mask[10:12, 10:12, 10:12] = mask[17, 17, 17] = True
    return mask


@pytest.mark.parametrize(("ml", "left"), [(0.001, 36), (0.008, 35), (0.009, 27), (1.0, 0)])
def test_small_pieces_are_removed(ml: float, left: int) -> None:
    assert run_step(pieces(), "remove_small", ml, MM).sum() == left


def test_pieces_of_at_most_a_share_of_the_mean_are_removed() -> None:
    assert run_step(pieces(), "remove_fraction", 0.2, Surroundings((1, 1, 1), mean_ml=0.04)).sum() == 27
    assert run_step(pieces(), "remove_fraction", 0.2, Surroundings((1, 1, 1), mean_ml=0.039)).sum() == 35
    with pytest.raises(BadInput, match="mean volume"):
        run_step(pieces(), "remove_fraction", 0.2, MM)


def test_the_surest_piece_is_kept_not_the_largest() -> None:
    activation = np.full((20, 20, 20), 0.6, np.float16)
    activation[10:12, 10:12, 10:12] = 0.9
    assert run_step(pieces(), "largest_activation", 0, Surroundings((1, 1, 1), lambda: activation)).sum() == 8
    with pytest.raises(BadInput, match="probabilities"):
        run_step(pieces(), "largest_activation", 0, MM)


def test_activation_is_not_asked_for_where_it_cannot_decide() -> None:
    one = ball((9, 9, 9), (4, 4, 4), 2)
    assert np.array_equal(run_step(one, "largest_activation", 0, MM), one)


@pytest.mark.parametrize("step", DEFAULT_AMOUNT)
def test_contract_of_every_step(step: StepName) -> None:
    """An empty mask stays empty, the input is not changed, type and shape stay."""
    around = Surroundings((1.0, 2.0, 3.0), lambda: np.ones((20, 20, 20)), 0.01)
    empty = np.zeros((4, 5, 1), bool)
    assert not run_step(empty, step, DEFAULT_AMOUNT[step], around).any()
    mask = pieces()
    after = run_step(mask, step, DEFAULT_AMOUNT[step], around)
    assert after.shape == mask.shape
    assert after.dtype == bool
    assert np.array_equal(mask, pieces())


def test_a_filled_hole_leaves_other_labels_alone() -> None:
    outer = np.zeros((9, 9, 9), np.uint8)
    outer[1:8, 1:8, 1:8] = 10
    outer[4, 4, 4], outer[2, 2, 2] = 20, 0
    after = apply_step(outer, TWO, "kidney", "fill_holes", np.inf, MM)
    assert after[4, 4, 4] == 20
    assert after[2, 2, 2] == 10
    assert (after != outer).sum() == 1


def test_a_removed_core_becomes_the_region_around_it() -> None:
    outer = np.zeros((9, 9, 9), np.uint8)
    outer[1:8, 1:8, 1:8] = 1
    outer[2, 2, 2] = 2
    after = apply_step(outer, NESTED, "core", "remove_small", 0.005, MM)
    assert set(np.unique(after)) == {0, 1}
    with pytest.raises(BadInput, match="no label is called 'rind'"):
        apply_step(outer, NESTED, "rind", "smooth", 1, MM)
