"""The planes of a volume that windows still change, and the finished ones as slabs.

Knows how windows are added by their weights and when a plane is finished. Values are float32 while they are few, else
float16, as the memory of a scan with many labels goes into this band. Does not run networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from voxloom.inference.grid import Triple, WindowGrid

#: Values of one yielded slab (all labels together), unless one plane already has more.
_SLAB_VALUES = 1 << 22
#: The most bytes of a band of float32; a larger one is of float16.
_FLOAT32_BYTES = 1 << 29
#: Values worked on at a time on a CPU: these stay in its cache, and yet its cores rarely wait for each other.
_CACHED_VALUES = 1 << 19
#: Values beyond this do not fit into float16.
_LARGEST = 60000.0


@dataclass(frozen=True)
class Slab:
    """Finished planes ``start`` to ``start + n`` along ``axis`` of the prepared grid.

    values : (M, I, J, K) with n planes along ``axis``: probabilities in float32, or what was read from the scores in their place.
    """

    axis: int
    start: int
    values: NDArray[Any]

    @property
    def stop(self) -> int:
        """One beyond the last plane."""
        return self.start + int(self.values.shape[self.axis + 1])


def gather(slabs: Iterable[Slab], size: tuple[int, ...], out_dtype: DTypeLike | None = None) -> NDArray[Any]:
    """All slabs of a volume of ``size`` in one array (M, I, J, K), of their own type where none is given."""
    out: NDArray[Any] | None = None
    for slab in slabs:
        if out is None:
            out = np.empty((len(slab.values), *size), out_dtype or slab.values.dtype)
        np.moveaxis(out, slab.axis + 1, 0)[slab.start : slab.stop] = np.moveaxis(slab.values, slab.axis + 1, 0)
    assert out is not None
    return out


class Band:
    """The planes that windows still change: a ring of them along the axis of advance, (L, I, J, K) on the device.

    Its memory is laid out as the scores are, so that both are walked in the order of memory.

    Parameters
    ----------
    grid : of the windows.
    like : scores of a window (L, i, j, k), channels-last in memory or not.
    planes : length of the ring, see :func:`ring_planes`.
    finished : what sums of weighted scores, float32 (L, ...), become: (M, ...) of any type.
    """

    def __init__(self, grid: WindowGrid, like: Tensor, planes: int, finished: Callable[[Tensor], Tensor]) -> None:
        self.grid, self.planes, self.done, self.finished = grid, planes, 0, finished
        example = finished(like.flatten(1)[:, :1].float())
        self.maps, self.kind = len(example), example.dtype
        self.interleaved = len(like) > 1 and like.stride(0) == 1
        self.chunk = _CACHED_VALUES if like.device.type == "cpu" else like.numel()
        size = [planes if axis == grid.axis else n for axis, n in enumerate(grid.size)]
        dtype = torch.float32 if 4 * len(like) * prod(size) <= _FLOAT32_BYTES else torch.float16
        shape = [*size, len(like)] if self.interleaved else [len(like), *size]
        memory = torch.zeros(shape, dtype=dtype, device=like.device)
        self.values = memory.movedim(-1, 0) if self.interleaved else memory

    def add(self, index: Triple, scores: Tensor) -> None:
        """Add a window's scores (L, i, j, k), of any floating type, by the window's weights."""
        axis, where = self.grid.axis, list(self.grid.where(index))
        weights = list(self.grid.axis_weights(index))
        whole = weights[axis]
        for ring, part in self._pieces(where[axis].start, where[axis].stop):
            where[axis], weights[axis] = ring, whole[part]
            given = scores.narrow(axis + 1, part.start, _length(part))
            self._add_part(self._in_order(self.values[(slice(None), *where)]), self._in_order(given), weights)

    def _in_order(self, values: Tensor) -> Tensor:
        """(L, i, j, k) in the order of memory: the same, or (i, j, k * L)."""
        return values.movedim(0, -1).flatten(2) if self.interleaved else values

    def _add_part(self, target: Tensor, scores: Tensor, weights: list[Tensor]) -> None:
        """Add weighted scores to ``target``, both in the order of memory, a few planes along i at a time."""
        i, j, k = weights
        plane = j[:, None] * (k.repeat_interleave(len(self.values)) if self.interleaved else k)
        step = max(1, self.chunk * len(i) // scores.numel())
        parts = (target.split(step, -3), scores.split(step, -3), i[:, None, None].split(step))
        for held, given, weight in zip(*parts, strict=True):
            if held.dtype is torch.float32:
                held.addcmul_(given.float(), weight * plane)
            else:
                held.add_(given.float().clamp(-_LARGEST, _LARGEST).mul_(weight * plane).to(held.dtype))

    def finish(self, stop: int) -> Iterator[Slab]:
        """Yield the planes up to ``stop`` in order, and free them."""
        axis = self.grid.axis
        step = max(1, _SLAB_VALUES // (self.values.numel() // self.planes))
        while self.done < stop:
            end = min(stop, self.done + step)
            yield Slab(axis, self.done, self._take(end))
            self.done = end

    @torch.inference_mode()
    def _take(self, stop: int) -> NDArray[Any]:
        """What the finished planes up to ``stop`` become; their ring planes are emptied."""
        axis, shape = self.grid.axis + 1, [self.maps, *self.values.shape[1:]]
        shape[axis] = stop - self.done
        found = torch.empty(shape, dtype=self.kind, device=self.values.device)
        for ring, part in self._pieces(self.done, stop):
            held = self.values.narrow(axis, ring.start, _length(ring))
            out = found.narrow(axis, part.start, _length(part))
            step = max(1, self.chunk * shape[1] // held.numel())
            for sums, target in zip(held.split(step, 1), out.split(step, 1), strict=True):
                target.copy_(self.finished(sums.float()))
                sums.zero_()
        result: NDArray[Any] = found.cpu().numpy()
        return result

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """Ring planes and their place in start..stop, cut where the ring wraps."""
        at = start
        while at < stop:
            ring = at % self.planes
            length = min(stop - at, self.planes - ring)
            yield slice(ring, ring + length), slice(at - start, at - start + length)
            at += length


def _length(part: slice) -> int:
    length: int = part.stop - part.start
    return length


def ring_planes(groups: list[list[Triple]], grid: WindowGrid) -> int:
    """The most planes that one batch of windows changes, or has before it, until planes are finished."""
    first = [grid.starts[grid.axis][group[0][grid.axis]] for group in groups]
    last = [grid.starts[grid.axis][group[-1][grid.axis]] for group in groups]
    return max(b - a for a, b in zip(first, last, strict=True)) + grid.patch[grid.axis]
