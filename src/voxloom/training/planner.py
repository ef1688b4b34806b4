"""The automatic plan: from what the data are, what the machine is and how much time there is, to the settings of a training.

A pure function of its inputs; the time of a step on this machine comes in as a function. The anchors are nnU-Net's rules
(Isensee et al., Nature Methods 2021): median spacing with a finer thick axis, a patch of the median shape's proportions,
as many levels as the patch allows, instance norm, Dice and cross-entropy. The difference is the time budget: width, patch,
resolution and the number of steps follow from what the machine can do in it. Every choice carries its reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.errors import BadInput
from voxloom.inference.device import GIB, Card, kind_of
from voxloom.networks import NetworkSettings
from voxloom.prepare import PrepareSettings
from voxloom.training.body_plan import Choice, StepTimer, choose_body
from voxloom.training.candidates import Candidates
from voxloom.training.card_plan import MUON_UP_TO, Room, described, tuned
from voxloom.training.grid_plan import (
    ANISOTROPY,
    DataFacts,
    Frame,
    Spacing,
    Wishes,
    choose_frame,
    coarsened,
    median_shape,
    patch_reason,
)
from voxloom.training.settings import InferenceSettings, PostprocessStep, TrainingSettings

__all__ = ["DataFacts", "Plan", "StepTimer", "Wishes", "build_plan"]

#: Steps after which more bring nothing: nnU-Net's 1000 epochs of 250.
MOST_STEPS = 250_000
#: Without a budget.
DEFAULT_BUDGET = {"cpu": 2 * 3600.0, "cuda": 12 * 3600.0}
#: Why the planner's optimizers are what they are.
OPTIMIZER_REASONS = {
    "muon": "orthogonal steps learn more per step than AdamW's: 0.3 to 1 Dice points in the same time on hippocampus",
    "sgd": f"nnU-Net's, for more than {MUON_UP_TO} steps",
}
#: Why a batch has its size.
BATCH_REASON = "small batches give more steps in the same time; instance norm does not mind"
WHOLE_REASON = "one whole volume costs no more than two patches, and shows where a structure lies"
#: What a long training on a card changes to.
NNUNETS = {"optimizer": "sgd", "learning_rate": 1e-2, "weight_decay": 3e-5, "schedule": "poly"}
#: The card that is reckoned with where none is told.
USUAL_CARD = Card("a graphics card", 11 * GIB)
#: A plan that cannot take this many steps in the budget is refused.
FEWEST_STEPS = 1


@dataclass(frozen=True)
class Plan:
    """The settings that ``auto`` chose, and why."""

    prepare: PrepareSettings
    network: NetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    inference: InferenceSettings
    spacing: Spacing
    seconds_per_step: float
    reasons: tuple[tuple[str, str, str], ...]


def augmentation(dims: int, spacing: Spacing) -> AugmentSettings:
    """Moderate changes that hold for MR and CT. Slices are turned in their plane; thick slices only a little out of it."""
    if dims == 2:
        return AugmentSettings(rotation=(0.0, 0.0, 20.0))
    thick = int(np.argmax(spacing))
    if spacing[thick] <= ANISOTROPY * min(spacing):
        return AugmentSettings(rotation=(20.0, 20.0, 20.0))
    i, j, k = (20.0 if axis == thick else 5.0 for axis in range(3))
    return AugmentSettings(rotation=(i, j, k))


def normalization(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """One normalization per channel, from nnU-Net's channel kinds."""
    known = {"CT": "ct", "noNorm": "none", "rescale_to_0_1": "minmax", "rgb_to_0_1": "minmax"}
    return tuple(known.get(kind, "zscore") for kind in kinds)


def inference(row: tuple[str, ...]) -> InferenceSettings:
    """How the network is applied; structures in a row are named as a row."""
    steps = (PostprocessStep(step="name_in_order", labels=row, when="unless_worse"),) if row else ()
    return InferenceSettings(postprocess=steps)


def row_reasons(row: tuple[str, ...]) -> tuple[tuple[str, str, str], ...]:
    """Why structures are named as a row."""
    why = "alike, and one below the other in the cases: every structure gets one name, and no name is left out or given twice"
    return (("names in a row", " > ".join(row), why),) if row else ()


