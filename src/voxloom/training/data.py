"""The data module: batches of patches for Lightning, in an order that depends on seed and step alone.

Knows where a training continues (its first step). Does not know augmentation: that happens batched, on the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from voxloom.training.job import Batch, StepReader


def batch_at(sampler: StepReader, step: int) -> Batch:
    """What the module is given at a step, on the CPU."""
    image, label = sampler.read(step)
    whole = label.dtype.kind in "iu"  # inner labels; maps, classes and numbers are floats
    target = torch.from_numpy(label.astype("int64") if whole else label)
    return step, torch.from_numpy(image), target, torch.from_numpy(sampler.spacing(step))


class StepBatches(IterableDataset[Batch]):
    """Endless (step, image (B, C, I, J, K) float32, target, spacing (B, 3)), from ``first`` on.

    With several workers each reads every n-th step, so that the order is the same for any number of workers.
    """

    def __init__(self, sampler: StepReader, first: int) -> None:
        self.sampler, self.first = sampler, first

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in itertools.count(self.first + offset, stride):
            yield batch_at(self.sampler, step)


class PatchData(LightningDataModule):
    """Feeds one training.

    Parameters
    ----------
    sampler : draws and reads the patches.
    workers : reading processes; 0 reads in the training process (fastest for sets that fit in memory).
    """

    def __init__(self, sampler: StepReader, workers: int = 0) -> None:
        super().__init__()
        self.sampler, self.workers, self.first = sampler, workers, 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """Whole batches from step ``self.first`` on; spawned workers, so that it works the same everywhere."""
        context = "spawn" if self.workers else None
        return DataLoader(
            StepBatches(self.sampler, self.first),
            batch_size=None,
            num_workers=self.workers,
            multiprocessing_context=context,
            pin_memory=torch.cuda.is_available(),
        )
