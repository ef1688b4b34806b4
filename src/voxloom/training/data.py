"""The data module: batches of patches for Lightning, in an order that depends on seed and step alone.

Knows where a training continues (its first step). Does not know augmentation: that happens batched, on the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from voxloom.augment.sending import sent
from voxloom.ranks import Ranks, ranks
from voxloom.training.job import Batch, StepReader

ALONE = Ranks()


def batch_at(sampler: StepReader, step: int) -> Batch:
    """What is read for a step, on the CPU; inner labels are as small as they are kept, so that a card is sent few bytes."""
    image, label = sampler.read(step)
    if label.dtype.kind == "u" and label.dtype.itemsize > 1:  # PyTorch computes with few of these
        label = label.astype("int64")
    return step, torch.from_numpy(image), torch.from_numpy(label), torch.from_numpy(sampler.spacing(step))


def on_device(batch: Batch, device: torch.device) -> Batch:
    """What the module is given: image and target on the device, inner labels as int64, without waiting for a card.

    The grids of the patches stay on the CPU: random changes are drawn there.
    """
    step, image, target, *grid = batch
    there = sent(target, device)
    return step, sent(image, device), there if there.is_floating_point() else there.long(), *grid


class StepBatches(IterableDataset[Batch]):
    """Endless (step, image (B, C, I, J, K) float32, target, spacing (B, 3)), from ``first`` on.

    With several workers each reads every n-th step, so that the order is the same for any number of workers. Of n processes that
    train together, process r reads at step s what a single one reads at step n * s + r.
    """

    def __init__(self, sampler: StepReader, first: int, here: Ranks = ALONE) -> None:
        self.sampler, self.first, self.here = sampler, first, here

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in itertools.count(self.first + offset, stride):
            yield batch_at(self.sampler, step * self.here.size + self.here.rank)


class PatchData(LightningDataModule):
    """Feeds one training.

    Parameters
    ----------
    sampler : draws and reads the patches.
    workers : reading processes; 0 reads in the training process (fastest for sets that fit in memory). Two batches of each are ahead.
    pinned : whether batches lie in memory that a card fetches by itself.
    """

    def __init__(self, sampler: StepReader, workers: int = 0, *, pinned: bool = False) -> None:
        super().__init__()
        self.sampler, self.workers, self.first, self.pinned = sampler, workers, 0, pinned

    def train_dataloader(self) -> DataLoader[Batch]:
        """Whole batches from step ``self.first`` on; spawned workers, so that it works the same everywhere."""
        context = "spawn" if self.workers else None
        return DataLoader(
            StepBatches(self.sampler, self.first, ranks()),
            batch_size=None,
            num_workers=self.workers,
            multiprocessing_context=context,
            pin_memory=self.pinned,
        )
