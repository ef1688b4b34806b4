"""Networks on known encoders, and the first weights of the others."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from voxloom.networks import build_network, count_parameters, network_settings
from voxloom.networks.dynamic_unet import DynamicUNet, ShuffleUp
from voxloom.networks.encoder import first_convolution, hub_address
from voxloom.networks.initial import adapt_stem, icnr_initialize
from voxloom.networks.plain_cnn import LAYERS

from .families import OTHER_PAIRS, documented_weights


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_equal_channels_give_what_three_equal_channels_gave(channels: int) -> None:
    kernels, image = torch.randn(4, 3, 7, 7), torch.randn(1, 1, 20, 20)
    expected = nn.functional.conv2d(image.expand(-1, 3, -1, -1), kernels)
    found = nn.functional.conv2d(image.expand(-1, channels, -1, -1), adapt_stem(kernels, channels))
    assert torch.allclose(found, expected, atol=1e-4)


def test_one_channel_gets_the_sum_and_three_keep_their_own() -> None:
    kernels = torch.randn(4, 3, 7, 7)
    assert torch.allclose(adapt_stem(kernels, 1), kernels.sum(1, keepdim=True))
    assert adapt_stem(kernels, 3) is kernels


def test_pixel_shuffle_starts_as_plain_enlargement() -> None:
    up = ShuffleUp(6, 4, blur=False)
    icnr_initialize(up.conv)
    found = up(torch.randn(2, 6, 5, 5))
    blocks = found.unfold(2, 2, 2).unfold(3, 2, 2).flatten(-2)
    assert torch.equal(blocks.amax(-1), blocks.amin(-1))
    assert float(up.conv.weight.detach().std()) == pytest.approx((2 / 6) ** 0.5, rel=0.3)


def test_the_blur_is_the_mean_with_the_upper_and_left_neighbours() -> None:
    up = ShuffleUp(6, 1, blur=True)
    plain = up.shuffle(up.relu(up.conv(x := torch.randn(1, 6, 3, 3))))
    assert torch.allclose(up(x)[0, 0, 3, 4], plain[0, 0, 2:4, 3:5].mean(), atol=1e-6)
    assert up(x).shape == plain.shape


@pytest.mark.parametrize(("kind", "encoder"), OTHER_PAIRS)
def test_the_other_pairs_fit_odd_sizes_and_train_every_weight(kind: str, encoder: str) -> None:
    s = network_settings({"kind": kind, "encoder": encoder, "in_channels": 1, "out_channels": 2})
    network = build_network(s, seed=0)
    found = network.train()(torch.randn(1, 1, 37, 50, generator=torch.Generator().manual_seed(0)))
    assert found.shape == (1, 2, 37, 50)
    found.square().mean().backward()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in network.parameters())
    assert documented_weights(s) == f"{count_parameters(network):,}"


def test_the_dynamic_unet_has_the_widths_of_its_encoder() -> None:
    network = build_network(network_settings({"kind": "dynamic_unet", "in_channels": 1, "out_channels": 2}), seed=0)
    assert isinstance(network, DynamicUNet)
    assert [block.convs[1].out_channels for block in network.decoder] == [512, 384, 256, 96]
    for module in network.modules():
        if isinstance(module, ShuffleUp):
            assert torch.equal(module.conv.weight[0], module.conv.weight[3])


def test_random_encoders_are_drawn_after_he() -> None:
    network = build_network(
        network_settings({"kind": "pspnet", "encoder": "inceptionv4", "in_channels": 1, "out_channels": 2}), seed=0
    )
    name = first_convolution(network.net.encoder)
    for key in (f"net.encoder.{name}", "net.encoder.features.6.branch1.1.conv.weight"):
        weight = network.get_parameter(key)
        assert float(weight.detach().std()) == pytest.approx((2 / weight[0].numel()) ** 0.5, rel=0.15)


def test_the_hub_address_names_repository_and_revision() -> None:
    repository, revision = hub_address("resnet50")
    assert repository == "smp-hub/resnet50.imagenet"
    assert len(revision) == 40


def test_the_hand_made_networks_upsample_as_often_as_they_pool() -> None:
    assert len(LAYERS) == 6
    assert all(not up or len(up) == len(down) for down, up in LAYERS.values())


def test_dropout_of_the_dynamic_unet_acts_in_training_alone() -> None:
    settings = network_settings({"kind": "dynamic_unet", "in_channels": 1, "out_channels": 2, "dropout": 0.5})
    network = build_network(settings, seed=0)
    image = torch.rand(2, 1, 64, 64)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    network.train()
    with torch.no_grad():
        assert not torch.equal(network(image), network(image))
        network.eval()
        assert torch.equal(network(image), network(image))
