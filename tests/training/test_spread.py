"""A 3D network on slices of the whole volume: which it sees in training, and that each is answered once in a prediction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voxloom.augment import AugmentSettings
from voxloom.errors import BadInput
from voxloom.inference import Windowing, predict_map
from voxloom.prepare import SliceSettings, SliceStack
from voxloom.prepare.slices import spread_slices
from voxloom.recipe.recipe import Recipe
from voxloom.tasks.segmentation.facts import wishes_of
from voxloom.training.sampling import PatchSampler

from .fakes import BallCase


def sampler(slices: SliceSettings, augment: AugmentSettings | None = None, depth: int = 30) -> PatchSampler:
    cases = [BallCase(n, (18, 16, depth)) for n in range(2)]
    return PatchSampler(cases, (18, 16, 8), (18, 16, 8), 2, 0.0, 3, slices, augment or AugmentSettings())


def test_training_sees_random_sorted_slices_of_the_whole_volume() -> None:
    s = sampler(SliceSettings(spread=8))
    image, label = s.read(0)
    assert image.shape == (2, 1, 18, 16, 8)
    for draw, seen, truth in zip(s.draw(0), image, label, strict=True):
        planes = np.array(draw.planes, dtype=int)
        assert (np.diff(planes) > 0).all()
        assert np.ptp(planes) > 8
        whole = s.cases[draw.case]
        np.testing.assert_array_equal(seen[0], whole.image()[0][..., planes])
        np.testing.assert_array_equal(truth, whole.label()[..., planes])
    assert s.draw(0) == s.draw(0) != s.draw(1)


def test_background_slices_are_left_out_and_few_slices_are_padded_with_zeros() -> None:
    s = sampler(SliceSettings(spread=8, background=False))
    labelled = {k for k in range(30) if s.cases[0].label()[..., k].any()}
    draw = next(d for d in s.draw(0) if d.case == 0)
    assert labelled >= {int(k) for k in draw.planes or () if 0 <= k < 30}
    few = sampler(SliceSettings(spread=8), depth=5)
    image, _ = few.read(0)
    assert few.draw(0)[0].planes == (-1, 0, 1, 2, 3, 4, 5, 5)
    assert not image[0, ..., [0, 6, 7]].any()


def test_interpolation_moves_slices_by_up_to_half_a_slice() -> None:
    changed = AugmentSettings(slice_interpolation_chance=1.0, slice_interpolation=1.0)
    moved = np.array(sampler(SliceSettings(spread=8), changed).draw(0)[0].planes)
    still = np.array(sampler(SliceSettings(spread=8)).draw(0)[0].planes)
    assert 0 < np.abs(moved - still).max() <= 0.5


@given(count=st.integers(1, 80), depth=st.integers(2, 20))
def test_groups_have_every_slice_once_at_equal_distances(count: int, depth: int) -> None:
    groups = spread_slices(count, depth)
    answered = np.concatenate([group[own] for group, own in groups])
    assert sorted(answered.tolist()) == list(range(count))
    for group, own in groups:
        assert len(group) == min(depth, count)
        assert (np.diff(group) > 0).all()
        assert len(set(np.diff(group[own]).tolist())) <= 1


@pytest.mark.parametrize("depth", [8, 5, 30])
def test_a_prediction_puts_every_slice_back_in_its_place(depth: int) -> None:
    image = np.random.default_rng(0).standard_normal((1, 9, 7, 21)).astype(np.float32)
    sizes = []

    def network(windows):
        sizes.append(windows.shape[-1])
        return windows

    found = predict_map(
        network,
        image,
        Windowing((9, 7, depth), activation="sigmoid", stack=SliceStack(spread=True)),
        out_dtype=np.float32,
    )
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-image)), atol=1e-3)
    assert set(sizes) == {depth}


def test_what_does_not_go_with_spread_slices_is_refused() -> None:
    with pytest.raises(ValidationError, match="2D"):
        SliceSettings(spread=8, per_volume=4)
    for text in ("training: {patch: [9, 9, 1]}", "network: {dims: 2}", "training: {patch: [9, 9, 4]}"):
        with pytest.raises(BadInput, match="patches of 8 slices"):
            wishes_of(Recipe.parse(f"slices: {{spread: 8}}\n{text}", "text"))
    fitting = wishes_of(Recipe.parse("slices: {spread: 8, plane: axial}\ntraining: {patch: [9, 9, 8]}", "text"))
    assert (fitting.dims, fitting.plane, fitting.patch) == (3, "axial", (9, 9, 8))
