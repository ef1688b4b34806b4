"""Overlapping windows over a volume, blended by Gaussian weights, finished slab by slab.

Knows how an image is cut into the windows of a grid (``grid``), which go through the networks in batches and into the band of
planes that windows still change (``band``). Does not know labels or the source grid.

What is blended is the logits of a single network, as in MONAI and nnU-Net, and the mean probability of several networks or
mirror images: see :meth:`Forward.scores`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from voxloom.errors import BadInput
from voxloom.inference.band import Band, Slab, gather, ring_planes
from voxloom.inference.forward import Forward, NetworkFunction, Reading
from voxloom.inference.grid import Triple, WindowGrid, evenly
from voxloom.inference.windowing import SINGLE, Windowing
from voxloom.prepare.slices import SliceStack, spread_slices


def stream_map(
    networks: NetworkFunction | Sequence[NetworkFunction],
    image: NDArray[np.float32],
    windowing: Windowing,
    *,
    reading: Reading | None = None,
) -> Iterator[Slab]:
    """Probabilities of a prepared image, or what is read in their place, finished slab by slab.

    Parameters
    ----------
    networks : one network or an ensemble (the mean of the probabilities is taken), see :class:`Forward`.
    image : (C, I, J, K) float32 on the prepared grid; where it is smaller than a window it is padded with 0 and cut.
    windowing : size and overlap of windows, device, precision, mirror images.
    reading : what to make of blended scores (see :meth:`Forward.scores`) instead of probabilities, e.g. :func:`most_likely`.

    Yields
    ------
    Slab : in ascending order along one axis, together the whole volume.

    Raises
    ------
    BadInput : an image that is not (C, I, J, K).
    """
    if image.ndim != 4:
        raise BadInput(f"expected an image of shape (C, I, J, K), got {image.shape}")
    forward, w = Forward((networks,) if callable(networks) else tuple(networks), windowing), windowing
    read = forward.finished if reading is None else reading

    def stream(part: NDArray[np.float32], of: SliceStack) -> Iterator[Slab]:
        padded, inside = _pad(part, w.patch)
        grid = WindowGrid.plan(_size(padded), w.patch, w.overlap, w.device)
        for slab in _run(forward, read, _stacks(padded, of), grid, w.batch):
            if (cut := _cut(slab, inside)) is not None:
                yield cut

    if w.stack.spread:
        yield _spread(image, w.patch[2], lambda part: stream(part, SINGLE))
    else:
        yield from stream(image, w.stack)


def predict_map(
    networks: NetworkFunction | Sequence[NetworkFunction],
    image: NDArray[np.float32],
    windowing: Windowing,
    *,
    out_dtype: DTypeLike = np.float16,
) -> NDArray[Any]:
    """All probabilities at once, (L, I, J, K) of ``out_dtype`` on the prepared grid; see :func:`stream_map`."""
    return gather(stream_map(networks, image, windowing), image.shape[1:], out_dtype)


def windows_over(image: NDArray[np.float32], windowing: Windowing, most: int) -> Iterator[Tensor]:
    """At most ``most`` windows (1, C * depth, i, j, k) from all over a prepared image (C, I, J, K), which overlap as little as may be.

    A network that sees slices spread over the volume sees the first group of them. The memory of a window is that of the next.
    """
    w, stack = windowing, windowing.stack
    if stack.spread:
        group, _ = spread_slices(image.shape[3], w.patch[2])[0]
        image, stack = np.ascontiguousarray(image[..., group]), SINGLE
    padded, _ = _pad(image, w.patch)
    grid = WindowGrid.plan(_size(padded), w.patch, 0.0, w.device)
    indices, cut = grid.indices(), _Cutter(_stacks(padded, stack), grid, 1, w.channels_last)
    for number in evenly(len(indices), most):
        yield cut([indices[number]])


def _spread(image: NDArray[np.float32], depth: int, stream: Callable[[NDArray[np.float32]], Iterator[Slab]]) -> Slab:
    """The whole volume (C, I, J, K), ``depth`` slices spread over it at a time."""
    out: NDArray[Any] | None = None
    for group, own in spread_slices(image.shape[3], depth):
        part = np.ascontiguousarray(image[..., group])
        found = gather(stream(part), part.shape[1:])
        if out is None:
            out = np.empty((len(found), *image.shape[1:]), found.dtype)
        out[..., group[own]] = found[..., own]
    assert out is not None
    return Slab(2, 0, out)


def _stacks(padded: NDArray[np.float32], stack: SliceStack) -> Tensor:
    """A view (C, depth, I, J, K) of the image: at slice k the slices that the network sees with it."""
    return torch.from_numpy(stack.widen(padded)).unfold(3, stack.depth, 1).movedim(-1, 1)


class _Cutter:
    """Cuts windows (B, C * depth, i, j, k) out of the image, always into the same memory."""

    def __init__(self, stacks: Tensor, grid: WindowGrid, batch: int, channels_last: bool) -> None:
        self.stacks, self.grid = stacks, grid
        shape = (batch, stacks.shape[0] * stacks.shape[1], *grid.patch)
        layout = torch.channels_last_3d if channels_last else torch.contiguous_format
        self.windows = torch.empty(shape, memory_format=layout)

    def __call__(self, group: Sequence[Triple]) -> Tensor:
        """The windows of a group; they change with the next call."""
        for window, index in zip(self.windows, group, strict=False):
            window.unflatten(0, self.stacks.shape[:2]).copy_(
                self.stacks[(slice(None), slice(None), *self.grid.where(index))]
            )
        return self.windows[: len(group)]


def _run(forward: Forward, read: Reading, stacks: Tensor, grid: WindowGrid, batch: int) -> Iterator[Slab]:
    indices = grid.indices()
    flat = grid.patch[2] == 1
    cut = _Cutter(stacks, grid, min(batch, len(indices)), forward.windowing.channels_last)
    if len(indices) == 1:
        with torch.inference_mode():
            whole = read(forward.scores(cut(indices), flat)[0].float()).cpu().numpy()
        yield Slab(0, 0, whole)
        return
    groups = [indices[n : n + batch] for n in range(0, len(indices), batch)]
    following = [grid.starts[grid.axis][group[0][grid.axis]] for group in groups[1:]]
    band: Band | None = None
    for group, done in zip(groups, [*following, grid.size[grid.axis]], strict=True):
        with torch.inference_mode():
            found = forward.scores(cut(group), flat)
            if band is None:
                band = Band(grid, found[0], ring_planes(groups, grid), read)
            for index, scores in zip(group, found, strict=True):
                band.add(index, scores)
            del found
        yield from band.finish(done)


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
    return Slab(slab.axis, low - kept.start, slab.values[(slice(None), *sides)])
