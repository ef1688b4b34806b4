"""Deep supervision: one loss on every head, each at its own resolution (Lee et al. 2015). Knows no particular loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DeepSupervisionLoss(nn.Module):
    """Weighted mean of a loss over the heads of a deeply supervised network.

    Parameters
    ----------
    loss : of logits (B, L, ...) and label (B, ...).
    weights : per head, finest first; a single tensor of logits uses the loss alone.
    """

    def __init__(self, loss: nn.Module, weights: Sequence[float]) -> None:
        super().__init__()
        self.loss, self.weights = loss, tuple(weights)

    def forward(self, outputs: Tensor | Sequence[Tensor], label: Tensor) -> Tensor:
        """The mean; a coarse head is compared with the nearest label of each of its cells.

        Raises
        ------
        ValueError : there are more heads than weights.
        """
        if isinstance(outputs, Tensor):
            result: Tensor = self.loss(outputs, label)
            return result
        if len(outputs) > len(self.weights):
            raise ValueError(f"{len(outputs)} heads, but {len(self.weights)} weights")
        weights = self.weights[: len(outputs)]
        losses = [self.loss(output, thinned(label, output.shape[2:])) for output in outputs]
        return torch.stack([w * x for w, x in zip(weights, losses, strict=True)]).sum() / sum(weights)


def thinned(label: Tensor, shape: Sequence[int]) -> Tensor:
    """Label (B, ...) on a coarser grid of ``shape``: the voxel in the middle of every cell."""
    for axis, (n, m) in enumerate(zip(label.shape[1:], shape, strict=True), start=1):
        if n % m == 0:
            step = n // m
            label = label[(slice(None),) * axis + (slice(step // 2, None, step),)] if step > 1 else label
        else:
            middle = ((torch.arange(m, device=label.device) + 0.5) * (n / m)).long()
            label = label.index_select(axis, middle)
    return label
