"""Overlapping windows over a volume, blended by Gaussian weights, finished slab by slab.

Knows where windows lie, how they are weighted, and which planes are finished when. Only the band of planes that windows
still change is held, as 16-bit fixed-point numbers. Does not know labels or the source grid.

The windows form a grid and the Gaussian is separable, so the weights are normalized per axis beforehand: at every voxel
they sum to 1 and no map of weights is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from voxloom.errors import BadInput
from voxloom.inference.forward import Activation, Forward, NetworkFunction
from voxloom.prepare.slices import SliceStack

Triple = tuple[int, int, int]

#: One slice, no neighbors.
SINGLE = SliceStack()
#: Probability 1 as an int16; leaves room for the rounding of many overlapping windows.
_ONE = 32000
#: Values of one yielded slab (all labels together), unless one plane already has more.
_SLAB_VALUES = 1 << 24


@dataclass(frozen=True)
class Slab:
    """Finished planes ``start`` to ``start + n`` along ``axis`` of the prepared grid.

    probabilities : float32 (L, I, J, K) with n planes along ``axis``.
    """

    axis: int
    start: int
    probabilities: NDArray[np.float32]

    @property
    def stop(self) -> int:
        """One beyond the last plane."""
        return self.start + int(self.probabilities.shape[self.axis + 1])


def window_starts(size: int, patch: int, overlap: float) -> list[int]:
    """Evenly spaced starts of windows of ``patch`` voxels, overlapping by at least ``overlap``, that cover ``size``."""
    step = max(1.0, patch * (1 - overlap))
    count = int(np.ceil((size - patch) / step - 1e-9)) + 1
    return [round(at) for at in np.linspace(0, size - patch, count)]


def window_weights(size: int, patch: int, starts: Sequence[int]) -> NDArray[np.float32]:
    """Gaussians (windows, patch) of SD patch / 8 along one axis, normalized to sum to 1 at each voxel."""
    distance = (np.arange(patch) - (patch - 1) / 2) / (patch / 8)
    bell = np.maximum(np.exp(-(distance**2) / 2), 1e-4)
    total = np.zeros(size)
    for start in starts:
        total[start : start + patch] += bell
    return np.stack([bell / total[start : start + patch] for start in starts]).astype(np.float32)


@dataclass(frozen=True)
class WindowGrid:
    """All windows of a volume of ``size``, ordered along ``axis``."""

    size: Triple
    patch: Triple
    starts: tuple[list[int], list[int], list[int]]
    weights: tuple[Tensor, Tensor, Tensor]
    axis: int

    @classmethod
    def plan(cls, size: Triple, patch: Triple, overlap: float, device: torch.device) -> WindowGrid:
        """Windows that overlap by ``overlap``; they advance along the axis whose active band is smallest."""
        starts = [window_starts(size[a], patch[a], overlap) for a in range(3)]
        weights = [torch.from_numpy(window_weights(size[a], patch[a], starts[a])).to(device) for a in range(3)]
        axis = min((2, 1, 0), key=lambda a: patch[a] / size[a])
        return cls(size, patch, (starts[0], starts[1], starts[2]), (weights[0], weights[1], weights[2]), axis)

    def indices(self) -> list[Triple]:
        """Window numbers per axis, in order of visit."""
        first, second, third = (range(len(self.starts[a])) for a in self._order())
        back = np.argsort(self._order())
        return [(n[back[0]], n[back[1]], n[back[2]]) for n in product(first, second, third)]

    def _order(self) -> list[int]:
        return [self.axis, *(a for a in range(3) if a != self.axis)]

    def where(self, index: Triple) -> tuple[slice, slice, slice]:
        """The voxels of a window."""
        i, j, k = (slice(self.starts[a][n], self.starts[a][n] + self.patch[a]) for a, n in enumerate(index))
        return (i, j, k)

    def weight(self, index: Triple) -> Tensor:
        """The window's weights (i, j, k)."""
        i, j, k = (self.weights[a][n] for a, n in enumerate(index))
        return i[:, None, None] * j[None, :, None] * k[None, None, :]


