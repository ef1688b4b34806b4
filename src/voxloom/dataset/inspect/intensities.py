"""Intensities of one channel, in bounded memory.

Huge volumes are described by every n-th voxel along each axis, always the same ones; minimum, maximum and the hash are
of all voxels. Knows arrays only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.inspect.facts import HISTOGRAM_BINS, HISTOGRAM_RANGE, PERCENTILES, ChannelFacts, Intensities

#: Most voxels that percentiles are computed from.
SAMPLE = 2_000_000
_FEW = 1000
#: Most values of an image that looks like a mask.
MASK_VALUES = 8
_SLAB = 1 << 22


def describe_channel(data: NDArray[Any], foreground: NDArray[np.bool_] | None) -> ChannelFacts:
    """Facts of a channel (I, J, K); ``foreground`` is a mask of the same shape or None."""
    steps = sample_steps(data.shape)
    sample = _finite(data[steps].ravel())
    low, high, nonfinite = _extremes(data)
    whole = _describe(sample, data.size, low, high)
    inside = None
    if foreground is not None:
        values, count = _inside(data, foreground, steps)
        if values.size:
            inside = _describe(values, count, float(values.min()), float(values.max()))
    return ChannelFacts(str(data.dtype), whole, inside, nonfinite, _histogram(sample, whole), few_values(data))


def few_values(data: NDArray[Any]) -> tuple[float, ...]:
    """All values of an array that looks like a mask: 2 to 8 whole numbers, the least 0; empty for others."""
    if len(np.unique(data.ravel(order="K")[: 1 << 16])) > MASK_VALUES:
        return ()
    values = np.unique(data)
    fits = 1 < len(values) <= MASK_VALUES and values[0] == 0 and bool((values == np.round(values)).all())
    return tuple(float(v) for v in values) if fits else ()


def content_hash(data: NDArray[Any]) -> str:
    """SHA-256 of shape and values of (C, I, J, K), whatever the number type (compared as float32) and memory order."""
    digest = hashlib.sha256(repr(data.shape).encode())
    for slab in _slabs(data):
        digest.update((np.ascontiguousarray(slab.T, dtype=np.float32) + np.float32(0)).data)  # -0 is 0
    return digest.hexdigest()


def sample_steps(shape: tuple[int, ...], most: int = SAMPLE) -> tuple[slice, ...]:
    """Steps along each axis that leave at most ``most`` voxels; the axis with most samples is thinned first."""
    steps = [1] * len(shape)
    counts = list(shape)
    while np.prod(counts, dtype=np.int64) > most:
        axis = int(np.argmax(counts))
        steps[axis] += 1
        counts[axis] = -(-shape[axis] // steps[axis])
    return tuple(slice(None, None, step) for step in steps)


def _slabs(data: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Pieces along the last axis of about ``_SLAB`` voxels; always the same for one shape."""
    per_slice = max(1, data.size // max(1, data.shape[-1]))
    depth = max(1, _SLAB // per_slice)
    for start in range(0, data.shape[-1], depth):
        yield data[..., start : start + depth]


def _extremes(data: NDArray[Any]) -> tuple[float, float, int]:
    """Smallest and largest finite value, and the number of voxels that are not finite."""
    if data.dtype.kind != "f":
        return float(data.min()), float(data.max()), 0
    low, high, bad = np.inf, -np.inf, 0
    for slab in _slabs(data):
        finite = np.isfinite(slab)
        bad += int(slab.size - finite.sum())
        if finite.any():
            low = min(low, float(slab.min(where=finite, initial=np.inf)))
            high = max(high, float(slab.max(where=finite, initial=-np.inf)))
    return (low, high, bad) if low <= high else (0.0, 0.0, bad)


def _finite(values: NDArray[Any]) -> NDArray[Any]:
    return values if values.dtype.kind != "f" or np.isfinite(values).all() else values[np.isfinite(values)]


def _inside(data: NDArray[Any], mask: NDArray[np.bool_], steps: tuple[slice, ...]) -> tuple[NDArray[Any], int]:
    """A sample of the values inside the mask, all of them where the regular sample would meet few; and their number."""
    count = int(np.count_nonzero(mask))
    values = data[steps][mask[steps]]
    if len(values) < min(_FEW, count):
        values = data[mask]
    return _finite(values), count


def _describe(values: NDArray[Any], count: int, low: float, high: float) -> Intensities:
    if not values.size:
        return Intensities((0.0,) * len(PERCENTILES), 0.0, 0.0, count)
    inner = np.percentile(values, PERCENTILES[1:-1])
    percentiles = (low, *(float(p) for p in inner), high)
    return Intensities(percentiles, float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64)), count)


def _histogram(values: NDArray[Any], whole: Intensities) -> tuple[int, ...]:
    if whole.sd <= 0 or not values.size:
        return (0,) * HISTOGRAM_BINS
    scores = (values[:: max(1, values.size // 200_000)] - whole.mean) / whole.sd
    counts, _ = np.histogram(np.clip(scores, *HISTOGRAM_RANGE), bins=HISTOGRAM_BINS, range=HISTOGRAM_RANGE)
    return tuple(int(n) for n in counts)
