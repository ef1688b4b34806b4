"""What a graphics card changes in a plan: the patch and batch that its memory holds, and what is timed on it.

Memory is reckoned, not tried: a plan for a card can be made (and tested) where there is none. Knows cards, networks and a timer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from voxloom.inference.device import GIB, Card
from voxloom.networks import NetworkSettings
from voxloom.training.compiled import NotCompiled
from voxloom.training.settings import TrainingSettings

Row = tuple[str, str, str]
#: Sides of the cubes whose voxels a patch may have at most, by dimensions; the first is nnU-Net's usual, the others are tried for
#: larger cards, largest first, and then for smaller ones.
USUAL_SIDE = {3: 128, 2: 512}
LARGER_SIDES = {3: (256, 224, 192, 160), 2: (1024, 768)}
SMALLER_SIDES = {3: (112, 96, 80, 64, 48, 32), 2: (384, 256, 128)}
#: A patch beyond the usual one must leave this many steps in the budget: 40 of nnU-Net's epochs.
STEPS_FOR_LARGER = 10_000
#: Share of the card's memory that a plan may fill: the rest is lost between blocks.
SHARE = 0.9
#: Bytes beside the network: CUDA's context and cuDNN's work space.
CONTEXT = 1 * GIB
#: Maps as large as its level that the backward pass keeps, and bytes of a weight: itself, its gradient, two moments, the average.
KEPT_ON_WAY_DOWN, KEPT_ON_WAY_UP, PASSING, PER_WEIGHT = 4, 6, 3, 20
#: Float32 copies of the outputs in the loss.
OUTPUT_COPIES = 4
#: More patches to a step, up to this many, while a step has fewer voxels than two usual patches and 5 % of the training set (nnU-Net).
LARGEST_BATCH, SHARE_OF_SET = 16, 0.05
#: Up to so many steps orthogonal ones learn more; with more of them nnU-Net's own optimizer has its time.
MUON_UP_TO = 25_000
#: Compiling takes about this many seconds, which it must win back twice.
COMPILING = 90.0


def bytes_of(network: NetworkSettings, training: TrainingSettings) -> int:
    """Memory of a training step on a card, in bytes, by the sizes of the maps and weights of a U-Net."""
    width = 4 if training.precision == "fp32" else 2
    voxels, kept, weights, below = float(np.prod(training.patch)), 0.0, 0.0, network.in_channels
    largest = 0.0
    for level, (features, stride, kernel) in enumerate(
        zip(network.features, network.strides, network.kernels, strict=True)
    ):
        voxels /= float(np.prod(stride))
        last = level == len(network.features) - 1
        kept += voxels * features * (KEPT_ON_WAY_DOWN + (0 if last else KEPT_ON_WAY_UP))
        largest = max(largest, voxels * features)
        taps = float(np.prod(kernel))
        weights += taps * (below * features + features**2 + (0 if last else 3 * features**2)) + 8 * below * features
        below = features
    maps = (kept + PASSING * largest) * width * training.batch
    outputs = float(np.prod(training.patch)) * training.batch * network.out_channels * 4 * OUTPUT_COPIES
    return int(maps + outputs + weights * PER_WEIGHT + CONTEXT)


def fits(card: Card, network: NetworkSettings, training: TrainingSettings) -> bool:
    """Whether a step fits into the memory of a card."""
    return bytes_of(network, training) <= SHARE * card.memory


@dataclass(frozen=True)
class Room:
    """The most voxels of a patch, and why."""

    voxels: int
    why: str


def room_on(
    card: Card,
    dims: int,
    seconds: float,
    candidate: Callable[[int], tuple[NetworkSettings, TrainingSettings]],
    time_step: Callable[[NetworkSettings, TrainingSettings], float],
) -> Room:
    """The largest patch that the memory holds, beyond the usual size only where enough steps stay.

    Parameters
    ----------
    seconds : of training.
    candidate : network and training for patches of at most so many voxels.
    time_step : seconds of a step.
    """
    usual = USUAL_SIDE[dims] ** dims
    base = candidate(usual)
    if fits(card, *base):
        for side in LARGER_SIDES[dims]:
            larger = candidate(side**dims)
            if larger[1].patch == base[1].patch:
                break  # the usual patch has the whole volume
            if fits(card, *larger) and seconds / time_step(*larger) >= STEPS_FOR_LARGER:
                return Room(
                    side**dims, f"the largest that {card.gib:.0f} GiB hold with {STEPS_FOR_LARGER} steps in the budget"
                )
        return Room(
            usual,
            f"nnU-Net's usual size; {card.gib:.0f} GiB hold it, and larger ones would not fit or take too few steps",
        )
    for side in SMALLER_SIDES[dims]:
        if fits(card, *candidate(side**dims)):
            return Room(side**dims, f"the largest that {card.gib:.0f} GiB hold")
    return Room(SMALLER_SIDES[dims][-1] ** dims, f"the smallest that is planned; {card.gib:.0f} GiB may not hold it")


def fuller_batch(
    card: Card, network: NetworkSettings, training: TrainingSettings, voxels_of_set: float, dims: int
) -> TrainingSettings:
    """More patches to a step where they are small: a card is idle on few voxels."""
    most = min(2 * USUAL_SIDE[dims] ** dims, SHARE_OF_SET * voxels_of_set)
    while True:
        more = training.model_copy(update={"batch": training.batch * 2})
        if more.batch > LARGEST_BATCH or more.batch * float(np.prod(training.patch)) > most:
            return training
        if not fits(card, network, more):
            return training
        training = more


def tuned(
    training: TrainingSettings, per_step: float, seconds: float, time_step: Callable[[TrainingSettings], float]
) -> tuple[TrainingSettings, float, tuple[Row, ...]]:
    """Memory layout and compilation, each timed on the card; with their seconds per step and reasons."""
    other = training.model_copy(update={"channels_last": not training.channels_last})
    slower = time_step(other)
    names = {True: "channels last", False: "channels first"}
    if slower < per_step:
        training, per_step, slower = other, slower, per_step
    ratio = slower / per_step
    rows: list[Row] = [
        ("memory layout", names[training.channels_last], f"timed: {ratio:.2f} times as fast as the other")
    ]
    if seconds < 4 * COMPILING:
        why = "the budget is too short to win back the time that it takes"
        return training, per_step, (*rows, ("compile", "no", why))
    compiled, fastest, why = _compiled(training, per_step, seconds, time_step)
    return compiled, fastest, (*rows, ("compile", compiled.compile or "no", why))


def _compiled(
    training: TrainingSettings, per_step: float, seconds: float, time_step: Callable[[TrainingSettings], float]
) -> tuple[TrainingSettings, float, str]:
    """The fastest of plain, compiled and with CUDA graphs, its seconds per step, and what was timed or why it could not be."""
    best, fastest, reasons = training, per_step, list[str]()
    for how in ("kernels", "graphs"):
        candidate = training.model_copy(update={"compile": how})
        try:
            found = time_step(candidate)
        except NotCompiled as error:
            reasons.append(f"{how}: {error}")
            continue
        reasons.append(f"{how}: {found:.3f} s a step against {per_step:.3f} s")
        if found < fastest and seconds * (1 - found / per_step) > 2 * COMPILING:
            best, fastest = candidate, found
    return best, fastest, "; ".join(reasons)


def described(card: Card, network: NetworkSettings, training: TrainingSettings) -> Row:
    """The card, and what of its memory a step is reckoned to take."""
    needed = bytes_of(network, training) / GIB
    arithmetic = "bfloat16" if card.bf16 else "float16 (it has no bfloat16)"
    why = f"a step is reckoned to take {needed:.1f} GiB of it; lower precision is {arithmetic}"
    return ("card", f"{card.name}, {math.floor(card.gib + 0.5)} GiB", why)


def smaller(training: TrainingSettings, multiple: Sequence[int] | None) -> TrainingSettings | None:
    """A training that needs less memory: half the batch, or of a batch of one half the patch along its longest axis.

    Parameters
    ----------
    multiple : sizes that the network can halve are multiples of these, per axis; None where the patch must stay.

    Returns
    -------
    None where neither can be halved.
    """
    if training.batch > 1:
        return training.model_copy(update={"batch": training.batch // 2})
    if multiple is None:
        return None
    patch, steps = list(training.patch), (*multiple, 1)[:3]
    axis = max(range(3), key=lambda n: patch[n] / steps[n])
    half = patch[axis] // 2 // steps[axis] * steps[axis]
    if half < 2 * steps[axis]:  # norms need more than one voxel at the coarsest level
        return None
    patch[axis] = half
    return training.model_copy(update={"patch": (patch[0], patch[1], patch[2])})
