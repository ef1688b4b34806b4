"""Optimisers by name, and the learning-rate range test (Smith 2017)."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from voxloom.optim.muon import Muon
from voxloom.optim.ranger import Ranger


def make_optimizer(
    parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
    name: str,
    *,
    lr: float,
    weight_decay: float,
    momentum: float = 0.99,
    nesterov: bool = True,
    fused: bool = False,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015), AdamW (Loshchilov and Hutter 2019), Ranger, Muon, or SGD with momentum (as nnU-Net).

    Parameters
    ----------
    parameters : to be changed, or groups of them (mappings with ``params``).
    name : "adam", "adamw", "muon", "ranger" or "sgd".
    lr, weight_decay : peak learning rate, and decay of the weights per unit of it (Adam and SGD: an L2 penalty).
    momentum, nesterov : of SGD alone; without momentum there is no Nesterov step.
    fused : whether Adam, AdamW and SGD move all weights by one kernel, as is fast on a graphics card.

    Raises
    ------
    ValueError : unknown name.
    """
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, weight_decay=weight_decay, fused=fused or None)
    if name == "muon":
        return Muon(parameters, lr=lr, weight_decay=weight_decay)
    if name == "ranger":
        return Ranger(parameters, lr=lr, weight_decay=weight_decay)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=fused or None)
    if name == "sgd":
        return torch.optim.SGD(
            parameters, lr=lr, momentum=momentum, nesterov=nesterov and momentum > 0, weight_decay=weight_decay,
            fused=fused or None,
        )  # fmt: skip
    raise ValueError(f"unknown optimizer {name!r}: adam, adamw, muon, ranger or sgd")


def leaves_out(optimizer: torch.optim.Optimizer) -> bool:
    """Whether the optimizer leaves a step out where its ``found_inf``, a number on its device, is 1: nobody need read it."""
    return isinstance(optimizer, Muon) or all(group.get("fused") for group in optimizer.param_groups)


def find_lr(
    step: Callable[[float], float], *, low: float = 1e-6, high: float = 1.0, steps: int = 100
) -> tuple[list[float], list[float], float]:
    """Raise the learning rate geometrically until the loss explodes (Smith 2017).

    Parameters
    ----------
    step : takes one training step at a learning rate and returns its loss; the caller restores the weights afterwards.
    low, high, steps : first and last rate, and how many steps lie between.

    Returns
    -------
    (rates, smoothed losses, suggested rate: where the smoothed loss falls most steeply).
    """
    rates: list[float] = []
    losses: list[float] = []
    average, best = 0.0, math.inf
    for n in range(steps):
        rate = low * (high / low) ** (n / max(1, steps - 1))
        average = 0.9 * average + 0.1 * step(rate)
        smooth = average / (1 - 0.9 ** (n + 1))
        best = min(best, smooth)
        if not math.isfinite(smooth) or smooth > 4 * abs(best) + 1e-9:
            break
        rates.append(rate)
        losses.append(smooth)
    slopes = [b - a for a, b in itertools.pairwise(losses)]
    return rates, losses, rates[slopes.index(min(slopes))] if slopes else low


def valley(rates: Sequence[float], losses: Sequence[float]) -> float:
    """The rate in the middle of the longest fall of the loss, fastai's suggestion "valley" (Howard and Gugger 2020).

    Of all choices of points whose losses fall from one to the next, the longest is taken; the suggestion lies half its length before
    its end. The first tenth and the last five points, where the average has not settled or the loss explodes, do not count.

    Parameters
    ----------
    rates, losses : of a range test (``find_lr``), at least one.
    """
    first, last = len(losses) // 10, len(losses) - 5
    if last - first < 3:
        first, last = 0, len(losses)
    cut = [-loss for loss in losses[first:last]]
    tails: list[float] = []  # the smallest last value of a rising choice of every length
    longest, end = 0, 0
    for n, value in enumerate(cut):
        length = bisect.bisect_left(tails, value)
        tails[length : length + 1] = [value]
        if length + 1 > longest:
            longest, end = length + 1, n
    return rates[first + max(0, end - longest // 2)]
