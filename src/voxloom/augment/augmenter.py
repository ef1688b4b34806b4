"""Sample, then apply: draws the random changes of a batch, and carries them out where the batch is.

Knows the order of the changes. Does not know their arithmetic (``spatial``, ``intensity``), files or recipes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxloom.augment import artifacts, contrast, intensity, spatial
from voxloom.augment.own_changes import own_changes
from voxloom.augment.parameters import AugmentParameters, draw_parameters
from voxloom.augment.sending import sent
from voxloom.augment.settings import AugmentSettings


class Augmenter:
    """Random changes of batches.

    Parameters
    ----------
    settings : chances and ranges.
    spacing : mm of the grid, order i j k; of patches that have a grid of their own, ``sample`` is told.
    channels : of the images. Patches of neighboring slices hold each channel several times, one channel after the other.
    """

    def __init__(self, settings: AugmentSettings, spacing: Sequence[float], channels: int = 1) -> None:
        self.settings, self.spacing, self.channels = settings, tuple(float(s) for s in spacing), channels
        self.own = own_changes(settings, channels)

    def sample(
        self,
        batch: int,
        shape: tuple[int, int, int],
        generator: torch.Generator,
        spacing: Tensor | None = None,
    ) -> AugmentParameters:
        """Draw the changes of ``batch`` patches that are read as windows of ``shape`` voxels.

        Parameters
        ----------
        generator : on the CPU.
        spacing : (B, 3) mm of each patch's grid, where cases differ (``prepare.resize_to``, spacing of their own).
        """
        grid = self.spacing if spacing is None else spacing
        return draw_parameters(self.settings, grid, batch, shape, generator, self.channels)

    def none(self, batch: int, shape: tuple[int, int, int]) -> AugmentParameters:
        """The parameters that change nothing."""
        return draw_parameters(self.settings.off(), self.spacing, batch, shape, torch.Generator().manual_seed(0))

    def apply(
        self, image: Tensor, label: Tensor | None, parameters: AugmentParameters, size: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Carry the changes out; the arguments are not written to.

        Parameters
        ----------
        image, label : windows (B, C, I, J, K) and inner labels (B, I, J, K), maps (B, M, I, J, K) or None, on any device.
        parameters : from ``sample``.
        size : (i, j, k) of the result, the middle of the window.

        Returns
        -------
        Image (B, C, *size) float32 and label (B, *size), or maps (B, M, *size), of their type.
        """
        there, grid = self._there(image, parameters), self._grid(parameters)
        image, label = self._move(image.float(), label, parameters, size)
        image = contrast.invert(contrast.remap(image, parameters.curve), parameters.inverted)
        image = artifacts.motion(image, parameters.motion, grid)
        image = artifacts.ghosting(image, parameters.ghosting)
        image = artifacts.spike(image, parameters.spike)
        image = artifacts.anisotropy(image, parameters.anisotropy, grid)
        image = intensity.box_blur(image, parameters.box_blur)
        image = intensity.motion_blur(image, parameters.motion_blur)
        image = intensity.soften(image, parameters.blur, parameters.low_resolution)
        image = intensity.bias_field(image, parameters.bias)
        image = intensity.gamma(image, parameters.ln_gamma)
        image = intensity.linear(image, parameters.factor, parameters.addition)
        image = intensity.add_noise(image, parameters.noise_sd, parameters.noise_seed)
        image = self.own.apply(image, parameters.own, parameters.noise_seed)
        return image if there is None else image * there[:, :, None, None, None], label

    def _grid(self, p: AugmentParameters) -> Tensor:
        """(B, 3) mm of each patch."""
        return spatial.per_patch_mm(self.spacing if p.spacing is None else p.spacing, len(p.moved))

    def _there(self, image: Tensor, p: AugmentParameters) -> Tensor | None:
        """(B, C) whether a channel is there and stays; None where every channel of every case is there by the recipe.

        A channel that is missing (0 throughout) stays 0: noise or brightness would tell it from one that prediction misses.
        """
        if self.settings.channel_dropout == 0:
            return None
        there = (image != 0).flatten(2).any(2)
        if p.kept is None:
            return there
        return there & sent(p.kept, image.device).repeat_interleave(image.shape[1] // self.channels, 1)

    def _move(
        self, image: Tensor, label: Tensor | None, p: AugmentParameters, size: Sequence[int]
    ) -> tuple[Tensor, Tensor | None]:
        """Resample the patches that move, cut the others out."""
        chosen = torch.nonzero(p.moved)[:, 0]
        here = sent(chosen, image.device)
        if len(chosen) == len(image):
            return spatial.resample(image, label, self._offsets(p, chosen, image, size), self._grid(p))
        cut = spatial.centered_crop(image, size)
        cut_label = None if label is None else spatial.centered_crop(label, size)
        if len(chosen) == 0:
            return cut, cut_label
        source = None if label is None else label[here]
        offsets = self._offsets(p, chosen, image, size)
        moved, moved_label = spatial.resample(image[here], source, offsets, self._grid(p)[chosen])
        cut = cut.clone().index_copy_(0, here, moved)
        if cut_label is not None and moved_label is not None:
            cut_label = cut_label.clone().index_copy_(0, here, moved_label)
        return cut, cut_label

    def _offsets(self, p: AugmentParameters, chosen: Tensor, image: Tensor, size: Sequence[int]) -> Tensor:
        """Where the voxels of the chosen patches are read, (n, 3, *size) in mm from the window's center."""
        grid = self._grid(p)[chosen]
        shift = p.shift[chosen] + spatial.crop_center(image.shape[2:], size, grid)
        offsets = spatial.offsets_of(sent(p.matrix[chosen], image.device), sent(shift, image.device), grid, size)
        if p.control is not None:
            control = sent(p.control[chosen], image.device)
            settings, window = self.settings, tuple(image.shape[2:])
            distances = spatial.control_distances(window, grid, settings.elastic_spacing, settings.elastic_points)
            offsets += spatial.displacement(control, distances, grid, size)
        return offsets
