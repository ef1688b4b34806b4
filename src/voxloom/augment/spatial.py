"""All spatial changes of a batch in one resampling pass: rotation, scale, shift, mirror, elastic deformation and crop.

Knows millimetres: angles and displacements are right on anisotropic grids, also where every patch has a grid of its own.
Image (linear) and label (nearest) are read through the same coordinates, so they stay together by construction. Knows no
randomness and no settings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from voxloom.augment import separable
from voxloom.augment.sending import sent

#: Mm along i, j, k: one grid for all patches (3,), or the grid of each (B, 3).
Spacing = Sequence[float] | Tensor


def per_patch_mm(spacing: Spacing, batch: int) -> Tensor:
    """(batch, 3) float32 on the CPU, one grid for all or the grid of each."""
    return _rows(spacing).expand(batch, 3)


def _rows(spacing: Spacing) -> Tensor:
    """(1 or B, 3) float32 on the CPU."""
    given = spacing.float().cpu() if isinstance(spacing, Tensor) else torch.tensor([float(mm) for mm in spacing])
    return given.view(-1, 3)


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


def control_distances(shape: Sequence[int], spacing: Spacing, distance: float, points: int | None) -> Tensor:
    """Mm (B, 3) between control points: ``distance``, or what makes ``points`` of them span ``shape`` voxels of (B, 3) mm."""
    grids = _rows(spacing)
    if points is None:
        return torch.full_like(grids, distance)
    steps = torch.tensor([float(max(n - 1, 1)) for n in shape])
    return steps * grids / (points - 1)


def control_points(shape: Sequence[int], spacing: Spacing, distances: Spacing) -> tuple[int, ...]:
    """Control points per axis, ``distances`` (B, 3) mm apart, that span ``shape`` voxels of every patch; 2 at least."""
    extents = (torch.tensor(shape) - 1).double() * _rows(spacing).double() / _rows(distances).double()
    return tuple(max(2, int(extent + 0.999) + 1) for extent in extents.amax(0).tolist())


def displacement(control: Tensor, distances: Spacing, spacing: Spacing, size: Sequence[int]) -> Tensor:
    """Displacement (B, 3, *size) in mm, linear between control points (B, 3, p, q, r), ``distances`` (B, 3) mm apart.

    The middle of the control points lies on the center of the result, whose voxels have ``spacing`` (B, 3) mm.
    """
    ratios, matrices = _rows(spacing) / _rows(distances), []
    for axis, (points, n) in enumerate(zip(control.shape[2:], size, strict=True)):
        steps = torch.arange(n, dtype=torch.float32) - (n - 1) / 2
        at = steps * ratios[:, axis, None] + (points - 1) / 2
        matrices.append(sent(separable.linear_matrix(at, points), control.device))
    return separable.along_axes(control, matrices)


def offsets_of(matrix: Tensor, shift: Tensor, spacing: Spacing, size: Sequence[int]) -> Tensor:
    """Where every output voxel is read: offsets (B, 3, *size) in mm from the center of the source.

    Each is matrix (B, 3, 3) @ (own offset from the center of the result) + shift (B, 3).
    """
    grids = sent(per_patch_mm(spacing, len(matrix)), matrix.device)
    axes = [
        (torch.arange(n, dtype=torch.float32, device=matrix.device) - (n - 1) / 2) * grids[:, axis, None]
        for axis, n in enumerate(size)
    ]
    i, j, k = (matrix[:, :, n, None] * axis[:, None] for n, axis in enumerate(axes))
    return (i[:, :, :, None] + (j + shift[:, :, None])[:, :, None])[..., None] + k[:, :, None, None]


def resample(image: Tensor, label: Tensor | None, offsets: Tensor, spacing: Spacing) -> tuple[Tensor, Tensor | None]:
    """Read image (B, C, I, J, K) linearly and label (B, I, J, K) at the nearest voxel, at offsets (B, 3, i, j, k).

    Maps (B, M, I, J, K) in the place of the label are read linearly.

    Offsets are mm from the center of the source; outside of it both are 0. A single slice (K = 1) is read in its plane.
    """
    axes = 2 if image.shape[4] == 1 else 3
    extent = torch.tensor(image.shape[2:]) * per_patch_mm(spacing, len(image)) / 2
    unit = offsets[:, :axes] / sent(extent[:, :axes], offsets.device).view(-1, axes, *[1] * 3)
    grid = unit.flip(1).movedim(1, -1)
    if axes == 2:
        image, grid = image[..., 0], grid[..., 0, :]
    moved = functional.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    if label is None:
        return moved.view(*moved.shape[:4], -1), None
    flat = label[..., 0] if axes == 2 else label
    if label.ndim == 5:
        maps = functional.grid_sample(flat.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved.view(*moved.shape[:4], -1), maps.view(*label.shape[:2], *offsets.shape[2:]).to(label.dtype)
    flat = flat[:, None].float()
    nearest = functional.grid_sample(flat, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved.view(*moved.shape[:4], -1), nearest.view(len(label), *offsets.shape[2:]).to(label.dtype)


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


def crop_center(source: Sequence[int], size: Sequence[int], spacing: Spacing) -> Tensor:
    """Offset (3,), or (B, 3) for grids (B, 3), in mm from the source's center to that of its ``centered_crop``.

    Half a voxel where parities differ.
    """
    voxels = [(n // 2 - m // 2) + (m - 1) / 2 - (n - 1) / 2 for n, m in zip(source, size, strict=True)]
    return torch.tensor(voxels) * (spacing.cpu() if isinstance(spacing, Tensor) else torch.tensor(spacing))
