"""Dice and cross-entropy on inner labels, with the empty-class cases right.

A class that occurs neither in the truth nor, by any voxel's vote, in the prediction costs nothing and pulls nowhere by
Dice: the ratio is smoothed above and below. Voxels of the ignore index count in no term and get no gradient. Arithmetic is float32
whatever the network's precision. Soft Dice after Milletari et al. 2016; batch Dice and the sum with cross-entropy after
Isensee et al. 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional


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
    """

    def __init__(
        self,
        kind: Literal["dice_ce", "dice", "ce"] = "dice_ce",
        *,
        count: int,
        ignore_index: int | None = None,
        membership: NDArray[np.bool_] | None = None,
        batch_dice: bool = False,
        smooth: float = 1e-5,
    ) -> None:
        super().__init__()
        self.kind, self.count, self.ignore_index = kind, count, ignore_index
        self.batch_dice, self.smooth = batch_dice, smooth
        table = None if membership is None else torch.from_numpy(np.asarray(membership, dtype=np.float32).T.copy())
        self.register_buffer("membership", table, persistent=False)

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """The loss, a scalar; 0 for a perfect and certain prediction."""
        logits = logits.float()
        valid = None if self.ignore_index is None else label != self.ignore_index
        label = label if valid is None else torch.where(valid, label, 0)
        parts = self._softmax(logits, label, valid) if self.membership is None else self._sigmoid(logits, label, valid)
        cross_entropy, dice = parts
        return {"dice_ce": cross_entropy + dice, "dice": dice, "ce": cross_entropy}[self.kind]

    def _softmax(self, logits: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        log_p = functional.log_softmax(logits, dim=1)
        cross_entropy = mean_over(functional.nll_loss(log_p, label, reduction="none"), valid)
        truth = functional.one_hot(label, self.count).movedim(-1, 1)[:, 1:].to(log_p.dtype)
        return cross_entropy, self._dice(log_p[:, 1:].exp(), truth, valid)

    def _sigmoid(self, logits: Tensor, label: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        truth = self.membership[label].movedim(-1, 1)
        each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean(dim=1)
        return mean_over(each, valid), self._dice(logits.sigmoid(), truth, valid)

    def _dice(self, probability: Tensor, truth: Tensor, valid: Tensor | None) -> Tensor:
        """1 - soft Dice, mean over classes (and samples)."""
        if valid is not None:
            probability, truth = probability * valid[:, None], truth * valid[:, None]
        axes = [n for n in range(probability.ndim) if n >= 2 or (n == 0 and self.batch_dice)]
        both = (probability * truth).sum(axes)
        size = probability.sum(axes) + truth.sum(axes)
        return 1 - ((2 * both + self.smooth) / (size + self.smooth)).mean()


def mean_over(values: Tensor, valid: Tensor | None) -> Tensor:
    """Mean of the valid values, 0 when there is none."""
    if valid is None:
        return values.mean()
    return (values * valid).sum() / valid.sum().clamp(min=1)


class DeepSupervisionLoss(nn.Module):
    """Weighted mean of a loss over the heads of a deeply supervised network.

    Parameters
    ----------
    loss : of logits (B, L, ...) and label (B, ...).
    weights : per head, finest first; a single tensor of logits uses the first only.
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float]) -> None:
        super().__init__()
        self.loss, self.weights = loss, tuple(weights)

    def forward(self, outputs: Tensor | Sequence[Tensor], label: Tensor) -> Tensor:
        """The mean; the label of a coarse head is every n-th voxel of the full label."""
        if isinstance(outputs, Tensor):
            result: Tensor = self.loss(outputs, label)
            return result
        weights = self.weights[: len(outputs)]
        total = sum(w * self.loss(o, thinned(label, o.shape[2:])) for w, o in zip(weights, outputs, strict=True))
        return torch.as_tensor(total) / sum(weights)


def thinned(label: Tensor, shape: Sequence[int]) -> Tensor:
    """Label (B, ...) at a coarser grid of ``shape``: the nearest voxel of every cell."""
    for axis, (n, m) in enumerate(zip(label.shape[1:], shape, strict=True), start=1):
        if n != m:
            label = label.narrow(axis, 0, n - n % (n // m))[(slice(None),) * axis + (slice(n // m // 2, None, n // m),)]
    return label
