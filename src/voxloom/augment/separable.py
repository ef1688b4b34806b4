"""Changes that act along one axis after the other, as one small matrix per patch and axis.

Blur, coarser sampling and the smooth fields of control points are all linear and separable, so a batch with a different
strength in every patch needs three batched matrix products and no loop. Knows no randomness and no settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def along_axes(x: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Multiply every axis of x (B, C, I, J, K) by its matrix (B or 1, new size, old size)."""
    first, second, third = matrices
    x = x @ third[:, None, None].mT
    x = second[:, None, None] @ x
    spread = first[:, None] @ x.flatten(3)
    return spread.unflatten(3, x.shape[3:])


def linear_matrix(positions: Tensor, count: int) -> Tensor:
    """Weights (..., m, count) that read linearly at (..., m) positions (in samples), constant beyond the first and last."""
    at = positions.clamp(0, count - 1)
    return (1 - (at[..., None] - torch.arange(count)).abs()).clamp(min=0)


def gaussian_matrix(sigma: Tensor, count: int) -> Tensor:
    """Blur (B, count, count) by sigma (B,) voxels, cut at 4 sigma, renormalized at the borders; 0 is the identity."""
    distance = torch.arange(count, dtype=torch.float32)
    distance = (distance[:, None] - distance).abs()
    width = sigma.clamp(min=1e-3)[:, None, None]
    weights = torch.exp(-0.5 * (distance / width) ** 2) * (distance <= 4 * width)
    return weights / weights.sum(-1, keepdim=True)


def box_matrix(width: Tensor, count: int) -> Tensor:
    """Mean over width (B,) voxels, (B, count, count), of those inside at the borders; 1 is the identity."""
    distance = torch.arange(count, dtype=torch.float32)
    distance = (distance[:, None] - distance).abs()
    weights = (width[:, None, None] / 2 + 0.5 - distance).clamp(0, 1)
    return weights / weights.sum(-1, keepdim=True)


def coarse_matrix(share: Tensor, count: int) -> Tensor:
    """Keep one of every 1 / share (B,) voxels and read linearly between them, (B, count, count); 1 is the identity."""
    voxels = torch.arange(count, dtype=torch.float32)
    kept = (share * count).round().clamp(min=1)[:, None]
    at = ((voxels + 0.5) * kept / count - 0.5).clamp(min=0).minimum(kept - 1)
    low = at.floor()
    rest = (at - low)[:, :, None]

    def picked(coarse: Tensor) -> Tensor:
        source = ((coarse + 0.5) * count / kept).floor()
        return (source[:, :, None] == voxels).float()

    return picked(low) * (1 - rest) + picked((low + 1).minimum(kept - 1)) * rest


def parabola_matrix(count: int) -> Tensor:
    """Weights (1, count, 3) of a smooth curve over three control points (Bernstein polynomials of degree 2)."""
    t = (torch.arange(count, dtype=torch.float32) + 0.5) / count
    return torch.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], dim=1)[None]
