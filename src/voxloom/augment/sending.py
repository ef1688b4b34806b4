"""Tensors of the CPU, sent to where a batch is without waiting for what a card still computes."""

from __future__ import annotations

import torch
from torch import Tensor


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on ``device``.

    A blocking copy waits until the card has done all that it was given before; this one takes its turn behind it. Memory of
    the CPU that is not pinned is staged before the call returns, so it may be written to afterwards.
    """
    return tensor.to(device, non_blocking=True)
