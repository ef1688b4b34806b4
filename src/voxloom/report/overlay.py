"""A picture with its label map in color: masks of 0, 1 and 2 look black in every viewer of pictures.

Knows one slice, voxel by voxel, and the colors of labels. Labels stay in the mask itself; this is for people to look at.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxloom.dataset.labels import Labels
from voxloom.report.look import gray_limits
from voxloom.report.style import color_of
from voxloom.volume import Volume

#: How much of a label's color lies over the picture inside of its outline.
FILL = 0.35


def overlay(image: Volume, label: Volume, labels: Labels) -> Volume:
    """The picture in RGB, every label filled faintly and outlined in the color that reports give it.

    Parameters
    ----------
    image : (C, I, J, 1); three channels are taken for red, green and blue, else the first that is not missing is gray.
    label : (1, I, J, 1) of outer values on the same grid.

    Returns
    -------
    Volume (3, I, J, 1) of uint8 on the same grid.
    """
    found = shades(image)
    for number, value in enumerate(labels.written_values):
        mask = label.data[0] == value
        ink = np.array(rgb(color_of(number)), np.float32).reshape(3, 1, 1, 1)
        edge = mask & ~ndimage.binary_erosion(mask, border_value=1)
        found = np.where(mask, (1 - FILL) * found + FILL * ink, found)
        found = np.where(edge, ink, found)
    return image.with_data(np.rint(found).astype(np.uint8))


def shades(image: Volume) -> NDArray[np.float32]:
    """The picture as it is shown, (3, I, J, K) from 0 to 255."""
    if image.channels == 3 and image.data.dtype == np.uint8:
        return image.data.astype(np.float32)
    gray = image.present[0].astype(np.float32)
    low, high = gray_limits(gray)
    scaled = np.clip((gray - low) / (high - low), 0, 1) * 255
    return np.repeat(np.asarray(scaled, np.float32)[None], 3, axis=0)


def rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#RRGGBB``."""
    return (int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16))
