"""A leaning or unevenly spaced stack, resampled to an upright grid.

Knows linear interpolation: every plane is shifted within itself, then planes are mixed along the normal. The new grid
is parallel to the planes; its step is the smallest gap, so that no plane is lost. Does not judge whether that is wise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.formats.dicom.stack import Stack
from voxloom.formats.itk import LPS_RAS


@dataclass(frozen=True, eq=False)
class _Grid:
    """``size`` pixels (i, j), beginning ``begin`` mm beside the first plane's first pixel, at ``heights`` (mm)."""

    size: tuple[int, int]
    begin: NDArray[np.float64]
    heights: NDArray[np.float64]


def straighten(data: NDArray[Any], stack: Stack) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Resample (C, I, J, K) voxels of ``stack`` to an upright grid that holds every plane.

    Returns the voxels in their own type (integers rounded) and the affine to RAS millimetres. Where the grid leaves the
    planes it is filled with the smallest value of the series (air).
    """
    grid = _upright_grid(stack, (data.shape[1], data.shape[2]))
    fill = float(data.min())
    result = np.empty((data.shape[0], *grid.size, len(grid.heights)), data.dtype)
    lower = np.clip(np.searchsorted(stack.heights, grid.heights, side="right") - 1, 0, len(stack.heights) - 2)
    share = (grid.heights - stack.heights[lower]) / (stack.heights[lower + 1] - stack.heights[lower])
    shifted: dict[int, NDArray[np.float32]] = {}
    for k, (n, weight) in enumerate(zip(lower.tolist(), np.clip(share, 0, 1), strict=True)):
        shifted = {m: shifted[m] if m in shifted else _shift(data[..., m], stack, m, grid, fill) for m in (n, n + 1)}
        mixed = shifted[n] + np.float32(weight) * (shifted[n + 1] - shifted[n])
        result[..., k] = np.rint(mixed) if data.dtype.kind in "iu" else mixed
    return result, _affine(stack, grid)


def upright_grid(stack: Stack, size: tuple[int, int]) -> tuple[tuple[int, int, int], NDArray[np.float64]]:
    """Shape and affine to RAS millimetres of the grid that ``straighten`` resamples planes of ``size`` (i, j) to."""
    grid = _upright_grid(stack, size)
    return (*grid.size, len(grid.heights)), _affine(stack, grid)


def _upright_grid(stack: Stack, size: tuple[int, int]) -> _Grid:
    spacing = np.array(stack.spacing)
    low, high = stack.shifts.min(axis=0), stack.shifts.max(axis=0)
    more = np.ceil((high - low) / spacing - 1e-6).astype(int)
    step = float(np.diff(stack.heights).min())
    count = int(np.floor((stack.heights[-1] - stack.heights[0]) / step + 1e-3)) + 1
    heights = stack.heights[0] + step * np.arange(count)
    return _Grid((size[0] + int(more[0]), size[1] + int(more[1])), low, heights)


def _shift(plane: NDArray[Any], stack: Stack, n: int, grid: _Grid, fill: float) -> NDArray[np.float32]:
    """Plane ``n``, (C, I, J), moved to its true place in the new grid."""
    from scipy.ndimage import affine_transform

    offset = (grid.begin - stack.shifts[n]) / np.array(stack.spacing)
    moved = np.empty((plane.shape[0], *grid.size), np.float32)
    for source, target in zip(plane, moved, strict=True):
        affine_transform(
            source.astype(np.float32), np.ones(2), offset, grid.size, target, order=1, mode="constant", cval=fill
        )
    return moved


def _affine(stack: Stack, grid: _Grid) -> NDArray[np.float64]:
    lps = np.eye(4)
    step = grid.heights[1] - grid.heights[0]
    lps[:3, :3] = stack.axes * [*stack.spacing, step]
    lps[:3, 3] = stack.positions[0] + stack.axes[:, :2] @ grid.begin
    return LPS_RAS @ lps
