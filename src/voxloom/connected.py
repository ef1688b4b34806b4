"""Connected pieces of a mask: the one place that asks the library ``cc3d``. Knows arrays only."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


def connected(mask: NDArray[np.bool_], neighbors: Literal[6, 26] = 26) -> NDArray[Any]:
    """Number of each voxel's piece (I, J, K), from 1 without gaps; 0 outside the mask.

    A mask that is one row of voxels goes another way: cc3d 4.1.1 reserves too few numbers for a row of bool and stops with
    "maximum length exception".
    """
    import cc3d

    whole = np.ascontiguousarray(mask)
    row = sum(n > 1 for n in whole.shape) < 2
    numbered: NDArray[Any] = np.asarray(
        cc3d.connected_components(whole.view(np.uint8) if row else whole, connectivity=neighbors)
    )
    return numbered
