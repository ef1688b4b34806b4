"""Grey values to what a network likes.

Knows windows, clips and normalizations of one channel. Never divides by zero: a constant channel becomes 0, and so does a
missing one (nothing but NaN). Other voxels that are NaN or infinite take the channel's smallest finite value. Does not know
geometry.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.prepare.settings import (
    LEARNED,
    ChannelStatistics,
    Normalization,
    PrepareSettings,
    Statistics,
)
from voxloom.volume import is_missing

#: Percentiles of larger channels are taken from every n-th voxel, at most this many.
PERCENTILE_VOXELS = 4_000_000
_CHUNK = 1 << 20
#: Share of the unit by which an origin may be off.
_NEGLIGIBLE = 1e-5


def normalize_channels(
    data: NDArray[Any], settings: PrepareSettings, statistics: Statistics | None
) -> NDArray[np.float32]:
    """Normalize (C, I, J, K) channel by channel into a new contiguous float32 array.

    Raises
    ------
    BadInput : a normalization per channel is missing, or training statistics are needed and not given.
    """
    methods = settings.normalizations(len(data))
    if settings.needs_statistics and (statistics is None or len(statistics.channels) != len(data)):
        raise BadInput(
            "'ct', 'zscore_mask' and 'zscore_sample' need the training statistics of every channel",
            "prepare.normalize",
        )
    learned = statistics.channels if statistics is not None else (None,) * len(data)
    out = np.empty(data.shape, np.float32)
    for channel, source, method, one in zip(out, data, methods, learned, strict=False):
        if is_missing(source):
            channel[...] = 0
            continue
        channel[...] = source
        if source.dtype.kind == "f":
            make_finite(channel)
        _normalize(channel, method, settings, one)
    return out


def make_finite(channel: NDArray[np.float32]) -> None:
    """Give voxels that are NaN or infinite the channel's smallest finite value, in place."""
    with np.errstate(invalid="ignore", over="ignore"):
        if np.isfinite(channel.sum(dtype=np.float64)):
            return
    finite = np.isfinite(channel)
    channel[~finite] = channel[finite].min() if finite.any() else 0


def _normalize(
    channel: NDArray[np.float32],
    method: Normalization,
    settings: PrepareSettings,
    learned: ChannelStatistics | None,
) -> None:
    """Normalize one channel in place."""
    inside = channel != 0 if method == "zscore_nonzero" else None
    apply_windows(channel, settings)
    if method == "zscore":
        _scale(channel, *mean_and_sd(channel))
    elif inside is not None:
        values = channel[inside]
        _scale(values, *mean_and_sd(values))
        channel[...] = 0
        channel[inside] = values
    elif method == "minmax":
        lo, hi = settings.hu_range or (float(channel.min()), float(channel.max()))
        _scale(channel, lo, hi - lo)
    elif learned is not None and method in LEARNED:
        if method == "ct":
            np.clip(channel, learned.lo, learned.hi, out=channel)
        _scale(channel, learned.mean, learned.sd)


def apply_windows(channel: NDArray[np.float32], settings: PrepareSettings) -> None:
    """Clip one channel to its Hounsfield window, then to its percentiles, in place."""
    if settings.hu_range is not None:
        np.clip(channel, *settings.hu_range, out=channel)
    if settings.percentile_range is not None:
        np.clip(channel, *percentiles(channel, settings.percentile_range), out=channel)


def _scale(values: NDArray[np.float32], origin: float, unit: float) -> None:
    """``(values - origin) / unit`` in place; 0 everywhere when the values do not vary, 1 for a unit of 0."""
    if not values.size:
        return
    nearest = np.float32(origin)
    values -= nearest
    rest = origin - float(nearest)  # float32 holds seven digits: of a mean of a million, a sixteenth is lost
    if abs(rest) > _NEGLIGIBLE * unit:
        values -= np.float32(rest)
    if unit <= 1e-6 * abs(origin) or unit <= np.finfo(np.float32).tiny:
        if float(np.ptp(values)) <= 1e-6 * abs(origin):
            values[...] = 0
        return
    values *= np.float32(1 / unit)


def mean_and_sd(values: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and population sd, accumulated in float64 over blocks (0, 0 for no values)."""
    flat = values.reshape(-1)
    if not len(flat):
        return 0.0, 0.0
    mean = float(flat.mean(dtype=np.float64))
    squares = 0.0
    for start in range(0, len(flat), _CHUNK):
        centered = flat[start : start + _CHUNK] - np.float32(mean)
        squares += float(np.dot(centered, centered))
    offset = mean - float(np.float32(mean))
    return mean, float(np.sqrt(max(0.0, squares / len(flat) - offset**2)))


def percentiles(values: NDArray[np.float32], at: tuple[float, float]) -> tuple[float, float]:
    """Two percentiles (0..100), from every n-th voxel of a channel of more than 4 million."""
    flat = values.reshape(-1)
    lo, hi = np.percentile(flat[:: max(1, len(flat) // PERCENTILE_VOXELS)], at)
    return float(lo), float(hi)
