"""Sample, then apply: draws the parameters of all random changes of a batch, and carries them out.

Everything random is in ``AugmentParameters``, which can be logged, written down and replayed. Knows no file or recipe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxloom.augment import intensity, spatial
from voxloom.augment.settings import AugmentSettings


@dataclass(frozen=True)
class AugmentParameters:
    """All random changes of one batch of B patches; tensors on the CPU.

    Parameters
    ----------
    moved : (B,) whether a patch is resampled at all.
    matrix : (B, 3, 3) output to source, in mm, and ``shift`` (B, 3) in mm.
    control : (B, 3, p, q, r) displacement of control points in mm, or None.
    blur, low_resolution, ln_gamma, factor, addition, noise_sd : (B,) one strength per patch.
    bias : (B, 1, 3, 3, 3) logarithm of the bias field.
    noise_seed : of the noise.
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


class Augmenter:
    """Random changes of batches.

    Parameters
    ----------
    settings : chances and ranges.
    spacing : mm of the grid, order i j k.
    """

    def __init__(self, settings: AugmentSettings, spacing: Sequence[float]) -> None:
        self.settings, self.spacing = settings, tuple(float(s) for s in spacing)

    def sample(self, batch: int, shape: tuple[int, int, int], generator: torch.Generator) -> AugmentParameters:
        """Draw the changes of ``batch`` patches that are read as windows of ``shape`` voxels."""
        s = self.settings
        draw = Draws(generator, batch)
        turned, scaled, shifted = draw.chosen(s.rotation_chance), draw.chosen(s.scale_chance), draw.chosen(s.shift_chance)
        bent = draw.chosen(s.elastic_chance)
        angles = draw.uniform(-1, 1, 3) * torch.deg2rad(torch.tensor(s.rotation)) * turned[:, None]
        scale = torch.exp(draw.uniform(-1, 1, 3) * torch.log1p(torch.tensor(s.scale))) ** scaled[:, None].float()
        mirror = torch.ones(batch, 3)
        for axis in s.mirror:
            mirror[:, axis] = 1 - 2 * draw.chosen(0.5).float()
        shift = draw.uniform(-1, 1, 3) * torch.tensor(s.shift) * shifted[:, None]
        changed = turned | scaled | shifted | bent | (mirror < 0).any(1)
        strength = draw.chosen(s.intensity_chance).float()
        return AugmentParameters(
            moved=changed,
            matrix=spatial.rotations(angles) * (scale * mirror)[:, None, :],
            shift=shift,
            control=self._control(draw, bent, shape) if s.elastic > 0 and bool(bent.any()) else None,
            blur=draw.within(*s.blur) * draw.chosen(s.blur_chance),
            low_resolution=1 - (1 - draw.within(s.low_resolution, 1.0)) * draw.chosen(s.low_resolution_chance),
            ln_gamma=draw.within(-s.gamma, s.gamma) * draw.chosen(s.gamma_chance),
            factor=1 + draw.within(-s.contrast, s.contrast) * strength,
            addition=draw.within(-s.brightness, s.brightness) * strength,
            noise_sd=draw.within(0.0, s.noise) * draw.chosen(s.noise_chance),
            bias=draw.bias(s.bias_field) * draw.chosen(s.bias_field_chance).view(-1, 1, 1, 1, 1),
            noise_seed=int(torch.randint(2**31 - 1, (1,), generator=generator)),
        )

    def _control(self, draw: Draws, bent: Tensor, shape: tuple[int, int, int]) -> Tensor:
        """Displacements of control points about ``elastic_spacing`` mm apart."""
        s = self.settings
        points = [max(3, min(16, round(n * mm / s.elastic_spacing) + 1)) for n, mm in zip(shape, self.spacing, strict=True)]
        control = torch.randn((len(bent), 3, *points), generator=draw.generator) * s.elastic
        if shape[2] == 1:
            control[:, 2] = 0
        return control * bent.view(-1, 1, 1, 1, 1)

    def apply(
        self, image: Tensor, label: Tensor | None, parameters: AugmentParameters, size: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Carry the changes out.

        Parameters
        ----------
        image, label : windows (B, C, I, J, K) and inner labels (B, I, J, K) or None, on any device.
        size : (I, J, K) of the result, the middle of the window.

        Returns
        -------
        Image (B, C, *size) float32 and label (B, *size).
        """
        image, label = self._move(image, label, parameters, size)
        return self._recolor(image, parameters), label

    def _move(
        self, image: Tensor, label: Tensor | None, p: AugmentParameters, size: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        result = spatial.centered_crop(image, size)
        inner = None if label is None else spatial.centered_crop(label, size)
        chosen = torch.nonzero(p.moved)[:, 0]
        if len(chosen) == 0:
            return result, inner
        offsets = spatial.sampling_grid(p.matrix[chosen], p.shift[chosen], self.spacing, image.shape[2:], size)
        if p.control is not None:
            offsets += spatial.displacement(p.control[chosen], size)
        offsets += self._center(image.shape[2:], size)
        offsets = offsets.to(image.device)
        here = chosen.to(image.device)
        moved, moved_label = spatial.resample(image[here], None if label is None else label[here], offsets, self.spacing)
        if len(chosen) == len(image):
            return moved, moved_label
        result, inner = result.clone(), None if inner is None else inner.clone()
        result[here] = moved
        if inner is not None and moved_label is not None:
            inner[here] = moved_label
        return result, inner

    def _center(self, source: Sequence[int], size: Sequence[int]) -> Tensor:
        """Offset in mm from the window's centre to the centre of the cropped patch: half a voxel where parities differ."""
        voxels = [(n // 2 - m // 2) + (m - 1) / 2 - (n - 1) / 2 for n, m in zip(source, size, strict=True)]
        return torch.tensor(voxels) * torch.tensor(self.spacing)

    def _recolor(self, image: Tensor, p: AugmentParameters) -> Tensor:
        flat = image.shape[4] == 1
        image = intensity.blur(image, p.blur, flat)
        image = intensity.lower_resolution(image, p.low_resolution, flat)
        image = intensity.bias_field(image, p.bias)
        image = intensity.gamma(image, p.ln_gamma)
        image = intensity.linear(image, p.factor, p.addition)
        if not bool((p.noise_sd > 0).any()):
            return image
        generator = torch.Generator().manual_seed(p.noise_seed)
        return intensity.add_noise(image, p.noise_sd, torch.randn(image.shape, generator=generator))


@dataclass(frozen=True)
class Draws:
    """Random numbers, one row per patch, in a fixed order."""

    generator: torch.Generator
    batch: int

    def uniform(self, low: float, high: float, columns: int) -> Tensor:
        """(B, columns) uniform numbers."""
        return low + (high - low) * torch.rand((self.batch, columns), generator=self.generator)

    def within(self, low: float, high: float) -> Tensor:
        """(B,) uniform numbers."""
        return self.uniform(low, high, 1)[:, 0]

    def chosen(self, chance: float) -> Tensor:
        """(B,) booleans, each true with ``chance``."""
        return torch.rand(self.batch, generator=self.generator) < chance

    def bias(self, strength: float) -> Tensor:
        """(B, 1, 3, 3, 3) uniform numbers within +- ``strength``."""
        return (torch.rand((self.batch, 1, 3, 3, 3), generator=self.generator) * 2 - 1) * strength
