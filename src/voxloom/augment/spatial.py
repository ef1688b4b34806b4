"""All spatial changes of a batch in one resampling pass: rotation, scale, shift, mirror and elastic deformation.

Knows millimetres: angles and displacements are right on anisotropic grids. Image (linear) and label (nearest) are read
through the same coordinates, so they stay together by construction.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def rotations(angles: Tensor) -> Tensor:
    """Rotation matrices (B, 3, 3) from radians (B, 3) about i, j and k, applied in this order."""
    c, s = torch.cos(angles), torch.sin(angles)
    matrices = torch.eye(3).expand(len(angles), 3, 3)
    for axis in range(3):
        a, b = [n for n in range(3) if n != axis]
        turn = torch.eye(3).repeat(len(angles), 1, 1)
        turn[:, a, a], turn[:, b, b] = c[:, axis], c[:, axis]
        turn[:, a, b], turn[:, b, a] = -s[:, axis], s[:, axis]
        matrices = turn @ matrices
    return matrices


def displacement(control: Tensor, size: Sequence[int]) -> Tensor:
    """Smooth displacement (B, *size, 3) from control points (B, 3, p, q, r), by two linear passes over a box filter."""
    field = functional.interpolate(control, tuple(size), mode="trilinear", align_corners=True)
    return field.movedim(1, -1)


def sampling_grid(matrix: Tensor, shift: Tensor, spacing: Sequence[float], source: Sequence[int], size: Sequence[int]) -> Tensor:
    """Source voxel offsets from the source's centre, (B, *size, 3) in mm, for every output voxel.

    Parameters
    ----------
    matrix : (B, 3, 3), output mm offset -> source mm offset.
    shift : (B, 3) in mm.
    """
    axes = [(torch.arange(n, dtype=torch.float32) - (n - 1) / 2) * s for n, s in zip(size, spacing, strict=True)]
    columns = matrix[:, :, :, None]
    i = columns[:, :, 0] * axes[0]
    j = columns[:, :, 1] * axes[1]
    k = columns[:, :, 2] * axes[2] + shift[:, :, None]
    return (i[:, :, :, None, None] + j[:, :, None, :, None] + k[:, :, None, None, :]).movedim(1, -1)


def resample(image: Tensor, label: Tensor | None, offsets: Tensor, spacing: Sequence[float]) -> tuple[Tensor, Tensor | None]:
    """Read image (B, C, I, J, K) linearly and label (B, I, J, K) at the nearest voxel, at offsets in mm from the centre.

    Outside of the source both are 0.
    """
    sizes = torch.tensor(image.shape[2:], dtype=torch.float32, device=offsets.device)
    grid = (offsets * (2.0 / (sizes * torch.tensor(spacing, device=offsets.device)))).flip(-1)
    flat = image.shape[4] == 1  # one slice: stay in its plane, whatever rounding says
    if flat:
        grid[..., 0] = 0.0
    changed = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if label is None:
        return changed, None
    moved = functional.grid_sample(label[:, None].float(), grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return changed, moved[:, 0].to(label.dtype)


def centered_crop(tensor: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of the last three axes, padded with 0 where the tensor is smaller."""
    for axis, n in zip((-3, -2, -1), size, strict=True):
        have = tensor.shape[axis]
        if have > n:
            tensor = tensor.narrow(axis, have // 2 - n // 2, n)
        elif have < n:
            before = n // 2 - have // 2
            pad = [0, 0, 0, 0, 0, 0]
            place = 2 * (-axis - 1)
            pad[place], pad[place + 1] = before, n - have - before
            tensor = functional.pad(tensor, pad)
    return tensor
