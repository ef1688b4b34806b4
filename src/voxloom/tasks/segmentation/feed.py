"""What a segmentation network sees of a batch: image and label moved together, at the resolution of the phase.

Knows no file, validation or budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxloom.augment import Augmenter
from voxloom.losses.supervision import thinned
from voxloom.networks.layout import to_layout
from voxloom.training.feed import draw_changes
from voxloom.training.job import Batch
from voxloom.training.phases import phase_at
from voxloom.training.settings import TrainingSettings


@dataclass(frozen=True)
class PatchFeed:
    """Feeds image (B, C, *patch) and inner label (B, *patch); 2D networks get two spatial axes.

    Parameters
    ----------
    augmenter : the random changes of every patch.
    settings : patch, phases and memory layout.
    dims : 2 or 3.
    multiple : sizes that the network can halve are multiples of these, per axis.
    job_seed : of the training; which batches are changed at all depends on it and the step.
    """

    augmenter: Augmenter
    settings: TrainingSettings
    dims: int
    multiple: tuple[int, ...]
    job_seed: int

    def __call__(self, batch: Batch, seed: int, progress: float) -> tuple[Tensor, Tensor]:
        """See :class:`voxloom.training.job.Feed`."""
        _, image, label, *_ = batch
        parameters = draw_changes(self.augmenter, batch, job_seed=self.job_seed, seed=seed)
        with torch.autocast(image.device.type, enabled=False):  # the image stays float32 until the network
            image, changed = self.augmenter.apply(image, label, parameters, self.settings.patch)
        assert changed is not None
        scale = phase_at(self.settings.phases, progress)[0].scale
        if scale < 1:
            image, changed = coarser(image, changed, self.coarse_size(scale))
        image = to_layout(image, self.dims, self.settings.channels_last)
        return image, changed.squeeze(-1) if self.dims == 2 else changed

    def coarse_size(self, scale: float) -> tuple[int, ...]:
        """Voxels of a patch at a lower resolution, as many as the network can halve; an axis of one voxel stays."""
        sizes = zip(self.settings.patch, (*self.multiple, 1)[:3], strict=True)
        return tuple(min(n, max(1, round(n * scale / m)) * m) for n, m in sizes)


def coarser(image: Tensor, label: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Image (B, C, ...) as means over cells, and label (B, ...) in the middle of each, on a grid of ``size``."""
    return functional.interpolate(image, size, mode="area"), thinned(label, size)