def build_plan(
    facts: DataFacts,
    device: str,
    budget: float | None,
    time_step: StepTimer,
    wishes: Wishes = Wishes(),
    card: Card | None = None,
) -> Plan:
    """Choose every setting of a training.

    Parameters
    ----------
    facts : of the training cases, in RAS axis order.
    device : "cpu", or the name of another, which is planned like a graphics card.
    budget : seconds for the training of one network; None takes a default for the device.
    time_step : measures a step on this machine.
    wishes : what the recipe fixes.
    card : the graphics card; left out, one of usual size.

    Raises
    ------
    BadInput : not even one step fits into the budget.
    """
    kind = kind_of(device)
    seconds = budget if budget is not None else DEFAULT_BUDGET[kind]
    frame = choose_frame(facts, wishes)
    augment = augmentation(frame.dims, frame.spacing)
    there = None if kind == "cpu" else card or USUAL_CARD
    among = Candidates(frame.facts, frame.dims, wishes, kind, there, augment, time_step)
    room = among.room(frame.spacing, seconds)
    choice = choose_body(
        lambda body: among.settings(body, frame.spacing, room.voxels)[0],
        kind,
        frame.dims,
        seconds,
        lambda body: among.seconds_of(body, frame.spacing, room.voxels),
        among.lower,
    )
    grid, coarser, per_step = affordable_grid(among, choice, frame.spacing, room, seconds)
    learner, rows = fitted_to_card(
        Learner(*among.settings(choice.body, grid, room.voxels), grid, per_step), among, seconds
    )
    training = learner.training.model_copy(update=schedule_for(possible_steps(seconds, learner.per_step)))
    prepare = PrepareSettings(orientation=frame.orientation, spacing=grid, normalize=normalization(facts.kinds))
    patch_why = patch_reason(median_shape(frame.facts, grid), training.patch, room.why)
    reasons = (
        *frame_reasons(frame, grid, coarser),
        ("patch", " x ".join(map(str, training.patch)), patch_why),
        *rows,
        *choice.reasons,
        *training_reasons(training, learner.per_step, seconds),
        *row_reasons(facts.row),
    )
    return Plan(prepare, learner.network, training, augment, inference(facts.row), grid, learner.per_step, reasons)


@dataclass(frozen=True)
class Learner:
    """Network and training on a grid of a voxel size, and seconds of one of their steps."""

    network: NetworkSettings
    training: TrainingSettings
    grid: Spacing
    per_step: float


def affordable_grid(
    among: Candidates, choice: Choice, spacing: Spacing, room: Room, seconds: float
) -> tuple[Spacing, str | None, float]:
    """A voxel size at which the steps see the set often enough; why it is coarser, where it is; and seconds of a step."""
    _, training = among.settings(choice.body, spacing, room.voxels)
    steps = possible_steps(seconds, choice.per_step)
    grid, coarser = coarsened(among.facts, spacing, float(np.prod(training.patch)) * training.batch * steps)
    return grid, coarser, among.seconds_of(choice.body, grid, room.voxels) if coarser else choice.per_step


def fitted_to_card(
    learner: Learner, among: Candidates, seconds: float
) -> tuple[Learner, tuple[tuple[str, str, str], ...]]:
    """With what a graphics card does best in the time, and why; on a CPU as it is."""
    if among.card is None:
        return learner, ()
    if possible_steps(seconds, learner.per_step) > MUON_UP_TO:
        training = learner.training.model_copy(update=NNUNETS)
        per_step = among.seconds(learner.network, training, learner.grid)
        learner = replace(learner, training=training, per_step=per_step)
    again = lambda changed: among.seconds(learner.network, changed, learner.grid)
    training, per_step, rows = tuned(learner.training, learner.per_step, seconds, again)
    told = described(among.card, learner.network, training)
    return replace(learner, training=training, per_step=per_step), (told, *rows)


def frame_reasons(frame: Frame, grid: Spacing, coarser: str | None) -> list[tuple[str, str, str]]:
    """Dimensions, axis order and voxel size, and why."""
    pixels = frame.facts.unit == "pixel"
    lying = "one for all, as images do not say how they lie" if pixels else "closest anatomical axes"
    length = " pixels" if pixels else " mm"
    return [
        ("dimensions", f"{frame.dims}D", frame.why_dims),
        ("orientation", frame.orientation, f"{lying}; flips and permutations only, no interpolation"),
        ("spacing", " x ".join(f"{s:.3g}" for s in grid) + length, coarser or frame.why_spacing),
    ]


def training_reasons(training: TrainingSettings, per_step: float, seconds: float) -> list[tuple[str, str, str]]:
    """Batch, steps, schedule and averaging, and why."""
    timed = f"{per_step:.3f} s per step measured on this machine, {seconds:.0f} s of budget"
    average = f"moving average {training.ema:g}"
    return [
        ("batch", str(training.batch), BATCH_REASON if training.batch > 1 else WHOLE_REASON),
        ("steps", str(training.steps), timed),
        ("optimizer", f"{training.optimizer}, rate {training.learning_rate:g}", OPTIMIZER_REASONS[training.optimizer]),
        ("schedule", training.schedule, "one warm-up and one decay, stretched over the steps that fit into the budget"),
        ("weights", average, "its validation Dice is higher and steadier than the last step's"),
    ]


def possible_steps(seconds: float, per_step: float) -> int:
    """Steps that fit, with 6 % kept back for validation."""
    steps = int(seconds * 0.94 / per_step)
    if steps < FEWEST_STEPS:
        raise BadInput(
            f"the budget of {seconds:.0f} s is too short: one training step takes {per_step:.1f} s on this machine",
            None,
            f"Give at least --budget {max(1, int(np.ceil(per_step * 20 / 0.94 / 60)))}m",
        )
    return min(steps, MOST_STEPS)


def schedule_for(steps: int) -> dict[str, object]:
    """Number of steps, and what follows from it: how often to validate and how long the average of the weights remembers."""
    return {
        "steps": steps,
        "validations": max(2, min(50, steps // 150)),
        "ema": min(0.999, max(0.9, 1 - 7.0 / max(steps, 10))),
    }
