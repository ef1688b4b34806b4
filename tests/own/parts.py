"""A network, a loss, a change of patches and a metric outside Voxloom, as a user would write them."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning import Callback
from torch import Tensor, nn

from voxloom.evaluation.further import Further, MaskPair


class Net(nn.Module):
    """Two convolutions."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int = 3, width: int = 4) -> None:
        super().__init__()
        conv = nn.Conv3d if spatial_dims == 3 else nn.Conv2d
        self.layers = nn.Sequential(
            conv(in_channels, width, 3, padding=1), nn.ReLU(), conv(width, out_channels, 3, padding=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.layers(x)
        return result


class Smaller(Net):
    """Forgets a voxel at every side."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, 1:-1]


class Overlap(nn.Module):
    """1 - the mean probability of the true class, to a power."""

    def __init__(self, count: int, power: float = 1.0) -> None:
        super().__init__()
        self.count, self.power = count, power

    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        right = torch.softmax(logits, 1).gather(1, label[:, None]).mean()
        return (1 - right) ** self.power


class Darker:
    """Takes up to ``most`` off every voxel."""

    def __init__(self, channels: int, most: float = 0.5) -> None:
        self.channels, self.most = channels, most

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        assert image.shape[1] == self.channels
        return image - self.most * torch.rand(len(image), 1, 1, 1, 1, generator=generator)


class Counter(Callback):
    """Writes how many batches it was told of."""

    def __init__(self, path: str) -> None:
        self.path, self.count = Path(path), 0

    def on_train_batch_end(self, *told: object) -> None:
        self.count += 1
        self.path.write_text(str(self.count))


class NoCallback:
    """Knows nothing of trainings."""


def cut(image: Tensor, generator: torch.Generator) -> Tensor:
    """Gives less than it got."""
    return image[..., :1]


def _missed(pair: MaskPair) -> float:
    _, _, missed, _ = pair.counts
    return float(missed)


def cutter() -> object:
    """A change that gives less than it got."""
    return cut


MISSED = Further("voxels of the truth that were not found", "", "min", _missed, absent=(0.0, 1e3))
