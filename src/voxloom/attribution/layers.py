"""Which layer of a network is looked into, and where in the image each of its features comes from.

Knows the encoder's stages. A feature of a layer of stride s does not lie in the middle of the s voxels that an interpolation by
factor s would spread it over: with padded kernels it lies on the first of them. Half a stride is the size of a nodule, so the places
are measured.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.errors import BadInput
from voxloom.networks.base import StagedNetwork
from voxloom.networks.slabnet import SlabNet
from voxloom.prepare.resample import apply_taps, linear_taps

#: Features and random images whose gradients are followed back to the image.
_PROBES = 4


@dataclass
class Kept:
    """The features of a layer in the last pass, float32 (N, F, ...), from which gradients are taken."""

    features: Tensor | None = None


def layer_of(network: nn.Module, wanted: str | None) -> nn.Module:
    """The layer that is meant: a stage of the encoder counted from its end, or a module by its name.

    Raises
    ------
    BadInput : there is no such layer.
    """
    stages = network.encoder_stages() if isinstance(network, (StagedNetwork, SlabNet)) else []
    named = dict(network.named_modules())
    if wanted is None or wanted.lstrip("-").isdigit():
        place = -1 if wanted is None else int(wanted)
        if place >= 0 or -place > len(stages):
            fix = f"Stages count from the end: -1 to -{len(stages)}" if stages else "Name one of its modules"
            raise BadInput(f"the network has no stage {place}", "layer", fix)
        return stages[place][-1]
    if wanted not in named or not wanted:
        names = {id(module): name for name, module in named.items()}
        known = [names[id(stage[-1])] for stage in stages]
        raise BadInput(f"the network has no layer {wanted!r}", "layer", f"Its stages end with {', '.join(known)}")
    return named[wanted]


@contextlib.contextmanager
def watched(layer: nn.Module) -> Iterator[Kept]:
    """Keep the features of a layer while the block runs; gradients begin there, so that nothing before it is remembered."""
    kept = Kept()

    def keep(module: nn.Module, given: object, found: object) -> Tensor:
        if not isinstance(found, Tensor) or found.ndim < 4:
            raise BadInput("this layer gives no map of features", "layer", "Name a convolution, or a stage: -1")
        kept.features = found.detach().requires_grad_() if torch.is_grad_enabled() else found
        return kept.features.clone()  # what follows may work in place

    handle = layer.register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


@dataclass(frozen=True)
class Places:
    """Where the features of a layer lie: position ``first + step * n`` voxels along each axis of the window."""

    first: tuple[float, ...]
    step: tuple[float, ...]

    def spread(self, coarse: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
        """A map on the layer's grid, on the grid of the window by linear interpolation (the outermost values beyond its ends)."""
        taps = [
            linear_taps((np.arange(n, dtype=np.float64) - first) / step, m)
            for n, m, first, step in zip(size, coarse.shape, self.first, self.step, strict=True)
        ]
        return apply_taps(coarse, taps)


#: Measured once per layer and shape of window: they depend on kernels and strides, not on weights.
_KNOWN: WeakKeyDictionary[nn.Module, dict[tuple[int, ...], Places]] = WeakKeyDictionary()


def places_of(
    run: Callable[[Tensor], Tensor], network: nn.Module, layer: nn.Module, shape: tuple[int, ...], device: torch.device
) -> Places:
    """Where the features of a layer come from.

    Parameters
    ----------
    run : window (1, C, i, j, k) to the network's output; the layer runs in it.
    shape : of the window.
    """
    known = _KNOWN.setdefault(layer, {})
    if shape not in known:
        known[shape] = _measured(run, network, layer, shape, device)
    return known[shape]


def _measured(
    run: Callable[[Tensor], Tensor], network: nn.Module, layer: nn.Module, shape: tuple[int, ...], device: torch.device
) -> Places:
    """Places by the gradients of single features for images of noise: what a feature depends on lies around it."""
    size, sums = shape[2:], [[0.0, 0.0] for _ in shape[2:]]
    generator = torch.Generator().manual_seed(0)
    kept: list[Tensor] = []
    handle = layer.register_forward_hook(lambda module, given, found: kept.append(found))
    grid: tuple[int, ...] = ()
    try:
        for _ in range(_PROBES):
            image = torch.randn(shape, generator=generator).to(device).requires_grad_()
            kept.clear()
            with torch.enable_grad():
                run(image)
                found = unfolded(kept[-1], 1, len(size), network)
            grid = tuple(found.shape[2:])
            signs = (torch.randint(0, 2, found.shape[:2], generator=generator) * 2.0 - 1).to(found)
            (slope,) = torch.autograd.grad((picked(found, grid).flatten(2)[..., 0] * signs).sum(), image)
            weight = (slope.float() ** 2).sum((0, 1)).cpu().double()
            for axis in range(len(size)):
                rest = tuple(a for a in range(len(size)) if a != axis)
                profile = weight.sum(rest) if rest else weight
                sums[axis][0] += float((profile * torch.arange(size[axis])).sum())
                sums[axis][1] += float(profile.sum())
    finally:
        handle.remove()
    first, steps = [], []
    for (moment, total), n, m in zip(sums, size, grid, strict=True):
        step = stride_of(n, m)
        center = moment / total if total > 0 and np.isfinite(moment + total) else step * (m // 2)
        steps.append(step)
        # a layer cannot lie further off than its own cells: a wide, uneven reach would only blur the measurement
        first.append(float(np.clip(center - step * (m // 2), -0.5 * step, step - 1)) if m > 1 else (n - 1) / 2)
    return Places(tuple(first), tuple(steps))


def picked(features: Tensor, grid: tuple[int, ...]) -> Tensor:
    """The feature in the middle, (B, F, 1, ...)."""
    for axis, m in enumerate(grid):
        features = features.narrow(axis + 2, m // 2, 1)
    return features


def stride_of(size: int, cells: int) -> float:
    """Voxels between the features of a layer that makes ``cells`` of ``size`` voxels: a power of two where that is possible."""
    possible = [s for s in range(1, size + 1) if -(-size // s) == cells] or [max(1, round(size / cells))]
    halvings = [s for s in possible if s & (s - 1) == 0]
    return float(min(halvings or possible, key=lambda s: abs(s - size / cells)))


def unfolded(features: Tensor, batch: int, axes: int, network: nn.Module) -> Tensor:
    """Features (B, F, i, j[, k]) of a window of ``axes`` axes; slices that lie first, or make a batch, become the last axis."""
    if isinstance(network, SlabNet):
        return features.movedim(2, -1)
    if features.ndim - 2 == axes:
        return features
    if features.ndim == 4 and axes == 3 and features.shape[0] % batch == 0:
        return features.reshape(batch, -1, *features.shape[1:]).movedim(1, -1)
    raise BadInput("this layer's features do not lie on the grid of the image", "layer", "Name a stage: -1")
