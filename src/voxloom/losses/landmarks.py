"""Losses of landmark maps: fuzzy Dice weighted by marker counts, class-balanced cross-entropies, heat-map regression.

After Lamerigts (2017), sections 7.1.1, 7.5.1 and 7.5.2. Arithmetic is float32. Knows logits (B, M, ...) and targets of the
same shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

_TINY = 1e-5


def count_weights(counts: Sequence[int]) -> list[float]:
    """Weight of each channel from its number of markers: the smallest count divided by its own.

    Raises ValueError when a channel has no marker.
    """
    if min(counts) < 1:
        raise ValueError(f"a channel without a marker cannot be weighted: {list(counts)}")
    return [min(counts) / count for count in counts]


def probabilities_of(logits: Tensor, output: Literal["sigmoid", "softmax"]) -> Tensor:
    """Probabilities of the maps; softmax competes with a background whose logit is fixed at 0."""
    if output == "sigmoid":
        return logits.sigmoid()
    return torch.softmax(functional.pad(logits, _background(logits)), dim=1)[:, 1:]


def logits_of(probabilities: Tensor, output: Literal["sigmoid", "softmax"]) -> Tensor:
    """Logits (B, M, ...) that give these probabilities; the inverse of ``probabilities_of``, up to 1e-5."""
    p = probabilities.float()
    if output == "sigmoid":
        return p.clamp(_TINY, 1 - _TINY).logit()
    return p.clamp(min=_TINY).log() - (1 - p.sum(1, keepdim=True)).clamp(min=_TINY).log()


def fuzzy_dice(probabilities: Tensor, target: Tensor) -> Tensor:
    """Fuzzy Dice (M,) of maps (M, ...), 2 sum(p t) / (sum(p) + sum(t)); not a number where a map has no target."""
    p, t = probabilities.float().flatten(1), target.float().flatten(1)
    true = t.sum(1)
    return torch.where(true > 0, 2 * (p * t).sum(1) / (p.sum(1) + true).clamp(min=_TINY), torch.nan)


def _background(logits: Tensor) -> list[int]:
    """Padding that puts one channel of zeros before the others."""
    return [0, 0] * (logits.ndim - 2) + [1, 0]


class FuzzyDiceLoss(nn.Module):
    """1 - fuzzy Dice, 2 sum(p t) / (sum(p) + sum(t)) over batch and space.

    Parameters
    ----------
    weights : one per channel; the loss is the weighted mean of the channels' losses. None takes one Dice over all channels
        at once, the published base version, which loses the rare channels.
    output : what makes probabilities of logits.

    A channel that has no target voxel in the batch costs the mean probability it is given, as in ``SegmentationLoss``; the
    published formula is constant there.
    """

    weights: Tensor | None

    def __init__(
        self, weights: Sequence[float] | None = None, output: Literal["sigmoid", "softmax"] = "sigmoid"
    ) -> None:
        super().__init__()
        self.output: Literal["sigmoid", "softmax"] = output
        self.register_buffer("weights", None if weights is None else torch.tensor(list(weights)), persistent=False)

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar between 0 and 1."""
        p = probabilities_of(logits.float(), self.output).transpose(0, 1).flatten(1)
        t = target.float().transpose(0, 1).flatten(1)
        overlap, predicted, true = (p * t).sum(1), p.sum(1), t.sum(1)
        voxels = p.new_full((), float(p.shape[1]))  # torch.tensor would wait for a card
        if self.weights is None:
            return _one_minus_dice(overlap.sum(), predicted.sum(), true.sum(), voxels * len(p))
        each = _one_minus_dice(overlap, predicted, true, voxels)
        return (each * self.weights).sum() / self.weights.sum()


def _one_minus_dice(overlap: Tensor, predicted: Tensor, true: Tensor, voxels: Tensor) -> Tensor:
    """1 - 2 overlap / (predicted + true) of sums over voxels; where nothing is true, the mean probability."""
    present = 1 - (2 * overlap + _TINY) / (predicted + true + _TINY)
    return torch.where(true > 0, present, predicted / voxels.clamp(min=1))


class BalancedCrossEntropy(nn.Module):
    """Cross-entropy in which the voxels of each class contribute the same share of the loss, whatever their number.

    Parameters
    ----------
    kind : "sigmoid": every channel on its own, markers and the rest one half each; "softmax": channels and a background with a
        logit of 0 compete, all markers one half and the background the other.
    """

    def __init__(self, kind: Literal["sigmoid", "softmax"] = "sigmoid") -> None:
        super().__init__()
        self.kind = kind

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar; a class that does not occur contributes nothing."""
        logits, target = logits.float(), target.float()
        if self.kind == "sigmoid":
            each = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
            return _halves(each.transpose(0, 1).flatten(1), target.transpose(0, 1).flatten(1)).mean()
        log_p = functional.log_softmax(functional.pad(logits, _background(logits)), dim=1)
        background = (1 - target.sum(1, keepdim=True)).clamp(min=0)
        each = -(log_p * torch.cat([background, target], dim=1)).sum(1)
        return _halves(each.flatten()[None], 1 - background.flatten()[None]).mean()


class HeatMapLoss(nn.Module):
    """Kullback-Leibler divergence of the sigmoid of the logits from heat maps, summed over voxels, per voxel of one mark.

    Parameters
    ----------
    mark_voxels : how many voxels a mark's heat covers; it sets the scale only.

    The sum lets a blob in a wrong place cost as much as the same blob that is missing, however large the volume is; the
    logarithm keeps an empty map from being a cheap answer.
    """

    def __init__(self, mark_voxels: float) -> None:
        super().__init__()
        self.mark_voxels = mark_voxels

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss, a scalar: the mean over samples and channels; 0 where the heat maps are met."""
        logits, target = logits.float(), target.float()
        cross = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
        own = (torch.special.entr(target) + torch.special.entr(1 - target)).sum()
        return (cross - own) / (self.mark_voxels * target.shape[0] * target.shape[1])


def _halves(each: Tensor, positive: Tensor) -> Tensor:
    """Per channel, half the mean of values (C, V) over positive voxels and half over the others."""
    negative = 1 - positive
    inside = (each * positive).sum(1) / positive.sum(1).clamp(min=1)
    outside = (each * negative).sum(1) / negative.sum(1).clamp(min=1)
    return (inside + outside) / 2
