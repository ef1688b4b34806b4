"""The two ways a network speaks of labels: outputs that compete (softmax) and outputs of their own (sigmoid).

Each gives the sums that losses of overlap need, and the mean of a loss that judges voxel by voxel. Knows no loss by name
except the variants of cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from voxloom.losses.overlap import Sums


@dataclass(frozen=True)
class Voxelwise:
    """How voxels are judged: focal where ``gamma`` > 0, classes in equal parts where ``balanced``."""

    gamma: float = 0.0
    balanced: bool = False


@dataclass(frozen=True)
class Competing:
    """Softmax outputs, background first.

    Parameters
    ----------
    logits : float32 (B, L, V).
    label : (B, V).
    valid : (B, V), 1 where a voxel counts; None where all do.
    """

    logits: Tensor
    label: Tensor
    valid: Tensor | None

    @cached_property
    def log_p(self) -> Tensor:
        """Logarithm of the probabilities (B, L, V)."""
        return functional.log_softmax(self.logits, dim=1)

    @cached_property
    def log_true(self) -> Tensor:
        """Logarithm of the true label's probability (B, V)."""
        return self.log_p.gather(1, self.label[:, None])[:, 0]

    def sums(self, squares: bool) -> Sums:
        """Sums of the labels, background left out; no one-hot copy of the labels is made."""
        p, p_true = self.log_p.exp(), self.log_true.exp()
        ones = torch.ones_like(p_true) if self.valid is None else self.valid
        empty = torch.zeros(p.shape[:2], device=p.device)
        overlap = empty.scatter_add(1, self.label, p_true * ones)
        true = empty.scatter_add(1, self.label, ones)
        predicted = sum_over(p, self.valid)
        squared = sum_over(p.square(), self.valid) if squares else predicted
        return Sums(overlap[:, 1:], predicted[:, 1:], true[:, 1:], squared[:, 1:], ones.sum(1, keepdim=True))

    def cross_entropy(self, how: Voxelwise, weights: Tensor | None, importance: Tensor | None) -> Tensor:
        """Weighted mean of -log p of the true label; weights (L,) by label, importance (B,) by sample."""
        each = focal(-self.log_true, self.log_true.exp(), how.gamma)
        weight = voxel_weights(each, self.valid, importance)
        if how.balanced:
            counts = torch.zeros(self.logits.shape[1], device=weight.device)
            counts = counts.scatter_add(0, self.label.flatten(), weight.flatten())
            weight = weight / counts.clamp(min=1e-6)[self.label]
        if weights is not None:
            weight = weight * weights[self.label]
        return (each * weight).sum() / weight.sum().clamp(min=1e-6)

    def against_rest(self, weights: Tensor, importance: Tensor | None) -> Tensor:
        """Binary cross-entropy of every label against all others; mean over labels, background left out."""
        losses = []
        for n in range(1, self.logits.shape[1]):
            others = torch.cat([self.logits[:, :n], self.logits[:, n + 1 :]], dim=1)
            log_not = others.logsumexp(1) - self.logits.logsumexp(1)
            each = -torch.where(self.label == n, self.log_p[:, n], log_not)
            weight = voxel_weights(each, self.valid, importance)
            losses.append((each * weight).sum() / weight.sum().clamp(min=1e-6))
        return weighted_mean(torch.stack(losses), weights[1:])


@dataclass(frozen=True)
class Independent:
    """Sigmoid outputs, one per region; as ``Competing``, with truth (B, L, V) in 0 and 1."""

    logits: Tensor
    truth: Tensor
    valid: Tensor | None

    def sums(self, squares: bool) -> Sums:
        """Sums of all outputs."""
        p = self.logits.sigmoid()
        overlap, predicted, true = (sum_over(part, self.valid) for part in (p * self.truth, p, self.truth))
        squared = sum_over(p.square(), self.valid) if squares else predicted
        voxels = torch.full_like(predicted[:, :1], self.logits.shape[2])
        return Sums(
            overlap, predicted, true, squared, voxels if self.valid is None else self.valid.sum(1, keepdim=True)
        )

    def cross_entropy(self, how: Voxelwise, weights: Tensor | None, importance: Tensor | None) -> Tensor:
        """Binary cross-entropy per output, then the mean over outputs by ``weights``."""
        each = functional.binary_cross_entropy_with_logits(self.logits, self.truth, reduction="none")
        each = focal(each, (-each).exp(), how.gamma)
        weight = voxel_weights(each[:, 0], self.valid, importance)[:, None].expand_as(each)
        if how.balanced:
            inside = (weight * self.truth).sum((0, 2), keepdim=True)
            outside = (weight * (1 - self.truth)).sum((0, 2), keepdim=True)
            weight = weight / torch.where(self.truth > 0, inside, outside).clamp(min=1e-6)
        per_output = (each * weight).sum((0, 2)) / weight.sum((0, 2)).clamp(min=1e-6)
        return weighted_mean(per_output, torch.ones_like(per_output) if weights is None else weights)

    def against_rest(self, weights: Tensor, importance: Tensor | None) -> Tensor:
        """What ``cross_entropy`` is already."""
        return self.cross_entropy(Voxelwise(), weights, importance)


def focal(each: Tensor, p_true: Tensor, gamma: float) -> Tensor:
    """A voxel's loss times (1 - p of the truth) to the power of gamma (Lin et al. 2017); near 0 the slope stays finite."""
    return each * (1 - p_true).clamp(min=1e-6) ** gamma if gamma else each


def voxel_weights(each: Tensor, valid: Tensor | None, importance: Tensor | None) -> Tensor:
    """Weights (B, V) from which voxels count and how much samples do."""
    weight = torch.ones_like(each) if valid is None else valid
    return weight if importance is None else weight * importance[:, None]


def sum_over(values: Tensor, valid: Tensor | None) -> Tensor:
    """Sum (B, L) of values (B, L, V) over the valid voxels (B, V); all when None."""
    return values.sum(2) if valid is None else (values @ valid[:, :, None])[:, :, 0]


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values (L,) with weights (L,)."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)
