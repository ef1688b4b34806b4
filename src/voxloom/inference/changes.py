"""The random changes of one patch in words. Knows ``AugmentParameters``; does not carry them out."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from voxloom.augment import AugmentParameters

#: Changes smaller than this are none.
_LEAST = 1e-6


def changes_of(parameters: AugmentParameters) -> list[str]:
    """What is changed in the first patch of a batch and by how much, e.g. "rotation 7 degrees"; empty where nothing is."""
    p = parameters
    amounts = [
        ("blur", p.blur[0], 0.0, "voxels"),
        ("resolution", p.low_resolution[0], 1.0, ""),
        ("gamma", p.ln_gamma[0].exp(), 1.0, ""),
        ("contrast", p.factor[0], 1.0, ""),
        ("brightness", p.addition[0], 0.0, "SD"),
        ("noise", p.noise_sd[0], 0.0, "SD"),
        ("bias field", p.bias[0].abs().amax(), 0.0, ""),
        ("box blur", p.box_blur[0], 1.0, "voxels"),
        ("motion blur", p.motion_blur[0].norm(), 0.0, "voxels"),
        ("ghosting", p.ghosting[0, -1], 0.0, ""),
        ("motion", p.motion[0, :, 1:].abs().amax(), 0.0, ""),
        ("spike", p.spike[0, -1], 0.0, ""),
        ("anisotropy", p.anisotropy[0, -1], 1.0, ""),
        ("remapped brightness", p.curve[0].abs().amax(), 0.0, ""),
        ("inverted brightness", p.inverted[0].float(), 0.0, ""),
    ]
    told = [_text(name, float(value), unit) for name, value, none, unit in amounts if abs(float(value) - none) > _LEAST]
    return [*(_movements(p.matrix[0], p.shift[0]) if bool(p.moved[0]) else []), *told]


def _movements(matrix: Tensor, shift: Tensor) -> list[str]:
    """Rotation, size of objects and shift of a matrix without mirror images."""
    lengths = matrix.norm(dim=0)
    turn = (matrix / lengths).diagonal().sum()
    angle = math.degrees(math.acos(min(1.0, max(-1.0, (float(turn) - 1) / 2))))
    size, far = float(1 / lengths.prod() ** (1 / 3)), float(torch.linalg.vector_norm(shift))
    parts = [_text("rotation", angle, "degrees")] if angle > 0.1 else []
    parts += [_text("size", size, "")] if float((lengths - 1).abs().max()) > _LEAST else []
    return parts + ([_text("shift", far, "mm")] if far > _LEAST else [])


def _text(name: str, value: float, unit: str) -> str:
    return " ".join(filter(None, (name, f"{value:.3g}" if name != "size" else f"{value:.2f}", unit)))
