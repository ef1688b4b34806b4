"""A whole-case training on made-up voxels, to time its steps. Nothing is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.networks.case_settings import CaseNetworkSettings
from voxloom.tasks.whole_case.plan import Timer
from voxloom.tasks.whole_case.sampling import WholeCase
from voxloom.tasks.whole_case.training import Objective, WholeCaseTraining
from voxloom.training.settings import TrainingSettings
from voxloom.training.timing import seconds_per_step
from voxloom.training.windows import InMemory


def step_timer(objective: Objective, targets: int, device: str) -> Timer:
    """Times steps of an objective whose targets have so many numbers."""

    def timer(
        network: CaseNetworkSettings,
        training: TrainingSettings,
        augment: AugmentSettings,
        spacing: tuple[float, float, float],
    ) -> float:
        image = np.random.default_rng(0).standard_normal((network.in_channels, *training.patch), dtype=np.float32)
        rows = [np.eye(targets, dtype=np.float32)[n % targets] for n in range(2)]
        numbers = np.zeros(network.covariates, np.float32)
        cases = {f"noise {n}": WholeCase(InMemory(image, spacing), row, numbers) for n, row in enumerate(rows)}
        whole = training.model_copy(update={"phases": (), "monitor": "train_loss"})
        job = WholeCaseTraining(Path(), cases, {}, objective, network, whole, augment, 0.0, spacing, 0, {})
        return seconds_per_step(job, device=device)

    return timer
