"""Losses of overlap: Dice, Jaccard, Tanimoto, Tversky, from sums over voxels. Knows no logits.

A class that does not occur in the truth costs the mean probability it is given: nothing for a right prediction and a
gentle, bounded pull for a wrong one, where 1 - overlap would be 1 for both and its gradient would explode near 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from voxloom.losses.settings import LossSettings
from voxloom.losses.together import summed


@dataclass(frozen=True)
class Sums:
    """Sums over voxels per sample and class, (B, L).

    Parameters
    ----------
    overlap, predicted, true : of probability x truth, of probability and of truth.
    squared : of the probability's square.
    voxels : number of voxels that count, (B, 1).
    """

    overlap: Tensor
    predicted: Tensor
    true: Tensor
    squared: Tensor
    voxels: Tensor

    def over_batch(self, importance: Tensor | None) -> Sums:
        """The sums over all samples, (1, L), of all processes that train together; a sample counts by its importance (B,)."""
        weight = 1.0 if importance is None else importance[:, None]
        parts = (self.overlap, self.predicted, self.true, self.squared, self.voxels)
        return Sums(*(summed((part * weight).sum(0, keepdim=True)) for part in parts))


#: Added below a power, whose slope would have no bound at 0.
_FLOOR = 1e-6
#: Loss per sample and class (B, L) of classes that occur.
Overlap = Callable[[Sums, LossSettings], Tensor]


def dice(s: Sums, c: LossSettings) -> Tensor:
    """1 - Dice (Milletari et al. 2016, without squares)."""
    return 1 - (2 * s.overlap + c.smooth) / (s.predicted + s.true + c.smooth)


def jaccard(s: Sums, c: LossSettings) -> Tensor:
    """1 - intersection over union."""
    return 1 - (s.overlap + c.smooth) / (s.predicted + s.true - s.overlap + c.smooth)


def tanimoto(s: Sums, c: LossSettings) -> Tensor:
    """1 - Tanimoto coefficient: as Jaccard, with the squares of probability and truth."""
    return 1 - (s.overlap + c.smooth) / (s.squared + s.true - s.overlap + c.smooth)


def focal_tversky(s: Sums, c: LossSettings) -> Tensor:
    """(1 - Tversky) to a power (Abraham and Khan 2019); the slope stays finite at 0."""
    missed, invented = s.true - s.overlap, s.predicted - s.overlap
    index = (s.overlap + c.smooth) / (s.overlap + c.alpha * missed + c.beta * invented + c.smooth)
    return (1 - index + _FLOOR) ** c.exponent - _FLOOR**c.exponent


OVERLAPS: dict[str, Overlap] = {
    "dice": dice, "negative_dice": dice, "dice_ce": dice, "dice_focal": dice, "jaccard": jaccard, "tanimoto": tanimoto,
    "tanimoto_ce": tanimoto, "focal_tversky": focal_tversky,
}  # fmt: skip


def overlap_loss(kind: str, sums: Sums, settings: LossSettings) -> Tensor:
    """Loss per sample and class (B, L); see the module for classes that do not occur."""
    present = OVERLAPS[kind](sums, settings)
    return torch.where(sums.true > 0, present, sums.predicted / sums.voxels.clamp(min=1e-6))
