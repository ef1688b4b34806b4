"""Whether two images are the same scan, however they are stored.

Knows what storage may change: the order and direction of the axes with their affine, number type and rounding, slope and intercept.
The digest is of the exact values on the grid in RAS order; the sketch is of some hundred values and of the profiles along the axes,
scaled to 0 to 255, and is compared with a tolerance. Of several channels each is recognized by itself too, since one of them may
have been exchanged or registered anew. Knows arrays and affines only.
"""

from __future__ import annotations

import base64
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.inspect.intensities import content_hash, few_values
from voxloom.volume import closest_axes

_SAMPLES, _BLOCKS = 768, 32
#: Two sketches are of one image where no number differs by more, of 255, and the root mean square of the differences is not larger.
_MOST, _RMS = 3, 0.7
_CHUNK = 512
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Likeness:
    """Hash of the voxels in RAS order, and the sketch; both "" for an image that recognizes nobody.

    ``channels`` has those of each channel, where there are several; masks, constant and missing channels are left out.
    """

    digest: str = ""
    sketch: str = ""
    channels: tuple[Likeness, ...] = ()


def likeness(data: NDArray[Any], affine: NDArray[np.float64]) -> Likeness:
    """Of an image (C, I, J, K) and its affine; empty where every channel has one value."""
    if all((channel == channel.flat[0]).all() for channel in data):
        return Likeness()
    turned = in_ras_order(data, affine)
    channels = (turned[n : n + 1] for n in range(len(turned))) if len(turned) > 1 else ()
    alone = tuple(Likeness(content_hash(one), _sketch(one)) for one in channels if _tells_somebody(one))
    return Likeness(content_hash(turned), _sketch(turned), alone)


def _tells_somebody(channel: NDArray[Any]) -> bool:
    """Whether a channel is not a mask, not missing (NaN) and not constant."""
    first = channel.flat[0]
    blank = np.isnan(channel).all() if np.isnan(first) else (channel == first).all()
    return not blank and not few_values(channel)


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


def same_scans(wholes: Sequence[tuple[frozenset[str], str]], channels: Sequence[Sequence[Likeness]]) -> list[int]:
    """A number per case, equal for cases that share an image or a channel; -1 for those that share with nobody.

    A channel that more than two cases and more than half of them have is not a scan of anybody, but a template or an atlas.

    Parameters
    ----------
    wholes : digests and sketch of the whole image of every case.
    channels : of every case, see :class:`Likeness`.
    """
    parts = [(n, likes) for n, own in enumerate(channels) for likes in own]
    owners = [*range(len(wholes)), *(n for n, _ in parts)]
    digests = [*(own for own, _ in wholes), *(frozenset({likes.digest}) for _, likes in parts)]
    sketches = [*(sketch for _, sketch in wholes), *(likes.sketch for _, likes in parts)]
    cases = _Union(len(wholes))
    for items in _members(groups_of(digests, sketches)):
        own = {owners[n] for n in items}
        common = all(n >= len(wholes) for n in items) and len(own) > max(2, len(wholes) / 2)
        for one in () if common else own:
            cases.join(one, min(own))
    return cases.numbers()


def _members(groups: Sequence[int]) -> list[list[int]]:
    """Places by group, without those of none."""
    found: dict[int, list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if group >= 0:
            found[group].append(place)
    return list(found.values())


class _Union:
    """Things that are put together by and by."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def _root(self, n: int) -> int:
        while self._parent[n] != n:
            self._parent[n] = self._parent[self._parent[n]]
            n = self._parent[n]
        return n

    def join(self, one: int, other: int) -> None:
        """From now on both are one."""
        self._parent[self._root(one)] = self._root(other)

    def numbers(self) -> list[int]:
        """A number per thing, equal for those that are together; -1 for those alone."""
        roots = [self._root(n) for n in range(len(self._parent))]
        counts = Counter(roots)
        return [r if counts[r] > 1 else -1 for r in roots]


def groups_of(digests: Sequence[frozenset[str]], sketches: Sequence[str]) -> list[int]:
    """A number per image, equal for images that share a digest or have the same sketch; -1 for those that share with nobody."""
    images = _Union(len(digests))
    first: dict[str, int] = {}
    for n, own in enumerate(digests):
        for digest in own:
            images.join(n, first.setdefault(digest, n))
    for one, other in _near(sketches):
        images.join(other, one)
    return images.numbers()


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
