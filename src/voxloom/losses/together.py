"""Sums over the processes that train together, for losses of a whole batch of which every process has a part."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed

from voxloom.ranks import are_in_step


class _Sum(torch.autograd.Function):
    """The sum over all processes; a gradient is that of the sum of all losses."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        distributed.all_reduce(total)
        return total


def summed(values: Tensor) -> Tensor:
    """The sum over all processes that are in one step; the values themselves for one alone.

    Data parallel training averages gradients over the processes, so that a loss of such sums has the gradient of one process with all
    samples.
    """
    if not are_in_step():
        return values
    total: Tensor = _Sum.apply(values)
    return total
