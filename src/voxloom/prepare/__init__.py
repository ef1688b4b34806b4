"""Volumes in, network-ready volumes out, and the way back to the source grid. Never imports torch."""

from voxloom.prepare.cache import PREPARE_VERSION, Cache, PreparedCase, PreparedSet
from voxloom.prepare.geometry import Geometry
from voxloom.prepare.pipeline import (
    measure_statistics,
    plan,
    prepare_image,
    prepare_label,
)
from voxloom.prepare.settings import (
    ChannelStatistics,
    Normalization,
    PrepareSettings,
    Statistics,
)
from voxloom.prepare.slices import PLAIN_SLICES, SliceSettings, SliceStack, plane_orientation

__all__ = [
    "PLAIN_SLICES",
    "PREPARE_VERSION",
    "Cache",
    "ChannelStatistics",
    "Geometry",
    "Normalization",
    "PrepareSettings",
    "PreparedCase",
    "PreparedSet",
    "SliceSettings",
    "SliceStack",
    "Statistics",
    "measure_statistics",
    "plan",
    "plane_orientation",
    "prepare_image",
    "prepare_label",
]
