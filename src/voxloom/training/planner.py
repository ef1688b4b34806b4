"""The automatic plan: from what the data are, what the machine is and how much time there is, to the settings of a training.

A pure function of its inputs; the time of a step on this machine comes in as a function. The anchors are nnU-Net's rules
(Isensee et al., Nature Methods 2021): median spacing with a finer thick axis, a patch of the median shape's proportions,
as many levels as the patch allows, instance norm, Dice and cross-entropy. The difference is the time budget: width, patch,
resolution and the number of steps follow from what the machine can do in it. Every choice carries its reason in words.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.cpu import usable_cores
from voxloom.errors import BadInput
from voxloom.inference.device import GIB, Card, kind_of
from voxloom.networks import NetworkSettings
from voxloom.prepare import PrepareSettings
from voxloom.training.body_plan import WIDTHS, Body, StepTimer, choose_body, network_for
from voxloom.training.card_plan import MUON_UP_TO, Room, described, fuller_batch, room_on, tuned
from voxloom.training.grid_plan import (
    ANISOTROPY,
    LARGEST_PATCH,
    LARGEST_PATCH_2D,
    DataFacts,
    Spacing,
    Wishes,
    choose_frame,
    choose_patch,
    coarsened,
    divisible,
    fits_alone,
    median_shape,
    patch_reason,
)
from voxloom.training.settings import USUAL_RATES, InferenceSettings, TrainingSettings, Triple

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
#: Processes that read patches for a card, at most.
MOST_READERS = 8
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
    card = None if kind == "cpu" else card or USUAL_CARD
    seconds = budget if budget is not None else DEFAULT_BUDGET[kind]
    frame = choose_frame(facts, wishes)
    facts, dims = frame.facts, frame.dims
    channels = len(facts.kinds) * (2 * wishes.neighbors + 1)
    augment = augmentation(dims, frame.spacing)
    lower = "bf16" if card is None or card.bf16 else "fp16"

    def candidate(body: Body, grid: Spacing, largest: int) -> tuple[NetworkSettings, TrainingSettings]:
        shape = median_shape(facts, grid)
        whole = wishes.patch is None and card is None and dims == 3 and fits_alone(shape, largest)
        patch = wishes.patch or divisible(choose_patch(shape, dims, 2 * largest if whole else largest), grid, dims)
        network = network_for(channels, facts.outputs, patch, grid, dims, body)
        training = training_for(patch, dims, kind, body.precision)
        if card is not None and wishes.patch is None:
            training = fuller_batch(card, network, training, facts.cases * float(np.prod(shape)), dims)
        return network, training.model_copy(update={"batch": 1}) if whole else training

    room = Room((LARGEST_PATCH_2D if dims == 2 else LARGEST_PATCH)[kind], "")
    if card is not None and wishes.patch is None:
        widest = Body(WIDTHS[kind][0], False, lower)
        timed = lambda network, training: time_step(network, training, augment, frame.spacing)
        room = room_on(card, dims, seconds, lambda largest: candidate(widest, frame.spacing, largest), timed)

    def seconds_of(body: Body, grid: Spacing = frame.spacing) -> float:
        return time_step(*candidate(body, grid, room.voxels), augment, grid)

    planned = lambda body: candidate(body, frame.spacing, room.voxels)[0]
    choice = choose_body(planned, kind, dims, seconds, seconds_of, lower)
    _, training = candidate(choice.body, frame.spacing, room.voxels)
    steps, per_step = possible_steps(seconds, choice.per_step), choice.per_step
    grid, coarser = coarsened(facts, frame.spacing, float(np.prod(training.patch)) * training.batch * steps)
    if coarser:
        per_step = seconds_of(choice.body, grid)
        steps = possible_steps(seconds, per_step)
    network, training = candidate(choice.body, grid, room.voxels)
    rows: tuple[tuple[str, str, str], ...] = ()
    if card is not None:
        if steps > MUON_UP_TO:
            training = training.model_copy(update=NNUNETS)
            per_step = time_step(network, training, augment, grid)
        again = lambda changed: time_step(network, changed, augment, grid)
        training, per_step, rows = tuned(training, per_step, seconds, again)
        steps = possible_steps(seconds, per_step)
        rows = (described(card, network, training), *rows)
    training = training.model_copy(update=schedule_for(steps))
    prepare = PrepareSettings(orientation=frame.orientation, spacing=grid, normalize=normalization(facts.kinds))
    lying = "one for all, as images do not say how they lie" if facts.unit == "pixel" else "closest anatomical axes"
    length = " pixels" if facts.unit == "pixel" else " mm"
    patch_why = patch_reason(median_shape(facts, grid), training.patch, room.why)
    reasons = (
        ("dimensions", f"{dims}D", frame.why_dims),
        ("orientation", frame.orientation, f"{lying}; flips and permutations only, no interpolation"),
        ("spacing", " x ".join(f"{s:.3g}" for s in grid) + length, coarser or frame.why_spacing),
        ("patch", " x ".join(map(str, training.patch)), patch_why),
        *rows,
        *choice.reasons,
        *training_reasons(training, per_step, seconds),
    )
    return Plan(prepare, network, training, augment, InferenceSettings(), grid, per_step, reasons)


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


def schedule_for(steps: int) -> dict[str, object]:
    """Number of steps, and what follows from it: how often to validate and how long the average of the weights remembers."""
    return {
        "steps": steps,
        "validations": max(2, min(50, steps // 150)),
        "ema": min(0.999, max(0.9, 1 - 7.0 / max(steps, 10))),
    }
