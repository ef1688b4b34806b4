"""Slices in training: how often, which, and with which neighbors; and a whole run of three slices in, one out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from voxloom.inference import predict_map
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

    predict_map(network, case.image(), patch=(6, 5, 1), batch=3, stack=settings.stack, channels_last=False)
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
