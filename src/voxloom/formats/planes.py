"""Voxels (I, J, K) as planes (K, J, I), the order of most files. Knows memory, no format."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Columns that are turned together: with all slices of one row they fit into the cache of a core.
_COLUMNS = 128


def planes_of(voxels: NDArray[Any]) -> NDArray[Any]:
    """(K, J, I) in one piece of memory; itself where it lies there so.

    Row by row and block by block: in one sweep nearly every voxel would miss the cache (512 x 512 x 200: four times as long).
    """
    turned = voxels.T
    if turned.flags.c_contiguous:
        return turned
    planes = np.empty(turned.shape, voxels.dtype)
    for j in range(planes.shape[1]):
        for i in range(0, planes.shape[2], _COLUMNS):
            planes[:, j, i : i + _COLUMNS] = voxels[i : i + _COLUMNS, j].T
    return planes
