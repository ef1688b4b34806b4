"""The smallest box around what is in a volume. Knows arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def bounding_box(values: NDArray[Any]) -> Box | None:
    """Slices that hold all true voxels, or those that are not 0, of (I, J, K); None where there are none."""
    flat = np.asarray(values.any(axis=2))  # one pass over the volume; the rest is cheap
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    if not len(rows):
        return None
    part = values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    depth = np.flatnonzero(part.any(axis=(0, 1)))
    ends = [(int(n[0]), int(n[-1]) + 1) for n in (rows, columns, depth)]
    return (slice(*ends[0]), slice(*ends[1]), slice(*ends[2]))
