"""Colors of labels that have none of their own."""

from __future__ import annotations

import colorsys

from voxloom.formats.dicom.results.terms import Color


def color_of(number: int) -> Color:
    """A color that differs from its neighbors' (golden-angle hues)."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.381966 % 1.0, 0.65, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
