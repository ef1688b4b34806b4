"""What a network for whole cases sees of a batch: images changed at random, mixed where asked, at the resolution of the phase."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from voxloom.augment import Augmenter
from voxloom.augment.sending import sent
from voxloom.networks.layout import to_layout
from voxloom.training.feed import draw_changes
from voxloom.training.job import Batch
from voxloom.training.phases import phase_at
from voxloom.training.settings import TrainingSettings


@dataclass(frozen=True)
class CaseFeed:
    """Feeds image (B, C, *patch), with covariates (B, n) beside it where there are any, and targets (B, T).

    Parameters
    ----------
    augmenter : the random changes of every image.
    settings : patch, phases and memory layout.
    dims : 2 or 3.
    targets : numbers of a target; what follows in a row are covariates.
    mixup : parameter of the Beta distribution; 0 mixes nothing.
    job_seed : of the training; which batches are changed at all depends on it and the step.
    """

    augmenter: Augmenter
    settings: TrainingSettings
    dims: int
    targets: int
    mixup: float
    job_seed: int

    def __call__(self, batch: Batch, seed: int, progress: float) -> tuple[Tensor | tuple[Tensor, Tensor], Tensor]:
        """See :class:`voxloom.training.job.Feed`."""
        _, image, rows, *_ = batch
        parameters = draw_changes(self.augmenter, batch, job_seed=self.job_seed, seed=seed)
        with torch.autocast(image.device.type, enabled=False):  # the image stays float32 until the network
            image, _ = self.augmenter.apply(image, None, parameters, self.settings.patch)
        scale = phase_at(self.settings.phases, progress)[0].scale
        if scale < 1:
            image = functional.interpolate(image, [max(1, round(n * scale)) for n in image.shape[2:]], mode="area")
        if self.mixup:
            image, rows = mixed(image, rows, self.mixup, seed)
        image = to_layout(image, self.dims, self.settings.channels_last)
        targets, numbers = rows[:, : self.targets], rows[:, self.targets :]
        return ((image, numbers) if numbers.shape[1] else image), targets


def mixed(image: Tensor, rows: Tensor, alpha: float, seed: int) -> tuple[Tensor, Tensor]:
    """Every case with a share of another of the batch, images and targets alike (mixup, Zhang et al. 2018)."""
    import numpy as np

    random = np.random.default_rng((seed, 7))
    share = sent(torch.tensor(random.beta(alpha, alpha, len(image)), dtype=image.dtype), image.device)
    share = torch.maximum(share, 1 - share)  # a case stays more itself than the other
    other = sent(torch.from_numpy(random.permutation(len(image))), image.device)
    wide = share.view(-1, *(1,) * (image.ndim - 1))
    return wide * image + (1 - wide) * image[other], share[:, None] * rows + (1 - share[:, None]) * rows[other]
