"""Networks: pure modules built from settings. They know no file, recipe or data set."""

from voxloom.networks.base import SegmentationNetwork
from voxloom.networks.build import build_network, count_parameters
from voxloom.networks.levels import plan_levels
from voxloom.networks.norm import FastInstanceNorm
from voxloom.networks.settings import (
    AnyNetworkSettings,
    DynamicUNetSettings,
    EncoderNetworkSettings,
    MixedScaleSettings,
    NetworkSettings,
    OwnNetworkSettings,
    PlainCnnSettings,
    family_of,
    fill_network,
    network_kinds,
    network_settings,
)
from voxloom.networks.unet import UNet, monai_config, to_monai

__all__ = [
    "AnyNetworkSettings",
    "DynamicUNetSettings",
    "EncoderNetworkSettings",
    "FastInstanceNorm",
    "MixedScaleSettings",
    "NetworkSettings",
    "OwnNetworkSettings",
    "PlainCnnSettings",
    "SegmentationNetwork",
    "UNet",
    "build_network",
    "count_parameters",
    "family_of",
    "fill_network",
    "monai_config",
    "network_kinds",
    "network_settings",
    "plan_levels",
    "to_monai",
]
