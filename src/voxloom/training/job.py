"""What a training is made of, as its task describes it: the contract between a task and the loop.

Knows names of parts only. Each task has its own job; ``voxloom.training.fit`` builds and runs any of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from voxloom.training.log import TrainingLog
from voxloom.training.settings import TrainingSettings


class StepReader(Protocol):
    """What draws and reads the batch of any step: images (B, C, I, J, K), and what is learned from them.

    ``spacing`` tells the grids (B, 3) of these patches, in mm along i, j, k.
    """

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[Any]]: ...
    def spacing(self, step: int) -> NDArray[np.float32]: ...


#: (step, image, target, mm of each patch's grid); without the last, the grid is that of the augmenter.
Batch = tuple[int, Tensor, Tensor, *tuple[Tensor, ...]]


class Sampler(StepReader, Protocol):
    """Draws and reads the batch of any step."""

    @property
    def per_pass(self) -> int:
        """Patches (or volumes) of one pass over the training cases."""
        ...


class Feed(Protocol):
    """From what was read to what network and loss see: moved, changed and laid out on the device."""

    def __call__(self, batch: Batch, seed: int, progress: float) -> tuple[Tensor | tuple[Tensor, ...], Tensor]:
        """Image (or all that the network takes) and target of a step.

        Parameters
        ----------
        seed : of everything random in this step.
        progress : of the whole training, 0 to 1.
        """
        ...


@dataclass(frozen=True)
class Measured:
    """What one validation found.

    Parameters
    ----------
    scores : one per name of the log, larger is better.
    loss : on the validation cases; not a number where it was not computed.
    further : other columns of the log, by name.
    """

    scores: Sequence[float]
    loss: float = math.nan
    further: Mapping[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """What a training is validated with."""

    def scores(self, network: nn.Module) -> Measured: ...


class Job(Protocol):
    """Everything that decides the weights of one fold."""

    @property
    def folder(self) -> Path:
        """Of the fold; made when absent."""
        ...

    @property
    def training(self) -> TrainingSettings: ...

    @property
    def description(self) -> dict[str, Any]:
        """Written into ``model.json`` beside the weights."""
        ...

    @property
    def seed(self) -> int: ...

    @property
    def pace(self) -> tuple[tuple[int, int], ...]:
        """Corrections of the number of steps to replay, from an earlier run under a budget."""
        ...

    @property
    def left_out(self) -> tuple[int, ...]:
        """Numbers of the validations that the earlier run left out to keep its budget."""
        ...

    @property
    def dims(self) -> int:
        """Spatial axes of the network: 2 or 3."""
        ...

    @property
    def multiple(self) -> tuple[int, ...] | None:
        """Per axis, what the voxels of a smaller patch must be multiples of; None where the patch is the case."""
        ...

    @property
    def cases(self) -> int:
        """Number of training cases."""
        ...

    def build_network(self) -> nn.Module:
        """The network, drawn from torch's global generator."""
        ...

    def set_first_weights(self, network: nn.Module) -> None:
        """Load the first weights that the recipe names; nothing where it names none."""
        ...

    def build_loss(self) -> nn.Module:
        """Of the network's training output and the target that the feed gives."""
        ...

    def build_feed(self) -> Feed: ...

    def build_sampler(self) -> Sampler: ...

    def build_log(self) -> TrainingLog: ...

    def build_validator(self, device: Any) -> Scorer | None:
        """None without a validation case."""
        ...
