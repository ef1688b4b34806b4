"""Slice spacing: positions ascend around the middle slice, at the asked shares; whole batches are left alone at theirs."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.augment import AugmentSettings, among_kept, changes_batch, kept_slices, slice_positions


def drawn(count: int, seed: int = 0, **changes: float) -> np.ndarray:
    return slice_positions(AugmentSettings(**changes), np.random.default_rng(seed), 20, count)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_without_a_chance_slices_follow_one_by_one(count: int) -> None:
    np.testing.assert_array_equal(drawn(count), np.arange(20 - count // 2, 20 - count // 2 + count))


def test_skipped_slices_leave_whole_slices_in_order_around_the_middle() -> None:
    steps = []
    for seed in range(200):
        positions = drawn(7, seed, slice_skip_chance=1, slice_skip=0.3)
        assert positions[3] == 20
        steps += np.diff(positions).tolist()
    assert set(steps) == {1.0, 2.0}
    assert np.mean(np.array(steps) == 2) == pytest.approx(0.3, abs=0.05)


def test_interpolated_slices_lie_between_and_the_middle_moves_by_half_a_slice_at_most() -> None:
    middles = []
    for seed in range(200):
        positions = drawn(5, seed, slice_interpolation_chance=1, slice_interpolation=0.5)
        assert set(np.diff(positions).round(9)) <= {0.5, 1.0}
        middles.append(positions[2] - 20)
    assert -0.5 <= min(middles) < -0.4
    assert 0.4 < max(middles) <= 0.5


def test_the_share_of_changed_batches() -> None:
    settings = AugmentSettings(batch_chance=0.8)
    changed = [changes_batch(settings, 3, step) for step in range(2000)]
    assert np.mean(changed) == pytest.approx(0.8, abs=0.03)
    assert changed == [changes_batch(settings, 3, step) for step in range(2000)]
    assert all(changes_batch(AugmentSettings(), 3, step) for step in range(50))


def kept(seed: int, slices: list[int], share: float, least: int = 1) -> list[int]:
    settings = AugmentSettings(slice_skip_chance=1.0, slice_skip=share)
    return kept_slices(settings, np.random.default_rng(seed), slices, least).tolist()


def test_slices_are_left_out_of_a_volume_never_two_in_a_row() -> None:
    slices = list(range(10, 50))
    left = [kept(seed, slices, 0.5) for seed in range(100)]
    for found in left:
        assert set(found) <= set(slices)
        assert max(np.diff([9, *found, 50])) <= 2
    assert np.mean([len(found) for found in left]) == pytest.approx(40 / 1.5, rel=0.05)
    assert all(kept(seed, slices, 1.0) in (slices[::2], slices[1::2]) for seed in range(9))
    assert kept(0, slices, 0.0) == slices
    assert kept_slices(AugmentSettings(), np.random.default_rng(0), slices).tolist() == slices
    assert len(kept(0, slices, 1.0, least=35)) == 35
    assert kept(0, [3, 4], 1.0, least=8) == [3, 4]


def test_a_slice_that_was_left_out_is_replaced_by_one_that_is_left() -> None:
    random = np.random.default_rng(0)
    gone = np.array([0, 2, 4, 6, 7])
    assert {among_kept(random, [5], gone)[0] for _ in range(40)} == {4.0, 6.0}
    assert among_kept(random, [4], gone) == [4.0]
    assert among_kept(random, [1, 2, 6, 7], gone) in ([0, 2, 6, 7], [2, 4, 6, 7])
    assert among_kept(random, [-1, 0, 2, 4, 6, 7, 9], gone) == [-1, 0, 2, 4, 6, 7, 9]
