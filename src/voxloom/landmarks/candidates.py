"""Candidates in a map: connected components above a threshold, with center, size and confidence.

Knows arrays and the affine of their grid. Does not know what a candidate is called.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.connected import connected


@dataclass(frozen=True)
class Candidate:
    """One component of a map.

    Parameters
    ----------
    map : number of the map it lies on.
    voxel : center, in voxels of the map's grid (not whole numbers).
    position : the same in RAS mm.
    size : number of voxels.
    peak : largest probability.
    mean : mean probability of its voxels.
    """

    map: int
    voxel: tuple[float, float, float]
    position: tuple[float, float, float]
    size: int
    peak: float
    mean: float


def find_candidates(
    maps: NDArray[np.floating],
    affine: NDArray[np.float64],
    *,
    threshold: float = 0.5,
    position: Literal["centroid", "peak"] = "centroid",
) -> list[Candidate]:
    """The 3D components (26 neighbors) of every map where it exceeds ``threshold``, largest first on each map.

    Parameters
    ----------
    maps : (M, I, J, K) probabilities.
    affine : (4, 4) voxel index to RAS mm.
    position : center of mass of the component's voxels, or the sub-voxel peak of the map in it (``peak_of``).
    """
    import cc3d

    found = []
    for number, values in enumerate(maps):
        above = np.ascontiguousarray(values > threshold)
        if not above.any():
            continue
        components = connected(above)
        facts = cc3d.statistics(components)
        own = []
        for index in range(1, len(facts["voxel_counts"])):
            box = facts["bounding_boxes"][index]
            inside = components[box] == index
            values_inside = np.asarray(values[box], dtype=np.float64)
            center = facts["centroids"][index]
            if position == "peak":
                start = np.array([side.start for side in box])
                top = np.unravel_index(int(np.where(inside, values_inside, -1).argmax()), inside.shape)
                center = peak_of(values, start + np.array(top))
            i, j, k = (float(v) for v in center)
            x, y, z = (affine @ np.array([i, j, k, 1.0]))[:3].tolist()
            chances = values_inside[inside]
            size = int(facts["voxel_counts"][index])
            own.append(Candidate(number, (i, j, k), (x, y, z), size, float(chances.max()), float(chances.mean())))
        found += sorted(own, key=lambda c: (-c.size, -c.peak))
    return found


def peak_of(values: NDArray[np.floating], voxel: NDArray[np.integer]) -> NDArray[np.float64]:
    """The sub-voxel peak next to a largest voxel: per axis, the top of the parabola through three logarithms.

    Exact for a Gaussian along the axes of the grid. At the border of the volume the voxel itself is kept along that axis.
    """
    at = np.asarray(voxel, dtype=np.float64).copy()
    for axis in range(values.ndim):
        n = int(voxel[axis])
        if not 0 < n < values.shape[axis] - 1:
            continue
        line = [tuple(int(v) + (step if a == axis else 0) for a, v in enumerate(voxel)) for step in (-1, 0, 1)]
        before, here, after = (float(np.log(max(float(values[place]), 1e-6))) for place in line)
        bend = before - 2 * here + after
        if bend < -1e-12:
            at[axis] += float(np.clip((before - after) / (2 * bend), -0.5, 0.5))
    return at
