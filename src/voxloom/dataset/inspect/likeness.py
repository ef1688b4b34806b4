"""Whether two images are the same scan, however they are stored.

Knows what storage may change: the order and direction of the axes with their affine, number type and rounding, slope and intercept.
The digest is of the exact values on the grid in RAS order; the sketch is of some hundred values and of the profiles along the axes,
scaled to 0 to 255, and is compared with a tolerance. Knows arrays and affines only.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.inspect.intensities import content_hash
from voxloom.volume import closest_axes

_SAMPLES, _BLOCKS = 768, 32
#: Two sketches are of one image where no number differs by more, of 255, and the root mean square of the differences is not larger.
_MOST, _RMS = 3, 0.7
_CHUNK = 512
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Likeness:
    """Hash of the voxels in RAS order, and the sketch; both "" for an image that recognizes nobody."""

    digest: str = ""
    sketch: str = ""


def likeness(data: NDArray[Any], affine: NDArray[np.float64]) -> Likeness:
    """Of an image (C, I, J, K) and its affine; empty where every channel has one value."""
    if all((channel == channel.flat[0]).all() for channel in data):
        return Likeness()
    turned = in_ras_order(data, affine)
    return Likeness(content_hash(turned), _sketch(turned))


def in_ras_order(data: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[Any]:
    """A view of (C, I, J, K) with the axes closest to left-right, back-front, feet-head, each in its positive direction."""
    axes = closest_axes(affine)
    order = [next(n for n, (world, _) in enumerate(axes) if world == axis) for axis in range(3)]
    turned = data.transpose(0, *(n + 1 for n in order))
    flips = [n + 1 for n, axis in enumerate(order) if axes[axis][1] < 0]
    return np.flip(turned, tuple(flips)) if flips else turned


def _sketch(data: NDArray[Any]) -> str:
    """``shape:`` and the numbers as base64."""
    size = data.size
    places = [(((n + 1) * _GOLDEN) % (1 << 64)) * size >> 64 for n in range(_SAMPLES)]
    values = np.asarray([data[np.unravel_index(place, data.shape)] for place in places], np.float64)
    whole = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    low, high = np.percentile(whole, (1, 99))
    if high <= low:
        low, high = float(np.nanmin(data)), float(np.nanmax(data))
    parts = [_scaled(whole, low, high), *(_profile(data, axis) for axis in (1, 2, 3))]
    shape = "x".join(map(str, data.shape))
    return f"{shape}:{base64.b64encode(np.concatenate(parts).tobytes()).decode()}"


def _profile(data: NDArray[Any], axis: int) -> NDArray[np.uint8]:
    """Means of planes across an axis, ``_BLOCKS`` at most, over their own range."""
    planes = np.unique(np.linspace(0, data.shape[axis] - 1, _BLOCKS).round().astype(int))
    means = [np.nan_to_num(data.take(n, axis=axis), posinf=0, neginf=0).mean(dtype=np.float64) for n in planes]
    found = np.asarray(means)
    return _scaled(found, float(found.min()), float(found.max()))


def _scaled(values: NDArray[np.float64], low: float, high: float) -> NDArray[np.uint8]:
    if not high > low:
        return np.zeros(len(values), np.uint8)
    return np.round(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def groups_of(digests: Sequence[frozenset[str]], sketches: Sequence[str]) -> list[int]:
    """A number per image, equal for images that share a digest or have the same sketch; -1 for those that share with nobody."""
    parent = list(range(len(digests)))

    def root(n: int) -> int:
        while parent[n] != n:
            parent[n] = parent[parent[n]]
            n = parent[n]
        return n

    first: dict[str, int] = {}
    for n, own in enumerate(digests):
        for digest in own:
            parent[root(n)] = root(first.setdefault(digest, n))
    for one, other in _near(sketches):
        parent[root(other)] = root(one)
    roots = [root(n) for n in range(len(digests))]
    counts = Counter(roots)
    return [r if counts[r] > 1 else -1 for r in roots]


def _near(sketches: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of sketches of one shape that differ by no more than the tolerance."""
    shapes: dict[str, list[int]] = defaultdict(list)
    for n, sketch in enumerate(sketches):
        if sketch:
            shapes[sketch.partition(":")[0]].append(n)
    pairs = []
    for members in shapes.values():
        codes = [np.frombuffer(base64.b64decode(sketches[n].partition(":")[2]), np.uint8) for n in members]
        if len({len(code) for code in codes}) == 1 and len(members) > 1:
            pairs += [(members[i], members[j]) for i, j in _close_rows(np.stack(codes))]
    return pairs


def _close_rows(codes: NDArray[np.uint8]) -> list[tuple[int, int]]:
    rows = codes.astype(np.float32) - 128
    squares = (rows**2).sum(axis=1)
    pairs = []
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        distance = squares[start : start + _CHUNK, None] + squares[None] - 2 * part @ rows.T
        for i, j in np.argwhere(distance <= _RMS**2 * rows.shape[1] + 8):
            one, other = int(i) + start, int(j)
            if one < other and np.abs(codes[one].astype(int) - codes[other]).max() <= _MOST:
                pairs.append((one, other))
    return pairs
