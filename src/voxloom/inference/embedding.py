"""What a scan looks like to a network: the mean and SD of its deepest features, pooled over the scan.

Knows networks that name their encoder's stages. Does not know what the numbers are compared for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.inference.forward import Forward
from voxloom.inference.windowing import Windowing
from voxloom.inference.windows import windows_over
from voxloom.networks.base import StagedNetwork

Row = NDArray[np.float32]


@contextlib.contextmanager
def deepest_features(network: nn.Module, every: int = 1) -> Iterator[list[Row]]:
    """Collects (2 * features,) per window that the network sees while the block runs: means, then SDs, over the window.

    The list stays empty for a network whose encoder's last stage is not a module that runs by itself.

    Parameters
    ----------
    every : passes that belong together, of which the first is looked at: the mirror images of a window follow the window itself.
    """
    seen: list[Row] = []
    deepest = _deepest(network)
    if deepest is None:
        yield seen
        return
    passes = count()

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], found: Tensor) -> None:
        if next(passes) % every == 0:
            features = found.detach().float()
            flat = features.flatten(2) if features.ndim > 2 else features[..., None]
            seen.extend(torch.cat([flat.mean(2), flat.std(2, correction=0)], 1).cpu().numpy())

    handle = deepest.register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def features_of_windows(network: nn.Module, image: NDArray[np.float32], windowing: Windowing, most: int) -> Row | None:
    """The mean of ``deepest_features`` over some windows of a prepared image; the network runs no further than to them.

    Parameters
    ----------
    image : float32 (C, I, J, K).
    most : windows, from all over the image.

    Returns
    -------
    (2 * features,), or None for a network that has no such features.
    """
    forward, flat = Forward((network,), replace(windowing, tta_axes=())), windowing.patch[2] == 1
    windows = windows_over(image, windowing, most)
    return features_of_passes(network, (partial(forward.scores, window, flat) for window in windows))


def features_of_passes(network: nn.Module, passes: Iterable[Callable[[], object]]) -> Row | None:
    """The mean of ``deepest_features`` over some passes of a network, each of which ends where they are there; None without any."""
    deepest = _deepest(network)
    if deepest is None:
        return None
    with deepest_features(network) as seen, torch.inference_mode():
        for one in passes:
            with _no_further_than(deepest):
                one()
            if not seen:
                return None
    return mean_row(seen)


def mean_row(seen: list[Row]) -> Row | None:
    """One row for all windows; None where none was seen."""
    if not seen:
        return None
    mean: Row = np.mean(seen, axis=0)
    return mean


def image_features(image: NDArray[np.float32]) -> Row:
    """Percentiles 1, 10, 25, 50, 75, 90 and 99 of every channel of a prepared image (C, I, J, K)."""
    flat = image.reshape(len(image), -1)
    found: Row = np.percentile(flat, [1, 10, 25, 50, 75, 90, 99], axis=1).T.ravel().astype(np.float32)
    return found


def _deepest(network: nn.Module) -> nn.Module | None:
    """The end of the encoder's last stage."""
    stages = network.encoder_stages() if isinstance(network, StagedNetwork) else []
    return stages[-1][-1] if stages else None


class _FarEnough(Exception):
    """What was wanted of a pass is there."""


@contextlib.contextmanager
def _no_further_than(module: nn.Module) -> Iterator[None]:
    """The pass of a network in the block ends behind one of its modules."""

    def stop(module: nn.Module, inputs: tuple[Tensor, ...], found: Tensor) -> None:
        raise _FarEnough

    handle = module.register_forward_hook(stop)
    try:
        with contextlib.suppress(_FarEnough):
            yield
    finally:
        handle.remove()
