"""What a file says of its grid before any voxel is read. Knows no format."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Header:
    """Grid and voxel type of a file or series.

    Parameters
    ----------
    shape : grid size (I, J, K).
    channels : number of channels C; a 4D file of time frames counts its frames here.
    affine : (4, 4) voxel index (i, j, k) to RAS+ millimetres.
    dtype : name of the NumPy type that is stored, e.g. ``"int16"``.
    source : the file or folder.
    """

    shape: tuple[int, int, int]
    channels: int
    affine: NDArray[np.float64]
    dtype: str
    source: str
