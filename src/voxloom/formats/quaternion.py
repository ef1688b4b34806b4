"""Rotations as NIfTI's qform stores them: b, c, d of a unit quaternion with a >= 0.

Knows the formulas of the NIfTI-1 standard (section "3D IMAGE ORIENTATION", method 2). Does not know files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Voxel axes whose cosine exceeds this are not orthogonal: a qform cannot hold them.
ORTHOGONAL_TOLERANCE = 1e-5
#: Below this a*a is rounding of 32-bit b, c, d, and a is 0: the limit of the standard's own C library.
HALF_TURN_TOLERANCE = 1e-7


def from_quaternion(b: float, c: float, d: float) -> NDArray[np.float64]:
    """Rotation matrix (3, 3) of the unit quaternion whose vector part is (b, c, d)."""
    rest = 1.0 - (b * b + c * c + d * d)
    if rest < HALF_TURN_TOLERANCE:
        b, c, d = np.array([b, c, d]) / np.sqrt(b * b + c * c + d * d)
    a = np.sqrt(rest) if rest >= HALF_TURN_TOLERANCE else 0.0
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def to_quaternion(affine: NDArray[np.float64]) -> tuple[tuple[float, float, float], float] | None:
    """(b, c, d) and the sign of the third axis for an affine (4, 4), or None when its axes are not orthogonal."""
    axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    if np.abs(axes.T @ axes - np.eye(3)).max() > ORTHOGONAL_TOLERANCE:
        return None
    sign = 1.0 if np.linalg.det(axes) > 0 else -1.0
    r = axes * [1.0, 1.0, sign]
    symmetric = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], 0, 0, 0],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], 0, 0],
            [r[0, 2] - r[2, 0], r[1, 0] + r[0, 1], r[1, 1] - r[0, 0] - r[2, 2], 0],
            [r[1, 0] - r[0, 1], r[2, 0] + r[0, 2], r[2, 1] + r[1, 2], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    _, vectors = np.linalg.eigh(symmetric, UPLO="L")
    a, b, c, d = vectors[:, -1]
    turn = -1.0 if a < 0 else 1.0
    return (float(turn * b), float(turn * c), float(turn * d)), sign
