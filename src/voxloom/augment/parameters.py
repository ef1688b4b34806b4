"""The random changes of one batch as a value: it can be logged, written as JSON, read back and replayed.

Knows how the changes are drawn from settings. Does not know how they are carried out (``augmenter``).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from voxloom.augment import artifacts, contrast, spatial
from voxloom.augment.settings import AugmentSettings


@dataclass(frozen=True)
class AugmentParameters:
    """All random changes of one batch of B patches; tensors on the CPU.

    Parameters
    ----------
    moved : (B,) whether a patch is resampled at all.
    matrix : (B, 3, 3) offset in the result to offset in the source, mm, order i j k; rotation, scale and mirror.
    shift : (B, 3) in mm.
    control : (B, 3, p, q, r) displacement of control points in mm, or None when no patch is bent.
    blur : (B,) standard deviation in voxels. low_resolution : (B,) share of the resolution that is kept.
    ln_gamma, factor, addition, noise_sd : (B,) strengths.
    bias : (B, 1, 3, 3, 3) logarithm of the bias field at its control points.
    noise_seed : of the noise.
    box_blur : (B,) voxels, 1 for none. motion_blur : (B, 2) the line's extent along i and j in voxels.
    curve : (B, contrast.KNOTS) as ``contrast.remap`` takes it. inverted : (B,) whether dark becomes bright.
    kept : (B, C) whether a channel is there; None when none is dropped.
    spacing : (B, 3) mm of each patch's grid, which turns the millimetres above into voxels; None takes the augmenter's.
    ghosting, motion, spike, anisotropy : (B, ...) as ``artifacts`` takes them.
    own : (B, n) which of the changes of other packages a patch gets; None where there are none.
    """

    moved: Tensor
    matrix: Tensor
    shift: Tensor
    control: Tensor | None
    blur: Tensor
    low_resolution: Tensor
    ln_gamma: Tensor
    factor: Tensor
    addition: Tensor
    noise_sd: Tensor
    bias: Tensor
    noise_seed: int
    box_blur: Tensor
    motion_blur: Tensor
    ghosting: Tensor
    motion: Tensor
    spike: Tensor
    anisotropy: Tensor
    curve: Tensor
    inverted: Tensor
    kept: Tensor | None = None
    spacing: Tensor | None = None
    own: Tensor | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, exact in JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value.tolist() if isinstance(value, Tensor) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AugmentParameters:
        """The inverse of ``to_dict``."""
        tensors: dict[str, Any] = {name: torch.tensor(v) if isinstance(v, list) else v for name, v in values.items()}
        return cls(**tensors)


@dataclass(frozen=True)
class _Draws:
    """Random numbers, one row per patch, in a fixed order."""

    generator: torch.Generator
    batch: int

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape) uniform numbers from -1 to 1."""
        return torch.rand((self.batch, *shape), generator=self.generator) * 2 - 1

    def between(self, low: float, high: float) -> Tensor:
        """(B,) uniform numbers."""
        return low + (high - low) * torch.rand(self.batch, generator=self.generator)

    def axis(self, flat: bool) -> Tensor:
        """(B,) 0, 1 or 2; 0 or 1 for single slices."""
        return (torch.rand(self.batch, generator=self.generator) * (2 if flat else 3)).floor()

    def chosen(self, chance: float) -> Tensor:
        """(B,) booleans, each true with ``chance``."""
        return torch.rand(self.batch, generator=self.generator) < chance


def draw_parameters(
    settings: AugmentSettings,
    spacing: spatial.Spacing,
    batch: int,
    shape: tuple[int, int, int],
    generator: torch.Generator,
    channels: int = 1,
) -> AugmentParameters:
    """Draw the changes of ``batch`` patches of at most ``shape`` voxels; a single slice (K = 1) stays in its plane.

    ``spacing`` in mm is that of all patches (3,), or of each (B, 3).
    """
    s, draw, flat = settings, _Draws(generator, batch), shape[2] == 1
    grids = spatial.per_patch_mm(spacing, batch)
    matrix, turned = _matrix(s, draw, flat)
    shifted = draw.chosen(s.shift_chance)
    shift = draw.uniform(3) * torch.tensor(s.shift) * shifted[:, None]
    bent = draw.chosen(s.elastic_chance if s.elastic > 0 else 0.0)
    distances = spatial.control_distances(shape, grids, s.elastic_spacing, s.elastic_points)
    control = _control(s, draw, bent, spatial.control_points(shape, grids, distances), distances)
    if flat:
        shift[:, 2], control[:, 2] = 0, 0
    strength = draw.chosen(s.intensity_chance)
    return AugmentParameters(
        moved=turned | bent | (shift != 0).any(1),
        matrix=matrix,
        shift=shift,
        control=control if bool(bent.any()) else None,
        blur=draw.between(*s.blur) * draw.chosen(s.blur_chance),
        low_resolution=torch.where(draw.chosen(s.low_resolution_chance), draw.between(s.low_resolution, 1.0), 1.0),
        ln_gamma=draw.between(-s.gamma, s.gamma) * draw.chosen(s.gamma_chance),
        factor=1 + draw.between(-s.contrast, s.contrast) * strength,
        addition=draw.between(-s.brightness, s.brightness) * strength,
        noise_sd=draw.between(*s.noise_range) * draw.chosen(s.noise_chance),
        bias=draw.uniform(1, 3, 3, 3) * s.bias_field * draw.chosen(s.bias_field_chance).view(-1, 1, 1, 1, 1),
        noise_seed=int(torch.randint(2**31 - 1, (1,), generator=generator)),
        box_blur=torch.where(draw.chosen(s.box_blur_chance), float(s.box_blur), 1.0),
        motion_blur=_line(s, draw),
        ghosting=_ghosts(s, draw, flat),
        motion=_movements(s, draw),
        spike=torch.cat([draw.uniform(3) / 2 + 0.5, _strength(draw, s.spike, s.spike_chance)], 1),
        anisotropy=_coarser(s, draw, flat),
        curve=_curve(s, draw),
        inverted=draw.chosen(s.invert_chance),
        kept=_kept(s, draw, channels),
        spacing=grids.clone() if isinstance(spacing, Tensor) else None,
        own=torch.stack([draw.chosen(change.chance) for change in s.own], 1) if s.own else None,
    )


