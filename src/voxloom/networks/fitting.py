"""Sizes that a network cannot halve: enlarge the image, run, cut back."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional


def run_enlarged(network: Callable[[Tensor], Tensor], image: Tensor, multiple: int) -> Tensor:
    """Run a network on an image (B, C, I, J) of any size; the result has the size of the image.

    The image is continued by its edge values up to the next ``multiple``, and to at least twice that: batch norm needs
    more than one value per channel at the coarsest level, also in a batch of one.
    """
    height, width = (int(n) for n in image.shape[-2:])
    tall, wide = (max(2 * multiple, -(-n // multiple) * multiple) for n in (height, width))
    if (tall, wide) == (height, width):
        return network(image)
    enlarged = functional.pad(image, (0, wide - width, 0, tall - height), mode="replicate")
    return network(enlarged)[..., :height, :width]
