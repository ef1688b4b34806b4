"""The random changes of one batch, drawn as (seed, step) say. Shared by the feeds of all tasks."""

from __future__ import annotations

import torch

from voxloom.augment import Augmenter, changes_batch
from voxloom.augment.parameters import AugmentParameters
from voxloom.training.job import Batch


def draw_changes(augmenter: Augmenter, batch: Batch, *, job_seed: int, seed: int) -> AugmentParameters:
    """The changes of a batch of windows (B, C, I, J, K).

    Parameters
    ----------
    job_seed : of the training; with the step it decides whether this batch is changed at all (``augment.batch_chance``).
    seed : of the changes.
    """
    step, image, _, *grid = batch
    shape = (int(image.shape[2]), int(image.shape[3]), int(image.shape[4]))
    if changes_batch(augmenter.settings, job_seed, step):
        return augmenter.sample(len(image), shape, torch.Generator().manual_seed(seed), *grid)
    return augmenter.none(len(image), shape)
