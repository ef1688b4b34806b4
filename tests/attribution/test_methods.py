"""Each method against its definition, against MONAI's, and on networks whose reason is known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from voxloom.attribution.image import integrated_gradients, occlusion
from voxloom.attribution.layered import layered_map
from voxloom.attribution.layers import layer_of, places_of
from voxloom.errors import BadInput
from voxloom.evaluation.likeness import points_at, rank_correlation, structural_similarity
from voxloom.networks.case_networks import SHARPNESS, CaseNetwork, build_case_network
from voxloom.networks.case_settings import case_network_settings
from voxloom.networks.slabnet import SlabNet, SlabSettings

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = {"kind": "encoder", "features": [4, 6, 8], "strides": [[1] * 3, [2] * 3, [2] * 3], "out_channels": 3}


def network_of(**settings: object) -> CaseNetwork:
    torch.manual_seed(3)
    network = build_case_network(case_network_settings({**SMALL, **settings})).eval().requires_grad_(False)
    nn.init.normal_(network.head.weight)  # so that answers depend on the image
    return network


@pytest.fixture(scope="module")
def network() -> CaseNetwork:
    return network_of()


@pytest.fixture(scope="module")
def image() -> Tensor:
    return torch.randn((1, 1, 16, 16, 12), generator=torch.Generator().manual_seed(1))


def first(answers: Tensor) -> Tensor:
    return answers[:, 1]


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++"])
def test_grad_cam_is_monais(network: CaseNetwork, image: Tensor, method: str) -> None:
    from monai.visualize import GradCAM, GradCAMpp

    kind = GradCAM if method == "grad-cam" else GradCAMpp
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cam = kind(
            network, target_layers="net.bottleneck", upsampler=lambda size: lambda x: x, postprocessing=lambda x: x
        )
        wanted = cam(image.clone().requires_grad_(), class_idx=1)[0, 0]
    found = layered_map(method, network, layer_of(network, None), image, first, network)  # type: ignore[arg-type]
    assert found.shape == (4, 4, 3)
    assert float(wanted.max()) > 0
    torch.testing.assert_close(found / found.max(), wanted / wanted.max(), rtol=1e-4, atol=1e-5)


def test_cam_is_the_features_weighted_by_the_head(network: CaseNetwork, image: Tensor) -> None:
    with torch.no_grad():
        features = network.maps(image)
    wanted = (network.head.weight[1][None, :, None, None, None] * features).sum(1)[0] / features[0, 0].numel()
    found = layered_map("cam", network, layer_of(network, None), image, first, network)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    assert float(found.min()) < 0, "what speaks against the answer stays"


def test_integrated_gradients_sum_to_the_difference(network: CaseNetwork, image: Tensor) -> None:
    found = integrated_gradients(network, image, first, 64)
    with torch.no_grad():
        difference = float(first(network(image)) - first(network(torch.zeros_like(image))))
    assert found.shape == image.shape[2:]
    assert float(found.sum()) == pytest.approx(difference, rel=0.05)


def test_occlusion_of_a_sum_is_what_the_boxes_hold() -> None:
    image = torch.zeros(1, 1, 8, 8, 4)
    image[0, 0, 2, 3, 1] = 8.0
    found = occlusion(lambda x: x.sum((1, 2, 3, 4))[:, None], image, lambda answers: answers[:, 0], (1, 1, 1))
    mean = 8.0 / 256
    assert float(found[2, 3, 1]) == pytest.approx(8.0 - mean)
    assert float(found[5, 5, 3]) == pytest.approx(-mean)
    wide = occlusion(lambda x: x.sum((1, 2, 3, 4))[:, None], image, lambda answers: answers[:, 0], (2, 2, 2))
    assert points_at(wide.numpy(), np.abs(wide.numpy() - wide.numpy().max()) < 1e-6)
    assert float(wide[2, 3, 1]) == float(wide.max())


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({}, (16, 16, 12)),
        (
            {"kind": "resnet", "features": None, "depth": 10, "width": 4, "stem_stride": 1, "stem_pool": False},
            (32, 32, 32),
        ),
        ({"kind": "timm", "features": None, "name": "resnet18", "dims": 2}, (128, 128, 1)),
    ],
)
def test_features_lie_on_the_first_voxel_of_their_stride(settings: dict[str, object], size: tuple[int, ...]) -> None:
    """Padded kernels of 3 put feature n on voxel s * n; an interpolation by factor s would be off by (s - 1) / 2."""
    plain = {k: v for k, v in {**SMALL, **settings}.items() if v is not None and (k != "strides" or not settings)}
    network = build_case_network(case_network_settings(plain)).eval().requires_grad_(False)
    flat = size[2] == 1
    places = places_of(
        lambda x: network(x.squeeze(-1) if flat else x),
        network,
        layer_of(network, None),
        (1, 1, *size),
        torch.device("cpu"),
    )
    stride = {16: 4, 32: 8, 128: 32}[size[0]]
    assert places.step[:2] == (stride, stride)
    assert all(abs(first) < 0.15 * stride for first in places.first[:2])
    spread = places.spread(np.ones((size[0] // stride, size[1] // stride, max(1, size[2] // stride)), np.float32), size)
    np.testing.assert_allclose(spread, 1)


def test_layers_by_name_and_by_stage(network: CaseNetwork, image: Tensor) -> None:
    assert layer_of(network, None) is network.net.bottleneck
    assert layer_of(network, "-2") is network.net.downsamples[-1]
    assert layer_of(network, "net.input_block") is network.net.input_block
    finer = layered_map("grad-cam", network, layer_of(network, "-2"), image, first, network)
    assert finer.shape == (8, 8, 6)
    for wrong in ("-9", "0", "head2"):
        with pytest.raises(BadInput, match=r"layer|stage"):
            layer_of(network, wrong)
    with pytest.raises(BadInput, match="no map of features"):
        layered_map("grad-cam", network, layer_of(network, "head"), image, first, network)


def test_places_that_answer_for_themselves_and_their_map(image: Tensor) -> None:
    """With ``pooling: lse`` Grad-CAM is the answer of each place, so that its maximum is the place that decides."""
    network = network_of(pooling="lse", covariates=2)
    numbers = torch.tensor([[0.5, -1.0]])
    with torch.no_grad():
        features = network.maps(image)[0].flatten(1).T
        each = network.head(torch.cat([features, numbers.expand(len(features), 2)], dim=1))
        whole = network(image, numbers)[0]
        twice = network(torch.cat([image, image]), numbers.expand(2, 2))
    each = each.double()
    wanted = each.amax(0) + torch.log(torch.exp(SHARPNESS * (each - each.amax(0))).mean(0)) / SHARPNESS
    torch.testing.assert_close(whole, wanted.float())
    torch.testing.assert_close(twice, whole.expand(2, -1), rtol=1e-4, atol=1e-5)
    assert bool((whole <= each.amax(0)).all())
    assert bool((whole >= each.mean(0)).all())
    run = lambda x: network(x, numbers)
    found = layered_map("cam", run, layer_of(network, None), image, first, network)
    assert int(found.argmax()) == int(each[:, 1].argmax())


def test_slabs_have_their_slices_first_inside() -> None:
    network = SlabNet(SlabSettings(levels=2, channels=4)).eval().requires_grad_(False)
    image = torch.randn((1, 1, 16, 12, 3), generator=torch.Generator().manual_seed(2))
    layer = layer_of(network, None)
    found = layered_map("grad-cam", network, layer, image, lambda x: x[:, 0, 8, 6, 0], network)
    assert found.shape == (4, 3, 3)
    places = places_of(network, network, layer, (1, 1, 16, 12, 3), torch.device("cpu"))
    assert places.step == (4.0, 4.0, 1.0)


class Slices(CaseNetwork):
    """A 2D network that sees the slices of a volume as a batch and takes their mean."""

    def __init__(self) -> None:
        super().__init__(case_network_settings({"kind": "resnet", "dims": 2}))
        self.stage = nn.Conv2d(1, 2, 3, stride=2, padding=1)
        self.make_head(2)

    def encoder_stages(self) -> list[list[nn.Module]]:
        return [[self.stage]]

    def maps(self, image: Tensor) -> Tensor:
        return self.stage(image[0].movedim(-1, 0)).relu()  # type: ignore[no-any-return]

    def forward(self, image: Tensor, covariates: Tensor | None = None) -> Tensor:
        return self.head(self.pooled(self.maps(image)).mean(0, keepdim=True))  # type: ignore[no-any-return]


def test_slices_seen_as_a_batch_are_put_together_again() -> None:
    network = Slices().eval().requires_grad_(False)
    with torch.no_grad():
        network.stage.weight.fill_(0.1)
        network.stage.bias.zero_()  # type: ignore[union-attr]
        network.head.weight.fill_(1.0)
    image = torch.zeros(1, 1, 8, 8, 5)
    image[0, 0, 4:6, 2:4, 3] = 1
    found = layered_map("grad-cam", network, layer_of(network, None), image, lambda a: a[:, 0], network)
    assert found.shape == (4, 4, 5)
    assert float(found[..., 3].max()) > 0
    assert float(found[..., :3].max()) == 0


def test_likeness_of_maps() -> None:
    random = np.random.default_rng(0)
    a = random.normal(size=(12, 12, 8)).astype(np.float32)
    assert rank_correlation(a, a**3) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert abs(rank_correlation(a, random.normal(size=a.shape))) < 0.1
    assert structural_similarity(a, 5 * a) == pytest.approx(1)
    assert structural_similarity(a, random.normal(size=a.shape)) < 0.2
    assert np.isnan(rank_correlation(a, np.zeros_like(a)))
    assert np.isnan(structural_similarity(a, np.zeros_like(a)))
