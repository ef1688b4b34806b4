"""Patches: stateless draws, windows inside and outside the volume, foreground as asked for."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from voxloom.augment import AugmentSettings
from voxloom.prepare import SliceSettings
from voxloom.training.sampling import Draw, PatchSampler, center_range, read_window, window_for, window_size

from .fakes import BallCase


class FakeCase:
    """A volume whose voxels carry their own index."""

    def __init__(
        self, shape: tuple[int, int, int], foreground: dict[int, list[tuple[int, int, int]]] | None = None
    ) -> None:
        self.shape, self.spacing = shape, (1.0, 1.0, 1.0)
        self._image = np.arange(np.prod(shape), dtype=np.float32).reshape(1, *shape)
        self._label = np.zeros(shape, dtype=np.uint8)
        for value, voxels in (foreground or {}).items():
            for voxel in voxels:
                self._label[voxel] = value
        self.foreground = {v: np.array(p, dtype=np.int32) for v, p in (foreground or {}).items()}

    def image(self, slices=None):
        return self._image if slices is None else self._image[(slice(None), *slices)]

    def label(self, slices=None):
        return self._label if slices is None else self._label[slices]


def sampler(cases, *, foreground=0.0, patch=(4, 4, 4), batch=2) -> PatchSampler:
    return PatchSampler(cases, patch, patch, batch, foreground, seed=3)


def test_draws_depend_on_seed_and_step_only() -> None:
    cases = [FakeCase((9, 8, 7)) for _ in range(5)]
    one, two = sampler(cases), sampler(cases)
    later = [two.draw(step) for step in (7, 3, 5)]
    assert later == [one.draw(step) for step in (7, 3, 5)]
    assert one.draw(0) != one.draw(1)


def test_every_case_is_used_once_per_pass() -> None:
    cases = [FakeCase((9, 8, 7)) for _ in range(6)]
    draws = [d.case for step in range(9) for d in sampler(cases).draw(step)]
    assert Counter(draws) == dict.fromkeys(range(6), 3)
    assert sorted(draws[:6]) == list(range(6))


def test_patches_lie_inside_a_large_volume() -> None:
    for step in range(50):
        for draw in sampler([FakeCase((9, 8, 7))]).draw(step):
            assert all(0 <= s <= n - 4 for s, n in zip(draw.start, (9, 8, 7), strict=True))


def test_foreground_patches_contain_a_labelled_voxel_of_every_label_equally() -> None:
    case = FakeCase((20, 20, 20), {1: [(2, 2, 2)], 2: [(17, 17, 17)] * 50})
    s = sampler([case], foreground=1.0, batch=1)
    hits = Counter(int(s.read(step)[1].max()) for step in range(200))
    assert set(hits) == {1, 2}
    assert 60 < hits[1] < 140


@pytest.mark.parametrize("start", [(0, 0, 0), (-2, 3, 1), (6, 6, 6), (-10, -10, -10)])
def test_window_is_zero_outside_and_exact_inside(start: tuple[int, int, int]) -> None:
    case = FakeCase((7, 6, 5))
    image, label = read_window(case, start, (4, 5, 6))
    assert image.shape == (1, 4, 5, 6)
    assert label.shape == (4, 5, 6)
    for offset in np.ndindex(4, 5, 6):
        voxel = tuple(np.add(start, offset))
        inside = all(0 <= v < n for v, n in zip(voxel, case.shape, strict=True))
        assert image[(0, *offset)] == (case.image()[(0, *voxel)] if inside else 0)


def test_small_volumes_move_within_the_patch() -> None:
    low, high = center_range(5, 8)
    starts = {c - 4 for c in range(low, high + 1)}
    assert starts == {-3, -2, -1, 0}


def test_window_grows_with_rotation_but_not_beyond_the_volumes() -> None:
    assert window_size((10, 10, 10), (1, 1, 1), (0, 0, 0), 1.0, [(99, 99, 99)]) == (10, 10, 10)
    turned = window_size((10, 10, 10), (1, 1, 1), (0, 0, 30), 1.0, [(99, 99, 99)])
    assert turned[2] == 10
    assert turned[0] == turned[1] == int(np.ceil(10 * np.cos(np.pi / 6) + 10 * np.sin(np.pi / 6)))
    assert window_size((10, 10, 10), (1, 1, 1), (30, 30, 30), 1.5, [(12, 9, 11)]) == (12, 10, 11)


def test_draw_is_a_value() -> None:
    assert Draw(1, (0, 0, 0)) == Draw(1, (0, 0, 0))


def test_every_patch_comes_with_the_grid_of_its_case() -> None:
    cases = [BallCase(n, spacing=(1.0, 1.0, 1.0 + n)) for n in range(3)]
    s = PatchSampler(cases, (8, 8, 8), (8, 8, 8), 4, 0.0, 3)
    for step in range(4):
        np.testing.assert_array_equal(s.spacing(step)[:, 2], [1.0 + draw.case for draw in s.draw(step)])
    spread = PatchSampler(cases, (8, 8, 7), (8, 8, 7), 3, 0.0, 3, SliceSettings(spread=7))
    assert sorted(spread.spacing(0)[:, 2].tolist()) == [2.0, 4.0, 6.0]  # 14 slices in 7


def test_windows_are_large_enough_for_the_grid_that_needs_most() -> None:
    thick = AugmentSettings(rotation=(20, 0, 0), scale_chance=0)
    cases = [BallCase(0, (64, 64, 64), spacing=grid) for grid in ((1.0, 1.0, 4.0), (1.0, 1.0, 1.0))]
    both, one = (window_for((16, 16, 16), some, thick) for some in (cases, cases[1:]))
    assert both[1] > one[1] > 16
    assert both[2] >= one[2] > 16
