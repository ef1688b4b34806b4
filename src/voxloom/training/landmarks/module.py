"""One step of a landmark training: image and target are moved together, the target of discs stays 0 and 1.

Does not know files, validation or budgets.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from voxloom.augment import Augmenter
from voxloom.augment.parameters import AugmentParameters
from voxloom.training.data import Batch
from voxloom.training.module import SegmentationModule, step_seed, to_layout
from voxloom.training.pace import Pace
from voxloom.training.settings import TrainingSettings


class LandmarkModule(SegmentationModule):
    """Trains on batches of (step, image (B, C, I, J, K), target (B, M, I, J, K), mm of each patch (B, 3)).

    Parameters
    ----------
    slab : changes stay in the slice plane, and the middle slice of the target is compared.
    binary : targets are 0 and 1; heat maps are not.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        augmenter: Augmenter,
        settings: TrainingSettings,
        pace: Pace,
        *,
        seed: int,
        slab: bool,
        binary: bool,
    ) -> None:
        super().__init__(network, loss, augmenter, settings, pace, dims=3, seed=seed)
        self.slab, self.binary = slab, binary

    def augmented(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Image (B, C, *patch) and target (B, M, *patch), one slice of it for slabs, as network and loss see them."""
        step, image, target, *grid = batch
        generator = torch.Generator().manual_seed(step_seed(self.seed, step))
        shape = (int(image.shape[2]), int(image.shape[3]), int(image.shape[4]))
        parameters = self.augmenter.sample(len(image), shape, generator, *grid)
        if self.slab:
            parameters = in_plane(parameters)
        with torch.autocast(image.device.type, enabled=False):
            image, moved = self.augmenter.apply(image, target, parameters, self.settings.patch)
        assert moved is not None
        if self.binary:
            moved = (moved > 0.5).float()
        if self.slab:
            middle = moved.shape[-1] // 2
            moved = moved[..., middle : middle + 1]
        return to_layout(image, 3, self.settings.channels_last), moved


def in_plane(parameters: AugmentParameters) -> AugmentParameters:
    """The same changes without any movement along k, so that every slice stays a slice."""
    matrix, shift = parameters.matrix.clone(), parameters.shift.clone()
    matrix[:, 2, :], matrix[:, :, 2] = 0, 0
    matrix[:, 2, 2] = 1
    shift[:, 2] = 0
    control = parameters.control
    if control is not None:
        control = control.clone()
        control[:, 2] = 0
    return dataclasses.replace(parameters, matrix=matrix, shift=shift, control=control)
