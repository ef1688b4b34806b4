"""Turn voxel axes to the closest anatomical orientation.

Knows permutations and flips, which move voxels and never invent one. Does not interpolate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.volume import axes_named, closest_axes


@dataclass(frozen=True)
class Turn:
    """A permutation and flips of the three voxel axes.

    order : the source axis that becomes new axis 0, 1, 2.
    flips : whether new axis 0, 1, 2 runs against its source axis.
    """

    order: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, data: NDArray[Any]) -> NDArray[Any]:
        """A view of (..., I, J, K) with turned axes."""
        lead = data.ndim - 3
        turned = data.transpose(*range(lead), *(lead + axis for axis in self.order))
        i, j, k = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        return turned[..., i, j, k]

    def undo(self, data: NDArray[Any]) -> NDArray[Any]:
        """A view of turned (..., I, J, K) with the source's axes."""
        lead = data.ndim - 3
        i, j, k = (slice(None, None, -1 if flip else 1) for flip in self.flips)
        straight = data[..., i, j, k]
        back = np.argsort(self.order)
        return straight.transpose(*range(lead), *(lead + int(axis) for axis in back))

    def shape(self, source: tuple[int, int, int]) -> tuple[int, int, int]:
        """The turned grid's size."""
        i, j, k = (source[axis] for axis in self.order)
        return (i, j, k)

    def matrix(self, source: tuple[int, int, int]) -> NDArray[np.float64]:
        """(4, 4) turned voxel index to source voxel index."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for new, (old, flip) in enumerate(zip(self.order, self.flips, strict=True)):
            matrix[old, new] = -1 if flip else 1
            matrix[old, 3] = source[old] - 1 if flip else 0
        return matrix


def turn_to(affine: NDArray[np.float64], orientation: str) -> Turn:
    """The turn that brings a grid with this affine closest to ``orientation``, e.g. "RAS"."""
    source = closest_axes(affine)
    worlds = [world for world, _ in source]
    wanted = axes_named(orientation)
    i, j, k = (worlds.index(world) for world, _ in wanted)
    a, b, c = (source[old][1] != sign for old, (_, sign) in zip((i, j, k), wanted, strict=True))
    return Turn((i, j, k), (a, b, c))
