"""How a batch lies in memory, and how many axes a network sees of it."""

from __future__ import annotations

import torch
from torch import Tensor


def to_layout(image: Tensor, dims: int, channels_last: bool) -> Tensor:
    """Drop the third axis for 2D networks, and lay the channels last where asked."""
    if dims == 2:
        image = image.squeeze(-1)
    if not channels_last:
        return image
    return image.contiguous(memory_format=torch.channels_last if dims == 2 else torch.channels_last_3d)
