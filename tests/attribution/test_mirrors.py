"""Maps of features are averaged over the mirror images that training showed: a network may answer beside what it sees."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voxloom.attribution import Explainable, Method, MethodSettings, Windows, attribute
from voxloom.inference.views import Member
from voxloom.prepare import PrepareSettings
from voxloom.volume import Volume

SIZE = (16, 16, 12)


class Beside(nn.Module):
    """Brightness, found two voxels beside its place; a second, strong feature that no answer needs looks straight ahead."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Conv3d(1, 2, 5, padding=2, bias=False).requires_grad_(False)
        self.look.weight.zero_()
        self.look.weight[0, 0, 2, 2, 2] = 10.0
        self.look.weight[1, 0, :3, 1:4, 1:4] = 0.2
        self.look.weight[1, 0, 0, 2, 2] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x)[:, 1:].flatten(2).logsumexp(2)


def explained(mirrors: tuple[int, ...]) -> Explainable:
    return Explainable(
        answers=("bright",),
        members=(Member(Beside(), None),),
        prepare=PrepareSettings(orientation=None, spacing=None, normalize="none"),
        channels=("image",),
        device=torch.device("cpu"),
        windows=partial(Windows.middle, size=SIZE),
        call=lambda network, window, attributes: network(window),
        question=lambda number: lambda plain: lambda answers: answers[:, number],
        dims=3,
        says="brightness",
        mirrors=mirrors,
    )


@pytest.fixture
def scan() -> Volume:
    data = np.zeros((1, *SIZE), np.float32)
    data[0, 7:10, 6:9, 4:7] = 4.0
    return Volume(data, np.eye(4))


def middle(found: Volume) -> float:
    """Center of a map along the first axis, voxels."""
    profile = found.data[0].astype(np.float64).sum((1, 2))
    return float((profile * np.arange(SIZE[0])).sum() / profile.sum())


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_what_lies_beside_its_place_comes_back(scan: Volume, method: Method) -> None:
    settings = MethodSettings(method=method, layer="look")
    plain = attribute(explained(()), scan, "bright", settings).map
    assert middle(plain) > 8.5, "the network answers beside the cue, whose middle is voxel 8"
    found = attribute(explained((0,)), scan, "bright", settings).map
    assert middle(found) == pytest.approx(8, abs=0.05)
    without = attribute(explained((0,)), scan, "bright", settings.model_copy(update={"mirror": False})).map
    np.testing.assert_array_equal(without.data, plain.data)


def test_voxelwise_methods_are_not_averaged(scan: Volume) -> None:
    """Their shares sum to what the answer gains, in one view."""
    settings = MethodSettings(method="integrated-gradients", steps=4)
    plain, mirrored = (attribute(explained(axes), scan, "bright", settings).map for axes in ((), (0,)))
    np.testing.assert_array_equal(plain.data, mirrored.data)
