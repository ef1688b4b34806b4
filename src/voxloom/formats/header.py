"""What a file says of its grid before any voxel is read. Knows no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    meta : as ``Volume.meta``: ``unit``, ``geometry_note`` and the like, where the format knows them.
    """

    shape: tuple[int, int, int]
    channels: int
    affine: NDArray[np.float64]
    dtype: str
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """``"mm"``, or ``"pixel"`` where the file has no voxel size."""
        return str(self.meta.get("unit", "mm"))
