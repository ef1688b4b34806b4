"""From settings to a network with its initial weights."""

from __future__ import annotations

import torch
from torch import nn

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.settings import (
    AnyNetworkSettings,
    DynamicUNetSettings,
    EncoderNetworkSettings,
    MixedScaleSettings,
    MonaiUNetSettings,
    NetworkSettings,
    OwnNetworkSettings,
    PlainCnnSettings,
)


def build_network(settings: AnyNetworkSettings, *, seed: int | None = None) -> SegmentationNetwork:
    """The network of the settings with random weights (He et al. 2015).

    Parameters
    ----------
    seed : of the initial weights; None draws from torch's global generator.
    """
    if seed is None:
        return _network_of(settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _network_of(settings)


def _network_of(settings: AnyNetworkSettings) -> SegmentationNetwork:
    """Imports the family's module only when it is wanted: segmentation_models_pytorch alone takes a second."""
    if isinstance(settings, NetworkSettings):
        from voxloom.networks.unet import UNet

        return UNet(settings)
    if isinstance(settings, MixedScaleSettings):
        from voxloom.networks.msd import MixedScaleDense

        return MixedScaleDense(settings)
    if isinstance(settings, PlainCnnSettings):
        from voxloom.networks.plain_cnn import PlainCnn

        return PlainCnn(settings)
    if isinstance(settings, DynamicUNetSettings):
        from voxloom.networks.dynamic_unet import DynamicUNet

        return DynamicUNet(settings)
    if isinstance(settings, MonaiUNetSettings):
        from voxloom.networks.monai_unet import MonaiUNet

        return MonaiUNet(settings)
    if isinstance(settings, OwnNetworkSettings):
        from voxloom.networks.own_network import OwnNetwork

        return OwnNetwork(settings)
    assert isinstance(settings, EncoderNetworkSettings)
    from voxloom.networks.encoder_network import EncoderNetwork

    return EncoderNetwork(settings)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable weights."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
