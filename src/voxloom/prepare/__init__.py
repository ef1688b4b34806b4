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
from voxloom.prepare.usage import CacheFile, clean_cache, list_cache

__all__ = [
    "PLAIN_SLICES",
    "PREPARE_VERSION",
    "Cache",
    "CacheFile",
    "ChannelStatistics",
    "Geometry",
    "Normalization",
    "PrepareSettings",
    "PreparedCase",
    "PreparedSet",
    "SliceSettings",
    "SliceStack",
    "Statistics",
    "clean_cache",
    "list_cache",
    "measure_statistics",
    "plan",
    "plane_orientation",
    "prepare_image",
    "prepare_label",
]
