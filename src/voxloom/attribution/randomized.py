"""The same networks with random weights: a map that they give too says nothing of what was learned (Adebayo et al. 2018)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import torch
from torch import nn

from voxloom.attribution.explainable import Explainable
from voxloom.inference.views import Member


def randomized(explained: Explainable, seed: int) -> Explainable:
    """Every layer of every network drawn anew; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        members = tuple(Member(_drawn_anew(m.network), m.statistics) for m in explained.members)
    return replace(explained, members=members)


def _drawn_anew(network: nn.Module) -> nn.Module:
    """A copy; layers draw as they do when they are made, parameters that have no layer of their kind are shuffled."""
    copy = deepcopy(network)
    with torch.no_grad():
        for module in copy.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                order = torch.randperm(parameter.numel())
                parameter.copy_(parameter.flatten()[order.to(parameter.device)].reshape(parameter.shape))
    return copy.requires_grad_(False).eval()
