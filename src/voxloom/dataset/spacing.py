"""The voxel size of pictures, which have none themselves, from a table of the data set.

Knows the columns ``pixel_spacing``, ``spacing`` and ``PixelSpacing`` (mm). Only images without a voxel size take it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from voxloom.errors import BadInput
from voxloom.formats.header import Header
from voxloom.volume import Volume

#: Names of the column, without case and underscores.
_COLUMNS = ("pixelspacing", "spacing", "pixelsize")
_Grid = TypeVar("_Grid", Volume, Header)


def spacing_in(attributes: Mapping[str, Any], case: str) -> tuple[float, float] | None:
    """Width and height of a pixel in mm, as a table gives them; None without such a column or with an empty cell.

    One number, or two: width and height ("0.5 0.7"); with a backslash height and width, as in DICOM ("0.7\\\\0.5").

    Raises
    ------
    BadInput : the cell is not a size.
    """
    for name, value in attributes.items():
        if re.sub(r"[\s_]", "", name.lower()).removesuffix("mm").strip("()") not in _COLUMNS or value in (None, ""):
            continue
        text = str(value)
        words = [word for word in re.split(r"[\s,;x\\\[\]()]+", text.strip()) if word and word != "mm"]
        try:
            sizes = [float(word) for word in words]
        except ValueError:
            sizes = []
        if len(sizes) not in (1, 2) or not all(math.isfinite(v) and v > 0 for v in sizes):
            fix = 'Write one number in mm, or width and height: "0.5 0.7"'
            raise BadInput(f"the {name} of case {case} is {text!r}", None, fix)
        width, height = (sizes[0], sizes[-1]) if "\\" not in text else (sizes[-1], sizes[0])
        return width, height
    return None


def measured(grid: _Grid, spacing: tuple[float, float] | None) -> _Grid:
    """A volume or header in mm, where it has no voxel size and a table gives one; any other as it is.

    The grid keeps its first voxel; a slice of unknown thickness stays 1 mm thick.
    """
    if spacing is None or grid.unit != "pixel":
        return grid
    affine = grid.affine @ np.diag([spacing[0], spacing[1], 1.0, 1.0])
    meta = {key: value for key, value in grid.meta.items() if key != "unit"}
    return replace(grid, affine=affine, meta=meta)
