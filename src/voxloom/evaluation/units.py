"""Units of distances and volumes: mm and ml, or pixels where the images have no voxel size. Knows names only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

#: Where lengths are millimetres, and where they count pixels (``Volume.unit``).
MM, PIXEL = "mm", "pixel"


def distance_unit(unit: str) -> str:
    """What distances are counted in: ``mm`` or ``pixels``; ``mm or pixels`` where cases differ."""
    return {MM: "mm", PIXEL: "pixels"}.get(unit, "mm or pixels")


def volume_unit(unit: str) -> str:
    """What volumes are counted in: ``ml`` or ``pixels``; ``ml or pixels`` where cases differ."""
    return {MM: "ml", PIXEL: "pixels"}.get(unit, "ml or pixels")


def named(metric: str, unit: str) -> str:
    """The name of a metric in files and summaries: ``volume_error_ml`` is ``volume_error_pixels`` in pixels."""
    return metric.replace("_ml", "_pixels") if unit == PIXEL else metric


def unit_of(summary: Mapping[str, Any]) -> str:
    """The unit of a summary; those of earlier versions have none and are in mm."""
    return str(summary.get("unit", MM))


def common(units: Iterable[str]) -> str:
    """The one unit of several, ``mm`` without any, ``mixed`` where they differ."""
    found = set(units)
    return MM if not found else found.pop() if len(found) == 1 else "mixed"
