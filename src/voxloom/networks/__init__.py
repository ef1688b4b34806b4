"""Networks: pure modules built from settings. They know no file, recipe or data set."""

from voxloom.networks.levels import plan_levels
from voxloom.networks.norm import FastInstanceNorm
from voxloom.networks.settings import NetworkSettings
from voxloom.networks.unet import UNet, build_network, count_parameters, monai_config, to_monai

__all__ = [
    "FastInstanceNorm",
    "NetworkSettings",
    "UNet",
    "build_network",
    "count_parameters",
    "monai_config",
    "plan_levels",
    "to_monai",
]
