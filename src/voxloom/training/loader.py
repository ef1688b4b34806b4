"""The batches of a training outside of it: for a look, or for a loop of one's own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from voxloom.training.data import StepBatches, on_device
from voxloom.training.fit import build_module
from voxloom.training.job import Job
from voxloom.training.pace import Pace

Seen = tuple[Tensor | tuple[Tensor, ...], Tensor]


class AugmentedBatches(IterableDataset[Seen]):
    """Endless (image, target) as network and loss see them, from step ``first`` on; on the CPU."""

    def __init__(self, job: Job, first: int) -> None:
        self.module, self.batches = build_module(job, Pace(job.training.steps)), StepBatches(job.build_sampler(), first)

    def __iter__(self) -> Iterator[Seen]:
        return (self.module.augmented(on_device(batch, torch.device("cpu"))) for batch in self.batches)


def augmented_loader(job: Job, first: int = 0) -> DataLoader[Seen]:
    """Whole batches of a training, in its own order."""
    return DataLoader(AugmentedBatches(job, first), batch_size=None)
