"""Slices in training: how often, which, and with which neighbors; and a whole run of three slices in, one out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from voxloom.augment import AugmentSettings, changes_batch
from voxloom.inference import Windowing, predict_map
from voxloom.prepare import SliceSettings
from voxloom.training.sampling import PatchSampler

from .fakes import BallCase


def sampler(cases, *, batch=4, foreground=0.0, **slices) -> PatchSampler:
    return PatchSampler(cases, (18, 16, 1), (18, 16, 1), batch, foreground, 3, SliceSettings(**slices))


def visits(s: PatchSampler, steps: range) -> list[tuple[int, int]]:
    return [(d.case, d.start[2]) for step in steps for d in s.draw(step)]


def test_sixteen_different_slices_of_every_volume_and_pass() -> None:
    cases = [BallCase(n, (18, 16, 30)) for n in range(3)]
    s = sampler(cases, batch=4, per_volume=16)
    assert s.per_pass == 48
    first, second = visits(s, range(12)), visits(s, range(12, 24))
    assert Counter(case for case, _ in first) == {0: 16, 1: 16, 2: 16}
    assert len(set(first)) == len(set(second)) == 48
    assert set(first) != set(second)
    order = s.order.drawn(0, 1)
    assert (np.diff(order) > 0).all()


def test_a_volume_of_few_slices_gives_all_of_them_repeatedly() -> None:
    s = sampler([BallCase(0, (18, 16, 14))], batch=16, per_volume=20)
    counts = Counter(int(k) for k in s.order.drawn(0, 0))
    assert set(counts) == set(range(14))
    assert max(counts.values()) - min(counts.values()) == 1


@pytest.mark.parametrize("per_volume", [None, 5])
def test_background_slices_are_left_out_in_training_only(per_volume: int | None) -> None:
    case = BallCase(0, (18, 16, 30))
    labelled = set(np.flatnonzero(case.label().any(axis=(0, 1))))
    seen = {k for _, k in visits(sampler([case], background=False, per_volume=per_volume), range(40))}
    assert seen == labelled
    everything = {k for _, k in visits(sampler([case], background=True, per_volume=per_volume), range(60))}
    assert not everything <= labelled


def test_a_case_without_labels_gives_all_its_slices() -> None:
    case = BallCase(0)
    case.foreground = {}
    assert set(sampler([case], background=False).order.candidates(0)) == set(range(14))


def test_foreground_share_holds_within_the_drawn_slice() -> None:
    case = BallCase(0, (40, 40, 14))
    s = PatchSampler([case], (8, 8, 1), (8, 8, 1), 4, 1.0, 3, SliceSettings(background=False))
    for step in range(20):
        _, label = s.read(step)
        assert label.reshape(4, -1).max(axis=1).min() == 1


@pytest.mark.parametrize("edges", ["zero", "replicate"])
@pytest.mark.parametrize("neighbors", [1, 2, 9])
def test_training_and_prediction_see_the_same_stacks(edges: str, neighbors: int) -> None:
    """The patch read at slice k equals what the network gets at slice k in prediction, at the volume's ends too."""
    case = BallCase(1, (6, 5, 8))
    settings = SliceSettings(neighbors=neighbors, edges=edges)
    seen: list[torch.Tensor] = []

    def network(x: torch.Tensor) -> torch.Tensor:
        seen.append(x.clone())
        return x[:, :1]

    predict_map(network, case.image(), Windowing((6, 5, 1), batch=3, stack=settings.stack, channels_last=False))
    predicted = torch.cat(seen).numpy()
    s = PatchSampler([case], (6, 5, 1), (6, 5, 1), 1, 0.0, 3, settings)
    found = set()
    for step in range(60):
        k = s.draw(step)[0].start[2]
        image, label = s.read(step)
        assert image.shape == (1, 2 * neighbors + 1, 6, 5, 1)
        np.testing.assert_array_equal(image[0, ..., 0], predicted[k])
        np.testing.assert_array_equal(label[0, ..., 0], case.label()[..., k])
        found.add(k)
    assert found == set(range(8))


class RampCase(BallCase):
    """A volume whose voxels are the number of their slice, labelled 1 in every second one."""

    def __init__(self) -> None:
        super().__init__(0, (4, 4, 12))
        self._image = np.broadcast_to(np.arange(12, dtype=np.float32), (1, 4, 4, 12)).copy()
        self._label = (self._image[0] % 2).astype(np.uint8)


