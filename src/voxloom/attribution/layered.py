"""Class activation maps: the features of a layer, weighted by what they are worth to an answer.

CAM (Zhou et al. 2016), Grad-CAM (Selvaraju et al. 2017) and Grad-CAM++ (Chattopadhay et al. 2018). Knows tensors.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from voxloom.attribution.explainable import Method, Score
from voxloom.attribution.layers import unfolded, watched
from voxloom.errors import BadInput
from voxloom.networks.case_networks import CaseNetwork


def layered_map(
    method: Method, run: Callable[[Tensor], Tensor], layer: nn.Module, image: Tensor, score: Score, network: nn.Module
) -> Tensor:
    """Map float32 (i, j, k) on the grid of the layer for a window (1, C, i, j, k).

    Parameters
    ----------
    run : window to the network's output.
    """
    with torch.enable_grad(), watched(layer) as kept:
        value = score(run(image))
        features = kept.features
        if features is None:
            raise BadInput("the network does not use this layer", "layer", "Name a stage: -1")
        (slope,) = torch.autograd.grad(value.sum(), features, allow_unused=True)
    axes = image.ndim - 2
    found = unfolded(features.detach().float(), 1, axes, network)
    slope = torch.zeros_like(features) if slope is None else slope
    return weighted(method, found, unfolded(slope.float(), 1, axes, network), network)


def weighted(method: Method, features: Tensor, slope: Tensor, network: nn.Module) -> Tensor:
    """Features (1, F, ...) summed by the weights of a method; ``slope`` is the gradient of the score for them.

    For mean pooling and a linear head Grad-CAM's weights are CAM's; CAM keeps what speaks against the answer, the others leave it out.
    """
    axes = tuple(range(2, features.ndim))
    if method == "grad-cam++":
        squared, cubed = slope**2, slope**3
        below = 2 * squared + (features * cubed).sum(axes, keepdim=True)
        alpha = squared / torch.where(below != 0, below, torch.ones_like(below))
        weights = (alpha * slope.relu()).sum(axes, keepdim=True)
    else:
        weights = slope.mean(axes, keepdim=True)
    found = (weights * features).sum(1)[0]
    if method == "cam":
        if not isinstance(network, CaseNetwork):
            raise BadInput("cam needs a network that pools its features", None, "Use grad-cam")
        return found
    return found.relu()
