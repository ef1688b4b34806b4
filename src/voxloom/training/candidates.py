"""The networks and trainings among which a plan chooses, and how long a step of each takes on this machine.

A body, a voxel size and the voxels of the largest patch decide all else of a candidate. Does not choose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.cpu import usable_cores
from voxloom.inference.device import Card
from voxloom.networks import NetworkSettings
from voxloom.training.body_plan import WIDTHS, Body, StepTimer, network_for
from voxloom.training.card_plan import Room, fuller_batch, room_on
from voxloom.training.grid_plan import (
    LARGEST_PATCH,
    LARGEST_PATCH_2D,
    DataFacts,
    Spacing,
    Wishes,
    choose_patch,
    divisible,
    fits_alone,
    median_shape,
)
from voxloom.training.settings import USUAL_RATES, TrainingSettings, Triple

#: Processes that read patches for a card, at most.
MOST_READERS = 8


@dataclass(frozen=True)
class Candidates:
    """What all candidates share.

    Parameters
    ----------
    facts : of the training cases, in the axis order of the prepared ones.
    wishes : what the recipe fixes.
    kind : "cpu" or "cuda".
    card : None for a CPU.
    time_step : measures a step on this machine.
    """

    facts: DataFacts
    dims: int
    wishes: Wishes
    kind: str
    card: Card | None
    augment: AugmentSettings
    time_step: StepTimer

    @property
    def lower(self) -> str:
        """The precision that is timed beside "fp32"."""
        return "bf16" if self.card is None or self.card.bf16 else "fp16"

    def settings(self, body: Body, grid: Spacing, largest: int) -> tuple[NetworkSettings, TrainingSettings]:
        """Network and training of a body on a grid of this voxel size, for patches of at most ``largest`` voxels."""
        shape, wished = median_shape(self.facts, grid), self.wishes.patch
        whole = wished is None and self.card is None and self.dims == 3 and fits_alone(shape, largest)
        most = 2 * largest if whole else largest
        patch = wished or divisible(choose_patch(shape, self.dims, most), grid, self.dims)
        channels = len(self.facts.kinds) * (2 * self.wishes.neighbors + 1)
        network = network_for(channels, self.facts.outputs, patch, grid, self.dims, body)
        training = training_for(patch, self.dims, self.kind, body.precision)
        if self.card is not None and wished is None:
            voxels_of_set = self.facts.cases * float(np.prod(shape))
            training = fuller_batch(self.card, network, training, voxels_of_set, self.dims)
        return network, training.model_copy(update={"batch": 1}) if whole else training

    def seconds(self, network: NetworkSettings, training: TrainingSettings, grid: Spacing) -> float:
        """Of one step."""
        return self.time_step(network, training, self.augment, grid)

    def seconds_of(self, body: Body, grid: Spacing, largest: int) -> float:
        """Of one step of what ``settings`` gives."""
        return self.seconds(*self.settings(body, grid, largest), grid)

    def room(self, grid: Spacing, seconds: float) -> Room:
        """How large patches may be: the usual size, on a card what its memory holds where no patch is wished for."""
        if self.card is None or self.wishes.patch is not None:
            return Room((LARGEST_PATCH_2D if self.dims == 2 else LARGEST_PATCH)[self.kind], "")
        widest = Body(WIDTHS[self.kind][0], False, self.lower)
        return room_on(
            self.card,
            self.dims,
            seconds,
            lambda largest: self.settings(widest, grid, largest),
            lambda network, training: self.seconds(network, training, grid),
        )


def training_for(patch: Triple, dims: int, kind: str, precision: str) -> TrainingSettings:
    """Optimiser, batch and loss; a 2D batch holds about as many voxels as a 3D one."""
    batch = 2 if dims == 3 else max(2, min(32, LARGEST_PATCH["cpu"] // int(np.prod(patch))))
    there = kind == "cuda"
    return TrainingSettings(
        patch=patch, batch=batch * (2 if there and dims == 2 else 1), precision=precision, optimizer="muon",
        learning_rate=USUAL_RATES["muon"], workers=readers() if there else 0,
    )  # fmt: skip


def readers() -> int:
    """Processes that read patches for a card: one core is left for the steps."""
    return max(1, min(MOST_READERS, usable_cores() - 1))
