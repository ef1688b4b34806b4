"""Small made-up prepared cases for training tests: a bright ball to find."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.dataset.labels import Label, Labels
from voxloom.networks import NetworkSettings
from voxloom.tasks.segmentation.training import SegmentationTraining
from voxloom.training.settings import InferenceSettings, TrainingSettings

LABELS = Labels((Label("ball", (1,)),))


class BallCase:
    """A volume of noise with one bright ball, labelled 1."""

    def __init__(
        self,
        seed: int,
        shape: tuple[int, int, int] = (18, 16, 14),
        spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    ) -> None:
        random = np.random.default_rng(seed)
        self.shape, self.spacing = shape, spacing
        center = random.uniform(5, 9, 3)
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
        self._label = (((grid - center) ** 2).sum(-1) < random.uniform(9, 20)).astype(np.uint8)
        self._image = (random.standard_normal(shape) * 0.4 + 2 * self._label).astype(np.float32)[None]
        self.foreground = {1: np.argwhere(self._label == 1).astype(np.int32)}

    def image(self, slices=None):
        return self._image if slices is None else self._image[(slice(None), *slices)]

    def label(self, slices=None):
        return self._label if slices is None else self._label[slices]


def ball_training(folder: Path, *, steps: int = 24, seed: int = 0, **changes: object) -> SegmentationTraining:
    """A training that takes a second or two; ``changes`` are training settings."""
    network = NetworkSettings(
        dims=3, in_channels=1, out_channels=2, features=(4, 8, 8), strides=((1, 1, 1), (2, 2, 2), (2, 2, 2)),
        kernels=((3, 3, 3),) * 3, deep_supervision=2, dropout=0.1,
    )  # fmt: skip
    settings = {"patch": (16, 16, 16), "steps": steps, "validations": 3, "ema": 0.8, "learning_rate": 0.01, **changes}
    return SegmentationTraining(
        folder=folder,
        train={f"case{n}": BallCase(n) for n in range(6)},
        validation={f"case{n}": BallCase(n) for n in (7, 8)},
        labels=LABELS,
        network=network,
        training=TrainingSettings.model_validate(settings),
        augment=AugmentSettings(),
        inference=InferenceSettings(),
        spacing=(1.0, 1.0, 1.0),
        seed=seed,
        description={"made": "for a test"},
    )