def test_skipped_and_interpolated_slices_are_read_where_they_lie() -> None:
    changes = AugmentSettings(slice_skip_chance=0.5, slice_interpolation_chance=0.5)
    s = PatchSampler([RampCase()], (4, 4, 5), (4, 4, 5), 1, 0.0, 3, augment=changes)
    kinds = set()
    for step in range(60):
        planes = np.array(s.draw(step)[0].planes)
        image, label = s.read(step)
        inside = (planes >= 0) & (planes <= 11)
        np.testing.assert_allclose(image[0, 0, 0, 0][inside], planes[inside], atol=1e-5)
        np.testing.assert_array_equal(label[0, 0, 0][inside], np.floor(planes[inside] + 0.5) % 2)
        outside = (planes < -1) | (planes > 12)
        assert (image[0, 0, 0, 0][outside] == 0).all()
        kinds |= set(np.diff(planes).round(6))
    assert {0.5, 1.0, 2.0} <= kinds


def test_a_skipped_neighbor_is_two_slices_away_and_the_label_stays_in_the_middle() -> None:
    changes = AugmentSettings(slice_skip_chance=1.0, slice_skip=1.0)
    s = PatchSampler(
        [RampCase()], (4, 4, 1), (4, 4, 1), 1, 0.0, 3, SliceSettings(neighbors=1, edges="replicate"), changes
    )
    for step in range(20):
        k = s.draw(step)[0].start[2]
        image, label = s.read(step)
        np.testing.assert_array_equal(image[0, :, 0, 0, 0], np.clip([k - 2, k, k + 2], 0, 11))
        assert label[0, 0, 0, 0] == k % 2


def test_reading_and_changing_leave_the_same_batches_alone() -> None:
    changes = AugmentSettings(slice_skip_chance=1.0, slice_skip=1.0, batch_chance=0.5)
    s = PatchSampler([RampCase()], (4, 4, 5), (4, 4, 5), 2, 0.0, 3, augment=changes)
    for step in range(30):
        skipped = [draw.planes is not None for draw in s.draw(step)]
        assert skipped == [changes_batch(changes, 3, step)] * 2


@pytest.mark.parametrize("recipe", ["ct-kidney", "ct-liver", "ct-kidney-3d", "ct-kidney-msd-3d"])
def test_skipping_slices_changes_the_batches_of_the_ct_recipes(recipe: str) -> None:
    """With nothing else changed, by the recipe's own share; slices that are shown stay whole ones with a label."""
    from voxloom.recipe.recipe import Recipe

    loaded = Recipe.load(recipe)
    depth = loaded.training["patch"][2]
    size, batch = (18, 16, depth), 28 if depth == 1 else 2
    skipping = AugmentSettings.model_validate({**loaded.augment, "slice_interpolation_chance": 0.0})
    still = skipping.model_copy(update={"slice_skip_chance": 0.0})
    cases = [BallCase(n, (18, 16, 40)) for n in range(3)]
    for case in cases:  # as many slices with a label as an organ has
        case._label[4, 4, 5:35] = 1
        case.foreground = {1: np.argwhere(case._label == 1)}
    read = [PatchSampler(cases, size, size, batch, 0.0, 3, loaded.slices, settings) for settings in (skipping, still)]
    changed = 0
    for step in range(12):
        (image, label), (before, _) = (one.read(step) for one in read)
        assert label.any(axis=(1, 2)).all()
        changed += not np.array_equal(image, before)
        assert changes_batch(skipping, 3, step) or np.array_equal(image, before)
    assert changed >= 4


def test_all_slices_are_an_epoch_whatever_their_number() -> None:
    cases = [BallCase(n, (18, 16, 10 + 3 * n)) for n in range(3)]
    s = sampler(cases, batch=3, per_volume="all")
    assert s.per_pass == 10 + 13 + 16
    first, second = visits(s, range(13)), visits(s, range(13, 26))
    assert set(first) == set(second) == {(n, k) for n in range(3) for k in range(10 + 3 * n)}
    assert first != second
    labelled = sampler(cases, batch=1, per_volume="all", background=False)
    counts = [int(case.label().any(axis=(0, 1)).sum()) for case in cases]
    assert labelled.per_pass == sum(counts) < s.per_pass
    assert Counter(case for case, _ in visits(labelled, range(sum(counts)))) == dict(enumerate(counts))


def test_the_three_planes_of_a_study_have_epochs_of_their_own() -> None:
    """The steps of the cervical study follow from the slices of the plane, not from a number made for one of them."""
    from voxloom.recipe.recipe import Recipe
    from voxloom.training.settings import TrainingSettings

    training = TrainingSettings.model_validate(Recipe.load("cervical-spine-2d").training)
    slices = {"sagittal": 2686, "coronal": 2276, "axial": 2130}
    assert {plane: training.steps_for(count) for plane, count in slices.items()} == {
        "sagittal": 5037, "coronal": 4268, "axial": 3994,
    }  # fmt: skip
