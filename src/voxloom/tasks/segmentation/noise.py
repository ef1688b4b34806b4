"""A segmentation training on made-up voxels, to time steps of any settings before there is a run.

Nothing is written.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.dataset.labels import Label, Labels
from voxloom.networks import AnyNetworkSettings
from voxloom.tasks.segmentation.training import SegmentationTraining
from voxloom.training.sampling import Triple
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.training.timing import seconds_per_step


class NoiseCase:
    """A prepared case of random voxels with one label per inner index, as large as the patch."""

    def __init__(
        self, shape: Triple, channels: int, count: int, spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    ) -> None:
        random = np.random.default_rng(0)
        self.shape, self.spacing = shape, spacing
        self._image = random.standard_normal((channels, *shape), dtype=np.float32)
        self._label = random.integers(0, count + 1, shape).astype(np.uint8)
        self.foreground = {1: np.argwhere(self._label == 1)[:100].astype(np.int32)}

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """Float32 (C, I, J, K)."""
        return self._image if slices is None else self._image[(slice(None), *slices)]

    def label(self, slices: tuple[slice, slice, slice] | None = None) -> np.ndarray:
        """Inner labels (I, J, K)."""
        return self._label if slices is None else self._label[slices]


def noise_training(
    network: AnyNetworkSettings,
    training: TrainingSettings,
    augment: AugmentSettings,
    spacing: tuple[float, float, float],
) -> SegmentationTraining:
    """A training on noise with these settings; nothing is written."""
    count = max(1, network.out_channels - 1)
    labels = Labels(tuple(Label(f"label {n}", (n,)) for n in range(1, count + 1)))
    if network.out_channels == 1:  # one region: sigmoid outputs have no background channel
        labels = Labels((Label("region", (1, 2)),))
    case = NoiseCase(training.patch, network.in_channels, count, spacing)
    return SegmentationTraining(
        Path(), {"noise": case}, {}, labels, network, training, augment, InferenceSettings(), spacing, 0, {}
    )  # fmt: skip


def timed_step(
    network: AnyNetworkSettings,
    training: TrainingSettings,
    augment: AugmentSettings,
    spacing: tuple[float, float, float],
    *,
    device: str,
) -> float:
    """Seconds of a whole step with these settings on this machine; the whole patch and all weights, the longest step."""
    training = training.model_copy(update={"phases": ()})
    return seconds_per_step(noise_training(network, training, augment, spacing), device=device)
