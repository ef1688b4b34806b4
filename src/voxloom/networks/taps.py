"""The taps of a dilated 3-wide convolution: shifted copies of a map, summed or spread out again.

A convolution of many channels into one is a product of matrices, one map per tap, and then a sum of those maps, each shifted to
its place. Knows shifts and borders. Does not know layers or weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional


def reflected(x: Tensor, width: int) -> Tensor:
    """``x`` (B, C, ...) continued by ``width`` on both ends of every spatial axis, mirrored at the edge voxels.

    A short axis is mirrored as often as needed; one of a single voxel is repeated.
    """
    axes = x.ndim - 2
    for axis in range(axes):
        left = width
        while left:
            size = int(x.shape[2 + axis])
            step = min(left, size - 1) or left
            pad = [0, 0] * axes
            pad[2 * (axes - 1 - axis)] = pad[2 * (axes - 1 - axis) + 1] = step
            x = functional.pad(x, pad, mode="reflect" if size > 1 else "replicate")
            left -= step
    return x


def sum_taps(maps: Tensor, dilation: int, reflect: bool) -> Tensor:
    """What a convolution gives, (B, 1, ...), from one map per tap.

    Parameters
    ----------
    maps : (B, 3^d, ...) with d spatial axes; tap t is the kernel's element t.
    reflect : continue the image by its mirror image, else by 0.

    Returns
    -------
    Float32, or float64 where the maps are.
    """
    size = maps.shape[2:]
    out = maps.new_zeros(maps.shape[0], 1, *size, dtype=torch.promote_types(maps.dtype, torch.float32))
    if reflect:
        padded = reflected(maps, dilation)
        for source in _padded_taps(size, dilation):
            out += padded[source]
        return out
    for target, source in _cut_taps(size, dilation):
        out[target] += maps[source]
    return out


def spread_taps(gradient: Tensor, dilation: int, reflect: bool, out: Tensor) -> None:
    """The transpose of :func:`sum_taps`: from the gradient (B, 1, ...) of its result, that of its maps, into ``out``."""
    size = gradient.shape[2:]
    if reflect:
        padded = out.new_zeros(*out.shape[:2], *(n + 2 * dilation for n in size))
        for source in _padded_taps(size, dilation):
            padded[source] = gradient
        with torch.enable_grad():
            inner = torch.zeros_like(out, requires_grad=True)
            out.copy_(torch.autograd.grad(reflected(inner, dilation), inner, padded)[0])
        return
    out.zero_()
    for target, source in _cut_taps(size, dilation):
        out[source] = gradient[target]


def _padded_taps(size: torch.Size, dilation: int) -> Iterator[tuple[slice, ...]]:
    """For every tap its map, and there the image as the tap sees it, in maps continued by ``dilation``."""
    for tap, steps in enumerate(itertools.product((0, 1, 2), repeat=len(size))):
        inside = (slice(step * dilation, step * dilation + n) for step, n in zip(steps, size, strict=True))
        yield (slice(None), slice(tap, tap + 1), *inside)


def _cut_taps(size: torch.Size, dilation: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """For every tap that reaches the image: the voxels of the result that it adds to, and those of its map that it reads."""
    for tap, steps in enumerate(itertools.product((-dilation, 0, dilation), repeat=len(size))):
        if all(abs(step) < n for step, n in zip(steps, size, strict=True)):
            target = (slice(max(0, -step), n - max(0, step)) for step, n in zip(steps, size, strict=True))
            source = (slice(max(0, step), n - max(0, -step)) for step, n in zip(steps, size, strict=True))
            yield (slice(None), slice(None), *target), (slice(None), slice(tap, tap + 1), *source)
