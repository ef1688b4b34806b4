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

    One slice alone has no neighbor to skip: ``kept_slices`` says beforehand which slices there are.

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


def kept_slices(
    settings: AugmentSettings, random: np.random.Generator, slices: Sequence[int] | NDArray[np.integer], least: int = 1
) -> NDArray[np.int64]:
    """Those of a volume's slices that a scan with some of them left out would have; all of them where none is to be skipped.

    From one kept slice to the next one is left out with the share ``slice_skip``, as in ``slice_positions``; never two in a row, and
    never so many that fewer than ``least`` stay.
    """
    given = np.array(slices, dtype=np.int64)
    if random.random() >= settings.slice_skip_chance:
        return given
    gone, at = [], int(random.random() < settings.slice_skip)  # the first one may be missing too
    gone += [0] * at
    while at < len(given) - 1:
        skipped = random.random() < settings.slice_skip
        gone += [at + 1] * skipped
        at += 1 + skipped
    allowed = max(0, len(given) - least)
    return np.delete(given, random.permutation(gone)[:allowed].astype(int)) if gone else given


def among_kept(random: np.random.Generator, positions: Sequence[float], kept: NDArray[np.int64]) -> list[float]:
    """``positions`` of slices, ascending, in which those that were left out are replaced by kept slices that are not yet there.

    One alone is replaced by the nearest kept slice. Positions outside of the volume (the zeros around a short one) are those of no
    slice, and stay where no slice is free.
    """
    there = set(kept.tolist())
    if len(positions) == 1:
        far = np.abs(kept - positions[0])
        return [float(random.choice(kept[far == far.min()]))]
    stay = [at for at in positions if at in there]
    lost = [at for at in positions if at not in there]
    free = random.permutation(sorted(there - set(stay)))[: len(lost)].tolist()
    return sorted([*stay, *map(float, free), *lost[len(free) :]])


def moved_positions(
    settings: AugmentSettings, random: np.random.Generator, positions: Sequence[float]
) -> NDArray[np.float64]:
    """Positions of slices that do not follow each other, ascending; interpolated, the share moves by up to half a slice."""
    moved = np.array(positions, dtype=float)
    if random.random() < settings.slice_interpolation_chance:
        chosen = random.random(len(moved)) < settings.slice_interpolation
        moved[chosen] += random.uniform(-0.5, 0.5, int(chosen.sum()))
    return moved
