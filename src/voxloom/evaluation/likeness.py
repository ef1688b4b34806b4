"""How alike two maps of one scan are, and whether a map points at a structure. Knows arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.floating[Any]]
#: SD in voxels of the Gaussian window of SSIM, and its two constants (Wang et al. 2004).
_SIGMA, _K1, _K2 = 1.5, 0.01, 0.03


def rank_correlation(a: Map, b: Map) -> float:
    """Spearman's correlation of the values of two maps of one shape; NaN where one of them is constant."""
    from scipy.stats import rankdata

    x, y = rankdata(a.ravel()), rankdata(b.ravel())
    if x.std() == 0 or y.std() == 0:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def structural_similarity(a: Map, b: Map) -> float:
    """Mean SSIM of two maps (I, J, K), each scaled to a largest absolute value of 1 (Wang et al. 2004); NaN where one is constant."""
    from scipy.ndimage import gaussian_filter

    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    x, y = (np.asarray(m, np.float64) / np.abs(m).max() for m in (a, b))
    spread = max(np.ptp(x), np.ptp(y))
    c1, c2 = (_K1 * spread) ** 2, (_K2 * spread) ** 2

    def smooth(values: Map) -> Map:
        return np.asarray(gaussian_filter(values, _SIGMA))

    mx, my = smooth(x), smooth(y)
    vx, vy, both = smooth(x * x) - mx**2, smooth(y * y) - my**2, smooth(x * y) - mx * my
    found = ((2 * mx * my + c1) * (2 * both + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(found.mean())


def points_at(found: Map, mask: NDArray[np.bool_]) -> bool:
    """Whether the largest value of a map lies in a mask: the pointing game (Zhang et al. 2018). Of equal ones the first counts."""
    return bool(mask[np.unravel_index(int(np.argmax(found)), found.shape)])
