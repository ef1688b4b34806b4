"""What a scan looks like to a network: the mean and SD of its deepest features, pooled over the scan.

Knows networks that name their encoder's stages. Does not know what the numbers are compared for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.networks import SegmentationNetwork


@contextlib.contextmanager
def deepest_features(network: nn.Module) -> Iterator[list[NDArray[np.float32]]]:
    """Collects (2 * features,) per window that the network sees while the block runs: means, then SDs, over the window.

    The list stays empty for a network whose encoder's last stage is not a module that runs by itself.
    """
    seen: list[NDArray[np.float32]] = []
    stages = network.encoder_stages() if isinstance(network, SegmentationNetwork) else []
    if not stages:
        yield seen
        return

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], found: Tensor) -> None:
        flat = found.detach().float().flatten(2)
        seen.extend(torch.cat([flat.mean(2), flat.std(2, correction=0)], 1).cpu().numpy())

    handle = stages[-1][-1].register_forward_hook(keep)
    try:
        yield seen
    finally:
        handle.remove()


def image_features(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Percentiles 1, 10, 25, 50, 75, 90 and 99 of every channel of a prepared image (C, I, J, K)."""
    flat = image.reshape(len(image), -1)
    found: NDArray[np.float32] = np.percentile(flat, [1, 10, 25, 50, 75, 90, 99], axis=1).T.ravel().astype(np.float32)
    return found
