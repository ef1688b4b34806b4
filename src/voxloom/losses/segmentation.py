"""The losses of segmentation, between logits and inner labels.

Voxels of the ignore index count in no term and get no gradient. Arithmetic is float32 whatever the network's precision,
and softmax outputs need no one-hot copy of the labels. The sum of batch Dice and cross-entropy is nnU-Net's (Isensee et
al. 2021). Knows no network, file or recipe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.losses.outputs import Competing, Independent, Voxelwise, weighted_mean
from voxloom.losses.overlap import OVERLAPS, overlap_loss
from voxloom.losses.settings import LossKind, LossSettings

_VOXELWISE = ("ce", "balanced_ce", "bce", "focal", "dice_ce", "dice_focal", "tanimoto_ce")
_FLOOR = 1e-6


class SegmentationLoss(nn.Module):
    """A loss between logits (B, L, ...) and inner labels (B, ...).

    Parameters
    ----------
    loss : its settings, or its name for the published constants.
    count : channels L of the logits; the background is channel 0, unless ``membership`` is given.
    ignore_index : inner label that counts nowhere, or None.
    membership : (L, inner labels) table for regions: which inner labels belong to which output. The outputs are then
        independent (sigmoid); without it they compete (softmax).
    batch_dice : one overlap per class over the whole batch, instead of the mean over samples.
    weights : importance of every channel in all terms, instead of the settings' own.

    Raises
    ------
    ValueError : ``weights`` or ``membership`` do not have ``count`` entries, or weights by counts were not counted.
    """

    membership: Tensor | None
    weights: Tensor

    def __init__(
        self,
        loss: LossSettings | LossKind = "dice_ce",
        *,
        count: int,
        ignore_index: int | None = None,
        membership: NDArray[np.bool_] | None = None,
        batch_dice: bool = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.settings = LossSettings(kind=loss) if isinstance(loss, str) else loss
        if weights is None and self.settings.weights == "counts":
            raise ValueError("weights by counts need the counts: give them as `weights`")
        given = weights if weights is not None else self.settings.weights
        for name, entries in (("weights", given), ("membership", membership)):
            if entries is not None and len(entries) != count:
                raise ValueError(f"{name} has {len(entries)} entries for {count} channels")
        self.count, self.ignore_index, self.batch_dice = count, ignore_index, batch_dice
        self.weighted = given is not None
        table = None if membership is None else torch.from_numpy(np.asarray(membership, dtype=np.float32).copy())
        self.register_buffer("membership", table, persistent=False)
        numbers = [1.0] * count if given is None else [float(w) for w in given]
        self.register_buffer("weights", torch.tensor(numbers), persistent=False)

    def forward(self, logits: Tensor, label: Tensor, importance: Tensor | None = None) -> Tensor:
        """The loss, a scalar.

        It is smallest for a perfect and certain prediction: 0, or -1 for the negative Dice.

        Parameters
        ----------
        importance : (B,) weights of the samples; None for equal weights.
        """
        logits, label = logits.float().flatten(2), label.flatten(1).long()
        valid = None
        if self.ignore_index is not None:
            counts = label != self.ignore_index
            label, valid = torch.where(counts, label, 0), counts.float()
        outputs: Competing | Independent
        if self.membership is None:
            outputs = Competing(logits, label, valid)
        else:
            outputs = Independent(logits, self.membership[:, label].transpose(0, 1), valid)
        kind = self.settings.kind
        overlap = self._overlap(outputs, importance) if kind in OVERLAPS else logits.new_zeros(())
        voxelwise = self._voxelwise(outputs, importance) if kind in _VOXELWISE else logits.new_zeros(())
        return self._mixed(overlap, voxelwise)

    def _overlap(self, outputs: Competing | Independent, importance: Tensor | None) -> Tensor:
        """Mean over classes (and samples)."""
        sums = outputs.sums(squares="tanimoto" in self.settings.kind)
        weights = self.weights if isinstance(outputs, Independent) else self.weights[1:]
        if self.batch_dice:
            sums, importance = sums.over_batch(importance), None
        loss = overlap_loss(self.settings.kind, sums, self.settings)
        per_sample = (loss * weights).sum(1) / weights.sum().clamp(min=_FLOOR)
        return weighted_mean(per_sample, torch.ones_like(per_sample) if importance is None else importance)

    def _voxelwise(self, outputs: Competing | Independent, importance: Tensor | None) -> Tensor:
        """Mean over voxels."""
        kind = self.settings.kind
        if kind == "bce":
            return outputs.against_rest(self.weights, importance)
        gamma = self.settings.gamma if kind in ("focal", "dice_focal") else 0.0
        how = Voxelwise(gamma, balanced=kind == "balanced_ce")
        return outputs.cross_entropy(how, self.weights if self.weighted else None, importance)

    def _mixed(self, overlap: Tensor, voxelwise: Tensor) -> Tensor:
        """The terms put together; a term that the kind does not have is 0."""
        s = self.settings
        if s.kind == "negative_dice":
            return overlap - 1
        if s.kind != "tanimoto_ce":
            return overlap + voxelwise
        if s.mix == "sum":
            return s.share * overlap + (1 - s.share) * voxelwise
        first, second = root(overlap, s.share), root(voxelwise, 1 - s.share)
        return first * second if s.mix == "product" else first + second


def root(value: Tensor, exponent: float) -> Tensor:
    """A power below 1 that is 0 at 0 with a finite slope."""
    return (value + _FLOOR) ** exponent - _FLOOR**exponent
