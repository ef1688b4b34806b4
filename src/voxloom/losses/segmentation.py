"""Dice and cross-entropy between logits and inner labels.

Voxels of the ignore index count in no term and get no gradient. Arithmetic is float32 whatever the network's precision,
and softmax outputs need no one-hot copy of the labels. The sum of batch Dice and cross-entropy is nnU-Net's (Isensee et
al. 2021). Knows no network, file or recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from voxloom.losses.dice import soft_dice_loss


class SegmentationLoss(nn.Module):
    """Dice and/or cross-entropy between logits (B, L, ...) and inner labels (B, ...).

    Parameters
    ----------
    kind : "dice_ce" (their sum), "dice" or "ce".
    count : channels L of the logits; the background is channel 0, unless ``membership`` is given.
    ignore_index : inner label that counts nowhere, or None.
    membership : (L, inner labels) table for regions: which inner labels belong to which output. The outputs are then
        independent (sigmoid, binary cross-entropy); without it they compete (softmax).
    batch_dice : one Dice per class over the whole batch, instead of the mean over samples.
    smooth : added to numerator and denominator of Dice.
    weights : importance of every channel in both terms, or None for equal importance.

    Raises
    ------
    ValueError : ``weights`` or ``membership`` do not have ``count`` entries.
    """

    membership: Tensor | None
    weights: Tensor

    def __init__(
        self,
        kind: Literal["dice_ce", "dice", "ce"] = "dice_ce",
        *,
        count: int,
        ignore_index: int | None = None,
        membership: NDArray[np.bool_] | None = None,
        batch_dice: bool = False,
        smooth: float = 1e-5,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        for name, given in (("weights", weights), ("membership", membership)):
            if given is not None and len(given) != count:
                raise ValueError(f"{name} has {len(given)} entries for {count} channels")
        self.kind, self.count, self.ignore_index = kind, count, ignore_index
        self.batch_dice, self.smooth, self.weighted = batch_dice, smooth, weights is not None
        table = None if membership is None else torch.from_numpy(np.asarray(membership, dtype=np.float32).copy())
        self.register_buffer("membership", table, persistent=False)
        self.register_buffer("weights", torch.tensor(weights or [1.0] * count), persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss, a scalar; 0 for a perfect and certain prediction, and when no voxel counts."""
        logits, label = logits.float().flatten(2), label.flatten(1).long()
        valid = None
        if self.ignore_index is not None:
            counts = label != self.ignore_index
            label, valid = torch.where(counts, label, 0), counts.float()
        cross_entropy, dice = (self._softmax if self.membership is None else self._sigmoid)(logits, label, valid)
        return {"dice_ce": cross_entropy + dice, "dice": dice, "ce": cross_entropy}[self.kind]

    def _softmax(self, logits: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both terms for outputs (B, L, V) that compete; label and valid (B, V)."""
        log_p = functional.log_softmax(logits, dim=1)
        log_true = log_p.gather(1, label[:, None])[:, 0]
        weight = torch.ones_like(log_true) if valid is None else valid
        if self.weighted:
            weight = weight * self.weights[label]
        cross_entropy = -(log_true * weight).sum() / weight.sum().clamp(min=1e-6)
        p_true = log_true.exp() if valid is None else log_true.exp() * valid
        sums = torch.zeros(log_p.shape[:2], device=label.device)
        overlap = sums.scatter_add(1, label, p_true)
        true = sums.scatter_add(1, label, torch.ones_like(p_true) if valid is None else valid)
        sums_of_labels = torch.stack([overlap, sum_over(log_p.exp(), valid), true])[:, :, 1:]
        return cross_entropy, self._dice(sums_of_labels, voxels_of(label, valid), self.weights[1:])

    def _sigmoid(self, logits: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both terms for independent outputs (B, L, V); label and valid (B, V)."""
        assert self.membership is not None
        truth, p, voxels = self.membership[:, label].transpose(0, 1), logits.sigmoid(), voxels_of(label, valid)
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        per_class = sum_over(each, valid).sum(0) / voxels.sum().clamp(min=1)
        sums = torch.stack([sum_over(part, valid) for part in (p * truth, p, truth)])
        return weighted_mean(per_class, self.weights), self._dice(sums, voxels, self.weights)

    def _dice(self, sums: Tensor, voxels: Tensor, weights: Tensor) -> Tensor:
        """Mean Dice loss over classes (and samples); sums (3, B, L) of overlap, prediction, truth; voxels (B,)."""
        if self.batch_dice:
            sums, voxels = sums.sum(1, keepdim=True), voxels.sum(0, keepdim=True)
        overlap, predicted, true = sums
        loss = soft_dice_loss(overlap, predicted, true, voxels[:, None], self.smooth)
        return weighted_mean(loss.mean(0), weights)


def sum_over(values: Tensor, valid: Tensor | None) -> Tensor:
    """Sum (B, L) of values (B, L, V) over the valid voxels (B, V); all when None."""
    return values.sum(2) if valid is None else (values @ valid[:, :, None])[:, :, 0]


def voxels_of(label: Tensor, valid: Tensor | None) -> Tensor:
    """Number (B,) of voxels that count."""
    return torch.full((len(label),), float(label.shape[1]), device=label.device) if valid is None else valid.sum(1)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values (L,) with weights (L,)."""
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)
