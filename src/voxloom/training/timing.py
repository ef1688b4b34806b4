"""Seconds of a real training step on this machine, with made-up voxels.

Knows how to run a few steps of any settings; the planner asks it.
"""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from voxloom.augment import AugmentSettings
from voxloom.dataset.labels import Label, Labels
from voxloom.inference.precision import TOLERABLE, bf16_slowdown
from voxloom.networks import AnyNetworkSettings
from voxloom.training.fit import Training, build_module, build_sampler
from voxloom.training.pace import Pace
from voxloom.training.sampling import Triple
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.training.steps import take_step

#: Seconds after which no further step is timed: a plan must not take longer than what it plans.
_LONG_ENOUGH = 10.0


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
) -> Training:
    """A training on noise with these settings; nothing is written."""
    from pathlib import Path

    count = max(1, network.out_channels - 1)
    labels = Labels(tuple(Label(f"label {n}", (n,)) for n in range(1, count + 1)))
    if network.out_channels == 1:  # one region: sigmoid outputs have no background channel
        labels = Labels((Label("region", (1, 2)),))
    case = NoiseCase(training.patch, network.in_channels, count, spacing)
    return Training(
        Path(), {"noise": case}, {}, labels, network, training, augment, InferenceSettings(), spacing, 0, {}
    )  # fmt: skip


def seconds_per_step(
    network: AnyNetworkSettings,
    training: TrainingSettings,
    augment: AugmentSettings,
    spacing: tuple[float, float, float],
    *,
    device: str,
    steps: int = 4,
) -> float:
    """Seconds of the fastest of ``steps`` whole steps (read, augment, forward, backward, update), after two that warm up.

    The fastest, because other work on the machine only ever makes a step slower; the pace is corrected while training. No
    step is begun after ten seconds, so long ones are fewer, and the only one may be the first.
    Arithmetic that a single convolution already shows to be slower is not timed: it takes infinitely long.
    """
    if training.precision == "bf16" and bf16_slowdown(torch.device(device).type) > TOLERABLE:
        return math.inf
    training = training.model_copy(update={"phases": ()})  # the whole patch and all weights: the longest step
    job = noise_training(network, training, augment, spacing)
    module = build_module(job, Pace(steps)).to(device)
    optimizer = module.configure_optimizers()
    sampler = build_sampler(job)
    times = []
    for step in range(steps + 2):
        start = time.perf_counter()
        take_step(module, optimizer, sampler, step)
        if device.startswith("cuda"):
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
        if sum(times) > _LONG_ENOUGH:
            break
    return float(np.min(times[2:] or times))