class _Band:
    """The planes that windows still change: a ring of int16 planes (plane, L, u, v) on the device."""

    def __init__(self, grid: WindowGrid, labels: int, planes: int, device: torch.device) -> None:
        self.grid, self.planes, self.done = grid, planes, 0
        rest = [size for axis, size in enumerate(grid.size) if axis != grid.axis]
        self.values = torch.zeros((planes, labels, *rest), dtype=torch.int16, device=device)

    def add(self, index: Triple, probabilities: Tensor) -> None:
        """Add a window's probabilities (L, i, j, k); they are overwritten."""
        axis = self.grid.axis
        weighted = probabilities.mul_(self.grid.weight(index) * _ONE).round_().to(torch.int16).movedim(axis + 1, 0)
        where = self.grid.where(index)
        across = tuple(side for a, side in enumerate(where) if a != axis)
        for ring, part in self._pieces(where[axis].start, where[axis].stop):
            self.values[(ring, slice(None), *across)] += weighted[part]

    def finish(self, stop: int) -> Iterator[Slab]:
        """Yield the planes up to ``stop`` in order, and free them."""
        axis = self.grid.axis
        step = max(1, _SLAB_VALUES // self.values[0].numel())
        while self.done < stop:
            end = min(stop, self.done + step)
            yield Slab(axis, self.done, np.moveaxis(self._take(end), 0, axis + 1))
            self.done = end

    @torch.inference_mode()
    def _take(self, stop: int) -> NDArray[np.float32]:
        """Probabilities (plane, L, u, v) of the finished planes up to ``stop``, whose ring planes are emptied."""
        parts = []
        for ring, _ in self._pieces(self.done, stop):
            parts.append(self.values[ring].to("cpu", torch.float32))
            self.values[ring] = 0
        planes = torch.cat(parts) if len(parts) > 1 else parts[0]
        found: NDArray[np.float32] = planes.div_(_ONE).numpy()
        return found

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """Ring planes and their place in start..stop, cut where the ring wraps."""
        at = start
        while at < stop:
            ring = at % self.planes
            length = min(stop - at, self.planes - ring)
            yield slice(ring, ring + length), slice(at - start, at - start + length)
            at += length


def stream_map(
    networks: NetworkFunction | Sequence[NetworkFunction],
    image: NDArray[np.float32],
    *,
    patch: Triple,
    overlap: float = 0.5,
    batch: int = 1,
    device: torch.device | str = "cpu",
    autocast_dtype: torch.dtype | None = None,
    activation: Activation = "softmax",
    tta_axes: tuple[int, ...] = (),
    channels_last: bool = True,
    stack: SliceStack = SINGLE,
) -> Iterator[Slab]:
    """Probabilities of a prepared image, finished slab by slab.

    Parameters
    ----------
    networks : one network or an ensemble (the mean of the probabilities is taken), see :class:`Forward`.
    image : (C, I, J, K) float32 on the prepared grid; where it is smaller than ``patch`` it is padded with 0 and cut.
    patch : window size (i, j, k); k = 1 runs a 2D network on slices (B, C, i, j).
    overlap : share of a window that its neighbor covers again, from 0 to below 1.
    batch : windows per forward pass.
    device, autocast_dtype, activation, tta_axes, channels_last : see :class:`Forward`.
    stack : neighboring slices that a 2D network sees as further channels.

    Yields
    ------
    Slab : in ascending order along one axis, together the whole volume.

    Raises
    ------
    BadInput : an image that is not (C, I, J, K), a patch below 1, an overlap outside [0, 1), or neighboring slices for windows
        of more than one slice.
    """
    if image.ndim != 4:
        raise BadInput(f"expected an image of shape (C, I, J, K), got {image.shape}")
    if min(patch) < 1 or not 0 <= overlap < 1:
        raise BadInput(f"patch {patch} and overlap {overlap} make no windows", None, "Use an overlap from 0 to below 1")
    if stack.neighbors and patch[2] != 1:
        raise BadInput(f"neighboring slices go with windows of one slice, not of {patch[2]}", "slices.neighbors")
    place = torch.device(device)
    members = (networks,) if callable(networks) else tuple(networks)
    forward = Forward(members, place, activation, autocast_dtype, tta_axes, channels_last)
    padded, inside = _pad(image, patch)
    grid = WindowGrid.plan(_size(padded), patch, overlap, place)
    for slab in _run(forward, _stacks(padded, stack), grid, batch):
        if (cut := _cut(slab, inside)) is not None:
            yield cut


def predict_map(
    network: NetworkFunction | Sequence[NetworkFunction],
    image: NDArray[np.float32],
    *,
    patch: Triple,
    overlap: float = 0.5,
    batch: int = 1,
    device: torch.device | str = "cpu",
    autocast_dtype: torch.dtype | None = None,
    activation: Activation = "softmax",
    tta_axes: tuple[int, ...] = (),
    channels_last: bool = True,
    stack: SliceStack = SINGLE,
    out_dtype: DTypeLike = np.float16,
) -> NDArray[Any]:
    """All probabilities at once, (L, I, J, K) of ``out_dtype`` on the prepared grid; see :func:`stream_map`."""
    out: NDArray[Any] | None = None
    slabs = stream_map(
        network,
        image,
        patch=patch,
        overlap=overlap,
        batch=batch,
        device=device,
        autocast_dtype=autocast_dtype,
        activation=activation,
        tta_axes=tta_axes,
        channels_last=channels_last,
        stack=stack,
    )
    for slab in slabs:
        if out is None:
            out = np.empty((len(slab.probabilities), *image.shape[1:]), out_dtype)
        np.moveaxis(out, slab.axis + 1, 0)[slab.start : slab.stop] = np.moveaxis(slab.probabilities, slab.axis + 1, 0)
    assert out is not None
    return out


def _stacks(padded: NDArray[np.float32], stack: SliceStack) -> Tensor:
    """A view (C, depth, I, J, K) of the image: at slice k the slices that the network sees with it."""
    return torch.from_numpy(stack.widen(padded)).unfold(3, stack.depth, 1).movedim(-1, 1)


def _window(stacks: Tensor, where: tuple[slice, slice, slice]) -> Tensor:
    """The channels (C * depth, i, j, k) of one window."""
    return stacks[(slice(None), slice(None), *where)].flatten(0, 1)


def _run(forward: Forward, stacks: Tensor, grid: WindowGrid, batch: int) -> Iterator[Slab]:
    indices = grid.indices()
    flat = grid.patch[2] == 1
    if len(indices) == 1:
        with torch.inference_mode():
            whole = forward(_window(stacks, grid.where((0, 0, 0)))[None], flat)[0].cpu().numpy()
        yield Slab(0, 0, whole)
        return
    axis, batches = grid.axis, [indices[n : n + batch] for n in range(0, len(indices), batch)]
    starts = [grid.starts[axis][index[axis]] for index in indices]
    band: _Band | None = None
    for number, group in enumerate(batches):
        with torch.inference_mode():
            windows = torch.stack([_window(stacks, grid.where(index)) for index in group])
            found = forward(windows, flat)
            if band is None:
                band = _Band(grid, found.shape[1], _band_planes(starts, grid.patch[axis], batch), forward.device)
            for index, probabilities in zip(group, found, strict=True):
                band.add(index, probabilities)
            del windows, found
        ahead = (number + 1) * batch
        yield from band.finish(starts[ahead] if ahead < len(starts) else grid.size[axis])


def _band_planes(starts: Sequence[int], patch: int, batch: int) -> int:
    """The most planes that one batch of windows (in order of ``starts``) changes before planes are finished."""
    return max(starts[min(n + batch, len(starts)) - 1] + patch - starts[n] for n in range(0, len(starts), batch))


def _size(image: NDArray[Any]) -> Triple:
    return (image.shape[1], image.shape[2], image.shape[3])


def _pad(image: NDArray[np.float32], patch: Triple) -> tuple[NDArray[np.float32], tuple[slice, ...]]:
    """The image padded to at least ``patch``, and where it lies in it."""
    missing = [max(0, wanted - size) for wanted, size in zip(patch, _size(image), strict=True)]
    inside = tuple(slice(m // 2, m // 2 + size) for m, size in zip(missing, _size(image), strict=True))
    if not any(missing):
        return np.ascontiguousarray(image, np.float32), inside
    return np.pad(image.astype(np.float32, copy=False), ((0, 0), *((m // 2, m - m // 2) for m in missing))), inside


def _cut(slab: Slab, inside: tuple[slice, ...]) -> Slab | None:
    """The part of a slab that lies in the image, None where it is all padding."""
    kept = inside[slab.axis]
    low, high = max(slab.start, kept.start), min(slab.stop, kept.stop)
    if low >= high:
        return None
    sides = list(inside)
    sides[slab.axis] = slice(low - slab.start, high - slab.start)
    return Slab(slab.axis, low - kept.start, slab.probabilities[(slice(None), *sides)])
