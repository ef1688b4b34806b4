"""Soft Dice from sums over voxels, with the absent class right. Knows no logits."""

from __future__ import annotations

import torch
from torch import Tensor


def soft_dice_loss(overlap: Tensor, predicted: Tensor, true: Tensor, voxels: Tensor, smooth: float) -> Tensor:
    """Dice loss per class, from sums over voxels that are broadcast against each other.

    A class that occurs in the truth costs 1 - Dice (Milletari et al. 2016). One that does not occur costs the mean
    probability it is given: nothing for a right prediction and a gentle, bounded pull for a wrong one, where 1 - Dice
    would be 1 for both and its gradient would explode near 0.

    Parameters
    ----------
    overlap, predicted, true : sums of probability x truth, of probability and of truth.
    voxels : number of voxels that count.
    smooth : added to numerator and denominator of Dice.
    """
    present = 1 - (2 * overlap + smooth) / (predicted + true + smooth)
    return torch.where(true > 0, present, predicted / voxels.clamp(min=1))
