"""Dropout at work after training: seeded draws of a trained network (Monte Carlo dropout, Gal and Ghahramani 2016).

Knows torch's dropout layers. Nothing but these leaves evaluation mode, so norms keep their statistics and heads their number.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import torch
from torch import nn
from torch.nn.modules.dropout import _DropoutNd

from voxloom.errors import BadInput


def dropout_layers(network: nn.Module) -> list[nn.Module]:
    """The layers that silence features in training."""
    return [module for module in network.modules() if isinstance(module, _DropoutNd) and module.p > 0]


@contextlib.contextmanager
def active_dropout(networks: Sequence[nn.Module], seed: int) -> Iterator[None]:
    """Dropout silences features while the block runs, drawn from ``seed``; afterwards all is as before.

    The same seed, networks and inputs in the same order give the same draws. Torch's random state is left as it was.

    Raises
    ------
    BadInput : a network has no dropout.
    """
    layers = []
    for network in networks:
        found = dropout_layers(network)
        if not found:
            fix = "Train one with network.dropout, or take another source: --uncertainty tta"
            raise BadInput("a network without dropout has nothing to draw", "dropout", fix)
        layers += [(layer, layer.training) for layer in found]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            for layer, _ in layers:
                layer.train()
            yield
        finally:
            for layer, before in layers:
                layer.train(before)
