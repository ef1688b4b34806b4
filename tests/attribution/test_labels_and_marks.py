"""Maps of label maps and landmarks, by networks whose reason is built in: no training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voxloom.attribution import MethodSettings, attribute, randomized
from voxloom.dataset import Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.likeness import points_at
from voxloom.inference.views import Member
from voxloom.landmarks import LandmarkSettings, Layout
from voxloom.networks.base import StagedNetwork
from voxloom.prepare import PrepareSettings, SliceSettings
from voxloom.tasks.landmarks.explained import explain_marks
from voxloom.tasks.landmarks.predictor import LandmarkPredictor
from voxloom.tasks.segmentation.explained import explain_labels
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.training.settings import InferenceSettings
from voxloom.volume import Volume

PLAIN = PrepareSettings(orientation="RAS", normalize=["none"])


class Brightness(StagedNetwork):
    """Logits (B, maps, ...) that grow with the mean of the channels; the first map is against all others."""

    def __init__(self, channels: int, maps: int, dims: int = 3, depth: int = 1) -> None:
        super().__init__()
        self.settings = SimpleNamespace(dims=dims)
        conv: Any = nn.Conv3d if dims == 3 else nn.Conv2d
        self.stage = conv(channels, 1, 1, bias=False)
        self.head = conv(1, maps, (1, 1, depth) if dims == 3 else 1)
        with torch.no_grad():
            self.stage.weight.fill_(1 / channels)
            self.head.weight.fill_(4.0 / depth)
            self.head.weight[0] = -4.0 / depth if maps > 1 else 4.0 / depth
            self.head.bias.fill_(-2.0)
            self.head.bias[0] = 2.0 if maps > 1 else -2.0

    def encoder_stages(self) -> list[list[nn.Module]]:
        return [[self.stage]]

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stage(x).relu())  # type: ignore[no-any-return]


def scan(shape: tuple[int, int, int] = (20, 18, 10)) -> tuple[Volume, np.ndarray]:
    """A bright box in a turned scan, and where it lies."""
    data, there = np.zeros(shape, np.float32), np.zeros(shape, bool)
    there[12:16, 3:6, 4:7] = True
    data[there] = 1.0
    affine = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, 7], [0, 0, 3.0, 9], [0, 0, 0, 1]])
    return Volume(data[None], affine), there


def predictor(network: nn.Module, patch: tuple[int, int, int], **more: Any) -> Predictor:
    labels = more.pop("labels", {"background": 0, "box": 1})
    return Predictor(
        members=(Member(network.eval(), None),),
        prepare=PLAIN,
        inference=InferenceSettings(),
        labels=Labels.from_nnunet(labels, more.pop("order", None)),
        channels=("image",),
        patch=patch,
        precision="fp32",
        channels_last=False,
        device=torch.device("cpu"),
        largest=(),
        **more,
    )


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "integrated-gradients", "occlusion"])
def test_a_label_is_explained_where_it_is_predicted_in_windows(method: str) -> None:
    image, there = scan()
    explained = explain_labels(predictor(Brightness(1, 2), (12, 12, 8)))
    found = attribute(explained, image, "box", MethodSettings(method=method, box_mm=4.0))  # type: ignore[arg-type]
    assert found.seen
    assert not found.constant
    assert found.map.same_grid(image)
    assert found.map.data.dtype == np.float32
    assert points_at(found.map.data[0], there)
    assert found.map.data[0][there].mean() > 5 * np.abs(found.map.data[0][~there]).mean()


def test_cam_is_refused_for_label_maps_and_an_unknown_label_too() -> None:
    explained = explain_labels(predictor(Brightness(1, 2), (12, 12, 8)))
    with pytest.raises(BadInput, match=r"cam needs a network that pools .* Use grad-cam"):
        attribute(explained, scan()[0], "box", MethodSettings(method="cam"))
    with pytest.raises(BadInput, match="no answer 'liver'. There are box"):
        attribute(explained, scan()[0], "liver")


def test_regions_have_scores_of_their_own() -> None:
    image, there = scan()
    network = Brightness(1, 2)
    with torch.no_grad():
        network.head.weight.copy_(network.head.weight.abs())
        network.head.bias.copy_(-network.head.bias.abs())
    labels = {"background": 0, "whole": [1, 2], "core": 2}
    explained = explain_labels(predictor(network, (20, 18, 10), labels=labels, order=[1, 2]))
    assert explained.answers == ("whole", "core")
    assert points_at(attribute(explained, image, "core").map.data[0], there)


@pytest.mark.parametrize(("neighbors", "edges"), [(0, "zero"), (1, "zero"), (1, "replicate")])
def test_slices_of_2d_networks(neighbors: int, edges: str) -> None:
    image, there = scan()
    slices = SliceSettings(neighbors=neighbors, edges=edges)  # type: ignore[arg-type]
    explained = explain_labels(predictor(Brightness(2 * neighbors + 1, 2, dims=2), (20, 18, 1), slices=slices))
    found = attribute(explained, image, "box", MethodSettings(method="integrated-gradients", steps=4)).map.data[0]
    assert points_at(found, there)
    assert np.abs(found[:, :, 9]).max() == 0, "no window near this slice shows the box"


def test_spread_slices_are_refused() -> None:
    with pytest.raises(BadInput, match="do not lie side by side"):
        explain_labels(predictor(Brightness(1, 2), (20, 18, 4), slices=SliceSettings(spread=4)))


def test_a_label_that_is_not_there_has_a_map_of_zeros_and_this_is_told() -> None:
    image, _ = scan()
    found = attribute(explain_labels(predictor(Brightness(1, 2), (12, 12, 8))), image.with_data(0 * image.data), "box")
    assert not found.seen
    assert found.constant
    assert not found.map.data.any()


def test_a_map_that_is_not_finite_is_an_error() -> None:
    network = Brightness(1, 2)
    with torch.no_grad():
        network.stage.weight.fill_(1e38)
        network.head.weight.fill_(1e38)
        network.head.weight[0] = -1e38
    with pytest.raises(VoxloomError, match="not finite"):
        attribute(explain_labels(predictor(network, (20, 18, 10))), scan()[0], "box")


def test_random_weights_are_other_weights_and_the_networks_stay() -> None:
    explained = explain_labels(predictor(Brightness(1, 2), (12, 12, 8)))
    before = explained.members[0].network.stage.weight.clone()
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    one, two = randomized(explained, 0), randomized(explained, 1)
    assert torch.equal(torch.rand(1), wanted), "torch's own generator is left as it was"
    weights = [e.members[0].network.head.weight for e in (explained, one, two, randomized(explained, 0))]
    assert torch.equal(explained.members[0].network.stage.weight, before)
    assert not torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[1], weights[2])
    assert torch.equal(weights[1], weights[3])


@pytest.mark.parametrize("slab", [False, True])
def test_landmarks_are_explained_by_their_map(slab: bool) -> None:
    image, there = scan()
    settings = LandmarkSettings(network="multinet" if slab else "unet", maps="level")
    marks = LandmarkPredictor(
        networks=(Brightness(1, 1, depth=3 if slab else 1).eval(),),
        settings=settings,
        layout=Layout("level", ("L1",), ("",)),
        prepare=PLAIN,
        inference=InferenceSettings(),
        channels=("image",),
        patch=(18, 16, 3) if slab else (12, 12, 8),
        precision="fp32",
        device=torch.device("cpu"),
        calibration=None,
    )
    explained = explain_marks(marks)
    assert explained.answers == ("L1",)
    found = attribute(explained, image, "L1", MethodSettings(method="integrated-gradients", steps=4))
    assert points_at(found.map.data[0], there)
    assert not attribute(explained, image.with_data(0 * image.data), "L1").seen
