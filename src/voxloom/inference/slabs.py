"""Maps of networks that read a slab of three slices and answer for the middle one.

Knows that a slice of zeros is put on both ends of the volume, so that every slice is the middle of a slab (Lamerigts 2017,
section 7.4.4), and how patches that overlap in the slice are merged. Does not know landmarks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxloom.inference.grid import window_starts, window_weights
from voxloom.inference.windowing import Windowing

#: Slices of a slab.
SLAB = 3


@torch.inference_mode()
def predict_slabs(
    networks: Sequence[Callable[[Tensor], Tensor]],
    image: NDArray[np.float32],
    activation: Callable[[Tensor], Tensor],
    windowing: Windowing,
) -> NDArray[np.float32]:
    """Probabilities (M, I, J, K) of a prepared image (C, I, J, K), slices last; the mean over the networks.

    Parameters
    ----------
    networks : slabs (B, C, i, j, 3) to logits (B, M, i, j, 1), in evaluation mode, on ``device``.
    activation : logits to probabilities.
    windowing : ``patch`` (i, j) is the pixels of a window. A slice that fits into one window is seen whole; a larger one is covered
        by windows that overlap by at least ``overlap`` (four, where it is less than twice as large) and are merged by Gaussian
        weights. ``batch`` is slices per forward pass.
    """
    w = windowing
    padded = torch.from_numpy(np.pad(image, ((0, 0), (0, 0), (0, 0), (1, 1))).astype(np.float32, copy=False))
    sizes = [min(p, n) for p, n in zip(w.patch[:2], image.shape[1:3], strict=True)]
    starts = [window_starts(n, p, w.overlap) for n, p in zip(image.shape[1:3], sizes, strict=True)]
    weights = [window_weights(n, p, s) for n, p, s in zip(image.shape[1:3], sizes, starts, strict=True)]
    out: NDArray[Any] | None = None
    for first in range(0, image.shape[3], w.batch):
        numbers = range(first, min(first + w.batch, image.shape[3]))
        slabs = torch.stack([padded[..., k : k + SLAB] for k in numbers])
        for a, wa in zip(starts[0], weights[0], strict=True):
            for b, wb in zip(starts[1], weights[1], strict=True):
                seen = slabs[:, :, a : a + sizes[0], b : b + sizes[1]].to(w.device)
                found = _mean(networks, seen, activation, w.autocast_dtype)[..., 0].cpu().numpy()
                if out is None:
                    out = np.zeros((found.shape[1], *image.shape[1:]), np.float32)
                weighted = found * (wa[:, None] * wb[None, :])
                out[:, a : a + sizes[0], b : b + sizes[1], first : first + len(numbers)] += np.moveaxis(weighted, 0, -1)
    assert out is not None, "an image has at least one slice"
    return out


def _mean(
    networks: Sequence[Callable[[Tensor], Tensor]],
    slabs: Tensor,
    activation: Callable[[Tensor], Tensor],
    autocast_dtype: torch.dtype | None,
) -> Tensor:
    """Mean probability (B, M, i, j, 1) over the networks, float32."""
    with torch.autocast(slabs.device.type, dtype=autocast_dtype, enabled=autocast_dtype is not None):
        logits = [network(slabs) for network in networks]
    return torch.stack([activation(one.float()) for one in logits]).mean(0)
