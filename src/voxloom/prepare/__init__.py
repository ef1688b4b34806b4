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

__all__ = [
    "PREPARE_VERSION",
    "Cache",
    "ChannelStatistics",
    "Geometry",
    "Normalization",
    "PrepareSettings",
    "PreparedCase",
    "PreparedSet",
    "Statistics",
    "measure_statistics",
    "plan",
    "prepare_image",
    "prepare_label",
]
