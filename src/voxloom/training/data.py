"""The data module: batches of patches for Lightning, in an order that depends on seed and step alone.

Knows where a training continues (its first step). Does not know augmentation: that happens batched, on the device.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class StepReader(Protocol):
    """What draws and reads the batch of any step: images (B, C, I, J, K), and what is learned from them."""

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[Any]]: ...


def as_tensors(image: NDArray[np.float32], target: NDArray[Any]) -> tuple[Tensor, Tensor]:
    """What a sampler read, for torch: whole numbers (inner labels, classes) as int64, others as they are."""
    whole = target.dtype.kind in "iu"
    return torch.from_numpy(image), torch.from_numpy(target.astype("int64") if whole else target)


class StepBatches(IterableDataset[tuple[int, Tensor, Tensor]]):
    """Endless (step, image (B, C, I, J, K) float32, target), from ``first`` on.

    With several workers each reads every n-th step, so that the order is the same for any number of workers.
    """

    def __init__(self, sampler: StepReader, first: int) -> None:
        self.sampler, self.first = sampler, first

    def __iter__(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        worker = get_worker_info()
        offset, stride = (worker.id, worker.num_workers) if worker else (0, 1)
        for step in itertools.count(self.first + offset, stride):
            yield step, *as_tensors(*self.sampler.read(step))


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

    def train_dataloader(self) -> DataLoader[tuple[int, Tensor, Tensor]]:
        """Whole batches from step ``self.first`` on; spawned workers, so that it works the same everywhere."""
        context = "spawn" if self.workers else None
        return DataLoader(
            StepBatches(self.sampler, self.first),
            batch_size=None,
            num_workers=self.workers,
            multiprocessing_context=context,
            pin_memory=torch.cuda.is_available(),
        )