def _strength(draw: _Draws, span: tuple[float, float], chance: float) -> Tensor:
    """(B, 1) uniform in ``span`` with ``chance``, else 0."""
    return (draw.between(*span) * draw.chosen(chance))[:, None]


def _line(s: AugmentSettings, draw: _Draws) -> Tensor:
    """(B, 2) extent along i and j of a line of up to ``motion_blur`` voxels in any direction, 0 for none."""
    length = draw.between(0.0, s.motion_blur) * draw.chosen(s.motion_blur_chance)
    angle = draw.between(0.0, torch.pi)
    return torch.stack([torch.cos(angle), torch.sin(angle)], 1) * length[:, None]


def _curve(s: AugmentSettings, draw: _Draws) -> Tensor:
    """(B, KNOTS) of a curve that leaves the darkest voxels dark, 0 for none."""
    curve = draw.uniform(contrast.KNOTS) * s.remap * draw.chosen(s.remap_chance)[:, None]
    curve[:, 0] = 0
    return curve


def _ghosts(s: AugmentSettings, draw: _Draws, flat: bool) -> Tensor:
    """(B, 3) number of ghosts, axis, strength (0 for none)."""
    number, axis = draw.between(4, 11).floor().clamp(max=10), draw.axis(flat)
    return torch.cat([number[:, None], axis[:, None], _strength(draw, s.ghosting, s.ghosting_chance)], 1)


def _movements(s: AugmentSettings, draw: _Draws) -> Tensor:
    """(B, 2, 7) times near 1/3 and 2/3, turns in degrees and shifts in mm, 0 for none."""
    times = (torch.tensor([1.0, 2.0]) + 0.3 * draw.uniform(artifacts.MOVEMENTS)) / (artifacts.MOVEMENTS + 1)
    moves = draw.uniform(artifacts.MOVEMENTS, 6) * torch.tensor([s.motion_degrees] * 3 + [s.motion_mm] * 3)
    return torch.cat([times[:, :, None], moves * draw.chosen(s.motion_chance)[:, None, None]], 2)


def _kept(s: AugmentSettings, draw: _Draws, channels: int) -> Tensor | None:
    """(B, C) whether a channel stays; where all would go, one drawn at random stays. Nothing is drawn without dropout."""
    if s.channel_dropout == 0 or channels < 2:
        return None
    chances = (draw.uniform(channels) + 1) / 2
    rescued = torch.nn.functional.one_hot(draw.uniform(channels).argmax(1), channels).bool()
    kept = chances >= s.channel_dropout
    return kept | (rescued & ~kept.any(1, keepdim=True))


def _coarser(s: AugmentSettings, draw: _Draws, flat: bool) -> Tensor:
    """(B, 2) axis and factor (1 for none)."""
    factor = torch.where(draw.chosen(s.anisotropy_chance), draw.between(*s.anisotropy), 1.0)
    return torch.stack([draw.axis(flat), factor], 1)


def _matrix(s: AugmentSettings, draw: _Draws, flat: bool) -> tuple[Tensor, Tensor]:
    """Rotation, scale and mirror (B, 3, 3), and (B,) whether it is not the identity."""
    angles = torch.deg2rad(torch.tensor(s.rotation)) * draw.uniform(3) * draw.chosen(s.rotation_chance)[:, None]
    smallest, largest = (math.log(size) for size in s.sizes)
    drawn = draw.uniform(3)
    if s.scale_axes == "together":
        drawn = drawn[:, :1].expand(-1, 3)
    sizes = drawn * (largest - smallest) / 2 - (largest + smallest) / 2
    ln_scale = sizes * draw.chosen(s.scale_chance)[:, None]
    mirror = torch.ones(draw.batch, 3)
    for axis in s.mirror:
        mirror[:, axis] = 1 - 2 * draw.chosen(0.5).float()
    if flat:
        angles[:, :2], ln_scale[:, 2], mirror[:, 2] = 0, 0, 1
    changed = (angles != 0).any(1) | (ln_scale != 0).any(1) | (mirror < 0).any(1)
    return spatial.rotations(angles) * (ln_scale.exp() * mirror)[:, None, :], changed


def _control(s: AugmentSettings, draw: _Draws, bent: Tensor, points: tuple[int, ...], distances: Tensor) -> Tensor:
    """Displacements in mm, at most 0.4 of the distance (B, 3) of control points, so that neighbors do not pass each other."""
    if s.elastic_draw == "uniform":
        values = draw.uniform(3, *points) * s.elastic
    else:
        values = torch.randn((draw.batch, 3, *points), generator=draw.generator) * s.elastic
    limit = 0.4 * distances.view(-1, 3, 1, 1, 1)
    return values.clamp(-limit, limit) * bent.view(-1, 1, 1, 1, 1)
