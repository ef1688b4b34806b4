"""Balls drawn by simulated raters, for tests. Knows what it draws."""

from __future__ import annotations

import numpy as np

from voxloom.dataset import Label, Labels
from voxloom.volume import Volume

TUMOR = Labels((Label("tumor", (1,)),))


def sphere(radius: float, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), size: int = 44) -> Volume:
    """A ball of ``radius`` mm in the middle of a cube of ``size`` mm."""
    shape = [round(size / mm) for mm in spacing]
    grid = np.indices(shape) * np.array(spacing)[:, None, None, None]
    middle = (np.array(shape) // 2 * np.array(spacing))[:, None, None, None]
    ball = np.linalg.norm(grid - middle, axis=0) <= radius
    return Volume(ball.astype(np.uint8)[None], np.diag([*spacing, 1.0]))
