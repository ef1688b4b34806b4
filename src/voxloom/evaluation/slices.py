"""Dice slice by slice along a volume, as 2D studies report it."""

from __future__ import annotations

import numpy as np

from voxloom.evaluation.statistics.arrays import Numbers
from voxloom.evaluation.surface import Mask


def dice_per_slice(prediction: Mask, truth: Mask, axis: int) -> Numbers:
    """Dice of every slice across ``axis`` (0, 1 or 2) of two boolean (I, J, K) masks.

    A slice that is empty in both counts as 1. Raises ValueError when the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of different shape: {prediction.shape} and {truth.shape}")
    rest = tuple(n for n in range(3) if n != axis)
    both = (prediction & truth).sum(axis=rest)
    size = prediction.sum(axis=rest) + truth.sum(axis=rest)
    found: Numbers = np.where(size > 0, 2.0 * both / np.maximum(size, 1), 1.0)
    return found
