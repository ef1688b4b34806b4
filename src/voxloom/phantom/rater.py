"""A simulated rater: a label map whose boundaries are drawn with a known bias and a known, smooth wobble.

Knows label maps; what the statistics of such raters must find is therefore known beforehand.
"""

from __future__ import annotations

import numpy as np

from voxloom.dataset.labels import Labels
from voxloom.volume import Volume


def simulate_rater(
    truth: Volume,
    labels: Labels,
    *,
    bias_mm: float = 0.0,
    wobble_mm: float = 0.0,
    smooth_mm: float = 6.0,
    seed: int = 0,
) -> Volume:
    """The label map as a rater would draw it.

    Parameters
    ----------
    truth : (1, I, J, K) of outer label values.
    bias_mm : every boundary is drawn this far outside the true one (inside where negative).
    wobble_mm : SD of a further shift that changes smoothly along the boundary.
    smooth_mm : over which distance the wobble changes.
    seed : of the wobble; one rater of one case.

    Returns
    -------
    Label map on the same grid. Where two drawn structures would overlap, the one that reaches deeper keeps the voxel.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter

    spacing, shape = truth.spacing, truth.shape
    shift = np.full(shape, bias_mm, dtype=np.float32)
    if wobble_mm > 0:
        noise = np.random.default_rng(seed).normal(size=shape)
        field = gaussian_filter(noise, [smooth_mm / mm if n > 1 else 0 for mm, n in zip(spacing, shape, strict=True)])
        shift += (wobble_mm / max(float(field.std()), 1e-12) * field).astype(np.float32)
    data = np.full(shape, labels.background, dtype=truth.data.dtype)
    deepest = np.zeros(shape, dtype=np.float32)
    for value in labels.atoms:
        mask = truth.data[0] == value
        if not mask.any():
            continue
        outside, inside = (distance_transform_edt(m, sampling=spacing) for m in (~mask, mask))
        half = min(mm for mm, n in zip(spacing, shape, strict=True) if n > 1) / 2
        depth = np.where(mask, inside - half, half - outside) + shift  # 0 on the boundary between voxels
        data[depth > deepest] = value
        deepest = np.maximum(deepest, depth)
    return truth.with_data(data[None])
