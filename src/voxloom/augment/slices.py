"""Changes of the slice spacing, as CT scanners differ in it: slices left out, and slices read between two others.

They act where slices are read, because a patch does not hold the slices beyond its own. The draws come first, as positions along
k that can be recorded; reading them is left to the caller (images linearly, labels at the nearest slice). Knows no tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxloom.augment.settings import AugmentSettings


def changes_batch(settings: AugmentSettings, seed: int, step: int) -> bool:
    """Whether the batch of this step is changed at all; one answer for reading and for the other changes."""
    return settings.batch_chance >= 1 or np.random.default_rng((seed, 5, step)).random() < settings.batch_chance


def slice_positions(
    settings: AugmentSettings, random: np.random.Generator, middle: int, count: int
) -> NDArray[np.float64]:
    """Positions (count,) along k, ascending, in slices; entry ``count // 2`` is the patch's middle slice.

    Skipped: each step between neighbors is two slices with the share ``slice_skip``, else one. Interpolated: each step is half a
    slice with the share ``slice_interpolation``, and all positions move by up to half a slice. Left alone: one by one.
    """
    skipped = random.random() < settings.slice_skip_chance
    interpolated = random.random() < settings.slice_interpolation_chance
    steps = np.ones(count - 1)
    if skipped:
        steps[random.random(count - 1) < settings.slice_skip] = 2
    offset = 0.0
    if interpolated:
        steps[random.random(count - 1) < settings.slice_interpolation] *= 0.5
        offset = random.uniform(-0.5, 0.5)
    positions = np.concatenate([[0.0], np.cumsum(steps)])
    return middle + offset + positions - positions[count // 2]


def moved_positions(
    settings: AugmentSettings, random: np.random.Generator, positions: Sequence[float]
) -> NDArray[np.float64]:
    """Positions of slices that do not follow each other, ascending; interpolated, the share moves by up to half a slice."""
    moved = np.array(positions, dtype=float)
    if random.random() < settings.slice_interpolation_chance:
        chosen = random.random(len(moved)) < settings.slice_interpolation
        moved[chosen] += random.uniform(-0.5, 0.5, int(chosen.sum()))
    return moved
