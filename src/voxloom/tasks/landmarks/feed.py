"""What a landmark network sees of a batch: image and target are moved together, the target of discs stays 0 and 1.

Knows no file, validation or budget.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from voxloom.augment import Augmenter
from voxloom.augment.parameters import AugmentParameters
from voxloom.networks.layout import to_layout
from voxloom.training.feed import draw_changes
from voxloom.training.job import Batch
from voxloom.training.settings import TrainingSettings


@dataclass(frozen=True)
class LandmarkFeed:
    """Feeds image (B, C, *patch) and target (B, M, *patch), one slice of it for slabs.

    Parameters
    ----------
    augmenter : the random changes of every window.
    settings : patch and memory layout.
    slab : changes stay in the slice plane, and the middle slice of the target is compared.
    binary : targets are 0 and 1; heat maps are not.
    job_seed : of the training; which batches are changed at all depends on it and the step.
    """

    augmenter: Augmenter
    settings: TrainingSettings
    slab: bool
    binary: bool
    job_seed: int

    def __call__(self, batch: Batch, seed: int, progress: float) -> tuple[Tensor, Tensor]:
        """See :class:`voxloom.training.job.Feed`."""
        _, image, target, *_ = batch
        parameters = draw_changes(self.augmenter, batch, job_seed=self.job_seed, seed=seed)
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
