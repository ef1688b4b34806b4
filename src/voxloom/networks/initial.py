"""First weights: random after He et al. 2015, ICNR for pixel shuffle (Aitken et al. 2017), rare marks. Knows single layers only."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def he_initialize(network: nn.Module) -> None:
    """Draw every convolution from a normal distribution of variance 2 / fan-in; biases are 0."""
    for module in network.modules():
        if isinstance(module, _CONVOLUTIONS):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def expect_rarely(network: nn.Module, chance: float) -> None:
    """Let an untrained network give every voxel about this probability, after Lin et al. 2017 (focal loss).

    Where marks are rare, hundreds of steps would otherwise go into learning that most of the volume is empty.

    Parameters
    ----------
    network : the bias of its last convolution is set.
    chance : between 0 and 1.
    """
    last = [m for m in network.modules() if isinstance(m, _CONVOLUTIONS) and m.bias is not None][-1]
    assert last.bias is not None
    nn.init.constant_(last.bias, math.log(chance / (1 - chance)))


def icnr_initialize(convolution: nn.Conv2d, scale: int = 2) -> None:
    """Give the channels that a pixel shuffle lays side by side the same kernel, so that it starts as plain enlargement.

    Parameters
    ----------
    convolution : its number of output channels is a multiple of ``scale`` squared.
    """
    kernel = convolution.weight.detach()[:: scale**2].clone()
    nn.init.kaiming_normal_(kernel, nonlinearity="relu")
    with torch.no_grad():
        convolution.weight.copy_(kernel.repeat_interleave(scale**2, dim=0))
        if convolution.bias is not None:
            convolution.bias.zero_()


def adapt_stem(kernels: Tensor, channels: int) -> Tensor:
    """First-layer kernels (out, C, ...) for another number of image channels.

    Each of the new channels gets the sum over the old ones divided by their new number. A grey image thus gives what the
    old network gave for the same grey in all its channels, and so do several channels with equal content. With the same
    number of channels nothing changes.
    """
    if kernels.shape[1] == channels:
        return kernels
    share = kernels.sum(dim=1, keepdim=True) / channels
    return share.expand(-1, channels, *kernels.shape[2:]).contiguous()
