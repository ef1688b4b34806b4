"""One training of whole cases: its network, images and validation. Loss and scores are the task's objective.

Knows the settings of a fold; the loop is ``voxloom.training.fit``. Does not know recipes or data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.errors import BadInput
from voxloom.inference.precision import autocast_dtype
from voxloom.networks.base import StagedNetwork
from voxloom.networks.case_networks import CaseNetwork, build_case_network
from voxloom.networks.case_settings import CaseNetworkSettings
from voxloom.networks.layout import to_layout
from voxloom.runfiles import LOG
from voxloom.tasks.whole_case.feed import CaseFeed
from voxloom.tasks.whole_case.sampling import CaseSampler, WholeCase, middle_of
from voxloom.training.first_weights import set_first_weights
from voxloom.training.init import RANDOM, InitSettings
from voxloom.training.job import Measured
from voxloom.training.log import VAL_LOSS, TrainingLog
from voxloom.training.sampling import window_for
from voxloom.training.settings import TrainingSettings


class Objective(Protocol):
    """What a task makes of answers: loss and scores."""

    @property
    def score(self) -> str:
        """What the validation measures, larger is better, e.g. "auc"."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores: classes or targets."""
        ...

    def loss(self, targets: Sequence[np.ndarray]) -> nn.Module:
        """Of answers (B, L) and targets (B, T); ``targets`` of the training cases give weights where they are asked for."""
        ...

    def scores(self, answers: Tensor, targets: Tensor) -> list[float]:
        """One per name."""
        ...


@dataclass(frozen=True)
class WholeCaseTraining:
    """Everything that decides the weights of one fold; a :class:`voxloom.training.job.Job`.

    Parameters
    ----------
    folder : of the fold; made when absent.
    train, validation : cases by id.
    objective, network, training, augment, mixup, seed : settings.
    spacing : mm of the prepared grid, order i j k.
    description : written into ``model.json`` beside the weights.
    repeats : how often cases are drawn in a pass, by id; others once.
    pace, left_out : corrections of the number of steps to replay, and validations to leave out, from an earlier run under a
        budget.
    init : where the first weights of the encoder come from.
    """

    folder: Path
    train: Mapping[str, WholeCase]
    validation: Mapping[str, WholeCase]
    objective: Objective
    network: CaseNetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    mixup: float
    spacing: tuple[float, float, float]
    seed: int
    description: dict[str, Any]
    repeats: Mapping[str, int] = field(default_factory=dict)
    pace: tuple[tuple[int, int], ...] = ()
    left_out: tuple[int, ...] = ()
    init: InitSettings = RANDOM

    @property
    def dims(self) -> int:
        """Spatial axes of the network."""
        return self.network.dims

    @property
    def multiple(self) -> None:
        """The patch is what the task reads at once: only the batch can be smaller."""

    @property
    def cases(self) -> int:
        """Number of training cases."""
        return len(self.train)

    def build_network(self) -> CaseNetwork:
        """The network, drawn from torch's global generator."""
        return build_case_network(self.network)

    def set_first_weights(self, network: nn.Module) -> None:
        """Load the encoder's first weights that the recipe names."""
        assert isinstance(network, StagedNetwork)
        set_first_weights(network, self.init)

    def build_loss(self) -> nn.Module:
        """The objective's, over the training cases as often as they are drawn."""
        drawn = [case.target for name, case in self.train.items() for _ in range(self.repeats.get(name, 1))]
        return self.objective.loss(drawn)

    def build_feed(self) -> CaseFeed:
        """Images changed at random."""
        augmenter = Augmenter(self.augment, self.spacing, self.network.in_channels)
        width = len(next(iter(self.train.values())).target)
        return CaseFeed(augmenter, self.training, self.dims, width, self.mixup, self.seed)

    def build_sampler(self) -> CaseSampler:
        """Whole cases, read large enough for the augmentation."""
        t, cases = self.training, list(self.train.values())
        size = window_for(t.patch, cases, self.augment)
        return CaseSampler(cases, size, t.batch, self.seed, tuple(self.repeats.get(name, 1) for name in self.train))

    def build_log(self) -> TrainingLog:
        """Rows of the objective's score."""
        score, t = self.objective.score, self.training
        known = ["train_loss", VAL_LOSS, f"val_{score}", *(f"val_{score}_{name}" for name in self.objective.names)]
        monitor = t.monitor if self.validation else "train_loss"
        if monitor not in known:
            raise BadInput(
                f"`training.monitor: {monitor}` is not in the log", self.folder, f"Known: {', '.join(known)}"
            )
        path = self.folder / LOG
        return TrainingLog(path, self.objective.names, score=score, monitor=monitor, least_gain=t.least_gain)

    def build_validator(self, device: torch.device) -> CaseValidator | None:
        """Scores on the validation cases."""
        return CaseValidator(self, device) if self.validation else None


@dataclass(frozen=True)
class CaseValidator:
    """Answers for the validation cases, and scores them."""

    job: WholeCaseTraining
    device: torch.device

    def scores(self, network: nn.Module) -> Measured:
        """The objective's scores, and the loss over all validation cases together."""
        was_training = network.training
        network.eval()
        cases = list(self.job.validation.values())
        answers = torch.cat([self._answer(network, case) for case in cases])
        targets = torch.from_numpy(np.stack([case.target for case in cases]))
        network.train(was_training)
        return Measured(self.job.objective.scores(answers, targets), float(self.job.build_loss()(answers, targets)))

    def _answer(self, network: nn.Module, case: WholeCase) -> Tensor:
        image = torch.from_numpy(middle_of(case.source, self.job.training.patch))[None].to(self.device)
        numbers = torch.from_numpy(case.numbers)[None].to(self.device)
        return answer(network, image, numbers, self.job.dims, self.job.training)


@torch.inference_mode()
def answer(network: nn.Module, image: Tensor, numbers: Tensor, dims: int, training: TrainingSettings) -> Tensor:
    """Answers (B, L) float32 on the CPU for images (B, C, I, J, K) and covariates (B, n)."""
    seen, dtype = to_layout(image, dims, training.channels_last), autocast_dtype(training.precision, image.device)
    with torch.autocast(image.device.type, dtype=dtype, enabled=dtype is not None):
        found = network(seen, numbers) if numbers.shape[1] else network(seen)
    return torch.as_tensor(found).float().cpu()
