"""Changes of the contrast between tissues, as other scanners and sequences show it; brightness order may be lost.

Each function takes the image (B, C, I, J, K) and one strength per patch, and returns a new image whose channels keep their
mean and standard deviation. A patch whose strength is neutral stays bit for bit as it is. Knows no randomness.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voxloom.augment.intensity import on_chosen
from voxloom.augment.sending import sent

#: Knots of a curve, from dark to bright.
KNOTS = 7
#: A curve lies between these shares of the voxels, sorted by brightness; of so many voxels at most.
DARK, BRIGHT, SAMPLED = 0.01, 0.99, 8192


def invert(image: Tensor, chosen: Tensor) -> Tensor:
    """Dark becomes bright in the chosen (B,) patches: every channel is reflected about its mean."""
    return on_chosen(image, chosen, lambda x, _: 2 * x.mean((2, 3, 4), keepdim=True) - x)


def remap(image: Tensor, curve: Tensor) -> Tensor:
    """Move brightness along a smooth curve that may rise and fall.

    Parameters
    ----------
    curve : (B, KNOTS) what is added at equally spaced levels between dark and bright (percentiles 1 and 99 of the channel), in
        units of that range; a half cosine joins neighbors, and beyond both ends the end's value is added. 0 changes nothing.
    """

    def change(x: Tensor, n: Tensor) -> Tensor:
        flat, knots = x.flatten(2), sent(curve[n], x.device)
        low, high = _ends(flat)
        span = (high - low).clamp(min=1e-6)
        at = ((flat - low) / span).clamp_(0, 1).mul_(KNOTS - 1)
        lower = at.floor().clamp_(max=KNOTS - 2)
        share = (1 - torch.cos(torch.pi * (at - lower))) / 2
        left = lower.long().flatten(1)
        start, end = (knots.gather(1, left + step).view(flat.shape) for step in (0, 1))
        return _as_before(flat, flat + span * torch.lerp(start, end, share)).view(x.shape)

    return on_chosen(image, (curve != 0).any(1), change)


def _ends(flat: Tensor) -> tuple[Tensor, Tensor]:
    """Dark and bright end (B, C, 1) of (B, C, N), from evenly spaced voxels."""
    few = flat[:, :, :: max(1, flat.shape[2] // SAMPLED)].sort(2).values
    last = few.shape[2] - 1
    return few[:, :, round(DARK * last), None], few[:, :, round(BRIGHT * last), None]


def _as_before(before: Tensor, after: Tensor) -> Tensor:
    """``after`` (B, C, N) with the mean and standard deviation of ``before``; a channel that became flat is left so."""
    means = [a.mean(2, keepdim=True) for a in (before, after)]
    spreads = [
        torch.linalg.vector_norm(a - m, dim=2, keepdim=True) for a, m in zip((before, after), means, strict=True)
    ]
    return (after - means[1]) * (spreads[0] / spreads[1].clamp(min=1e-6)) + means[0]
