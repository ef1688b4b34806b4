"""The automatic plan: from what the data are, what the machine is and how much time there is, to the settings of a training.

A pure function of its inputs; the time of a step on this machine comes in as a function. The anchors are nnU-Net's rules
(Isensee et al., Nature Methods 2021): median spacing with a finer thick axis, a patch of the median shape's proportions,
as many levels as the patch allows, instance norm, Dice and cross-entropy. The difference is the time budget: width, patch,
resolution and the number of steps follow from what the machine can do in it. Every choice carries its reason in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.errors import BadInput
from voxloom.networks import NetworkSettings, plan_levels
from voxloom.prepare import PrepareSettings, plane_orientation
from voxloom.prepare.slices import Plane
from voxloom.training.settings import InferenceSettings, TrainingSettings, Triple

Spacing = tuple[float, float, float]

#: Spacing ratio above which a thick axis is treated apart (nnU-Net).
ANISOTROPY = 3.0
#: Fewer slices than this leave nothing for a third axis to learn from.
FEWEST_SLICES = 8
#: Voxels of a patch: on a CPU what keeps a step near a second, on a GPU nnU-Net's usual 128 cubed.
LARGEST_PATCH = {"cpu": 48 * 64 * 48, "cuda": 128**3}
LARGEST_PATCH_2D = {"cpu": 256 * 256, "cuda": 512 * 512}
#: Widths of the first level, widest first, and the widest level.
WIDTHS = {"cpu": (32, 24, 16, 8), "cuda": (32,)}
WIDEST = {2: 512, 3: 320}
#: A network of this width takes ``STEPS_PER_WIDTH * width**2`` steps before it beats a narrower one that takes more steps in
#: the same time: weights grow with the square of the width (measured on hippocampus, see benchmarks/RESULTS.md).
STEPS_PER_WIDTH = 2
#: Steps after which more bring nothing: nnU-Net's 1000 epochs of 250.
MOST_STEPS = 250_000
#: Without a budget.
DEFAULT_BUDGET = {"cpu": 2 * 3600.0, "cuda": 12 * 3600.0}
#: Passes over all training voxels below which the plan lowers the resolution.
FEWEST_PASSES = 6.0
#: A plan that cannot take this many steps in the budget is refused.
FEWEST_STEPS = 1


@dataclass(frozen=True)
class DataFacts:
    """What the plan needs to know of a training set.

    Parameters
    ----------
    cases : number of training cases.
    shapes, spacings : (n, 3), after reorientation, order i j k; mm.
    kinds : per channel, nnU-Net's names ("CT", "zscore", ...).
    outputs : output channels: background and labels, or one per region.
    smallest : name and median mm3 of the label with the smallest volume, None when nothing is labelled.
    """

    cases: int
    shapes: tuple[Triple, ...]
    spacings: tuple[Spacing, ...]
    kinds: tuple[str, ...]
    outputs: int
    smallest: tuple[str, float] | None


@dataclass(frozen=True)
class Wishes:
    """What the recipe fixes of the shape of the network's input.

    Parameters
    ----------
    dims : 2 or 3; None lets the plan choose.
    plane : anatomical plane of the slices of a 2D network.
    neighbors : slices on either side that a 2D network sees as further channels.
    """

    dims: int | None = None
    plane: Plane | None = None
    neighbors: int = 0


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


#: Seconds of one training step with these settings on this machine.
StepTimer = Callable[[NetworkSettings, TrainingSettings, AugmentSettings, Spacing], float]


def target_spacing(facts: DataFacts) -> tuple[Spacing, str]:
    """nnU-Net's rule: the median per axis; a thick axis gets its 10th percentile so that thin cases keep their slices."""
    spacings, shapes = np.array(facts.spacings), np.array(facts.shapes)
    median = np.median(spacings, axis=0)
    thick = int(median.argmax())
    others = [axis for axis in range(3) if axis != thick]
    reason = "the median voxel size of the training cases"
    is_thick = median[thick] / median[others].max() > ANISOTROPY
    if is_thick and np.median(shapes, axis=0)[thick] * ANISOTROPY < np.median(shapes, axis=0)[others].max():
        median[thick] = max(np.percentile(spacings[:, thick], 10), median[others].max())
        reason += "; the 10th percentile along the thick axis, so that thinly sliced cases lose little"
    return (float(median[0]), float(median[1]), float(median[2])), reason


def median_shape(facts: DataFacts, spacing: Spacing) -> Triple:
    """Median size in voxels once every case has ``spacing``."""
    sizes = np.array(facts.shapes) * np.array(facts.spacings) / np.array(spacing)
    i, j, k = np.maximum(1, np.round(np.median(sizes, axis=0))).astype(int)
    return (int(i), int(j), int(k))


def choose_patch(shape: Triple, dims: int, largest: int) -> Triple:
    """The median shape, shrunk in proportion until it has at most ``largest`` voxels; multiples of 4 where that fits."""
    size = np.array(shape, dtype=float)
    if dims == 2:
        size[2] = 1
    for _ in range(100):
        if size.prod() <= largest:
            break
        longest = size.max()
        size[size > 0.8 * longest] *= 0.95
    multiple = np.where(size >= 16, 8, np.where(size >= 8, 4, 1))
    rounded = np.maximum(multiple, np.ceil(size / multiple - 0.25) * multiple)
    return (int(rounded[0]), int(rounded[1]), int(rounded[2]))


def divisible(patch: Triple, spacing: Spacing, dims: int) -> Triple:
    """The patch, enlarged until the network that fits it can halve it without remainder."""
    while True:
        strides, _ = plan_levels(patch[:dims], spacing[:dims])
        multiple = [*np.prod(np.array(strides), axis=0), 1][:3]
        i, j, k = (int(-(-p // m) * m) for p, m in zip(patch, multiple, strict=True))
        if (i, j, k) == patch:
            return patch
        patch = (i, j, k)


def features_of(width: int, levels: int, dims: int) -> tuple[int, ...]:
    """Channels per level: doubled at each, up to the widest."""
    return tuple(min(width * 2**n, WIDEST[dims]) for n in range(levels))


def choose_dims(wishes: Wishes, shape: Triple) -> tuple[int, str]:
    """What the recipe asks for; else 2D for images of one slice and for stacks too thin to convolve through, otherwise 3D."""
    if wishes.dims is not None:
        return wishes.dims, f"the recipe asks for {wishes.plane} slices" if wishes.plane else "set by the recipe"
    if shape[2] == 1:
        return 2, "the images are single slices"
    if min(shape) < FEWEST_SLICES:
        return 2, f"the median volume has only {min(shape)} slices"
    return 3, f"the median volume has {shape[0]} x {shape[1]} x {shape[2]} voxels, enough along every axis"


def orientation_for(dims: int, shape: Triple, plane: Plane | None) -> str:
    """RAS; for 2D networks on volumes the normal of the plane comes last, or the axis with the fewest slices."""
    if shape[2] == 1 or (dims == 3 and plane is None):
        return "RAS"
    if plane is not None:
        return plane_orientation("RAS", plane)
    thin = int(np.argmin(shape))
    return "".join("RAS"[axis] for axis in (*[a for a in range(3) if a != thin], thin))


def reordered(facts: DataFacts, orientation: str) -> DataFacts:
    """The same facts with shapes and spacings in the axis order of ``orientation``."""
    order = ["RAS".index(letter) for letter in orientation]
    pick = lambda triple: (triple[order[0]], triple[order[1]], triple[order[2]])
    return DataFacts(
        facts.cases,
        tuple(pick(s) for s in facts.shapes),
        tuple(pick(s) for s in facts.spacings),
        facts.kinds,
        facts.outputs,
        facts.smallest,
    )


def coarsened(facts: DataFacts, spacing: Spacing, seen: float) -> tuple[Spacing, str | None]:
    """Lower the resolution when ``seen`` voxels (all patches of all steps) are too few for the set at ``spacing``.

    Thin axes are coarsened first, and never so far that the smallest label has fewer than 64 voxels.
    """
    now = np.array(spacing)
    for _ in range(60):
        voxels = facts.cases * np.prod(median_shape(facts, tuple(now)))
        voxel_mm3 = float(np.prod(now)) * 1.1
        too_small = facts.smallest is not None and facts.smallest[1] / voxel_mm3 < 64
        if voxels * FEWEST_PASSES <= seen or too_small:
            break
        now = np.where(now <= now.min() * 1.2, now * 1.1, now)
    if np.allclose(now, spacing):
        return spacing, None
    text = "the budget allows too few looks at the full resolution, so the grid is coarser"
    return (float(now[0]), float(now[1]), float(now[2])), text


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
    facts: DataFacts, device: str, budget: float | None, time_step: StepTimer, wishes: Wishes = Wishes()
) -> Plan:
    """Choose every setting of a training.

    Parameters
    ----------
    facts : of the training cases, in RAS axis order.
    device : "cpu" or "cuda".
    budget : seconds for the training of one network; None takes a default for the device.
    time_step : measures a step on this machine.
    wishes : what the recipe fixes.

    Raises
    ------
    BadInput : not even one step fits into the budget.
    """
    seconds = budget if budget is not None else DEFAULT_BUDGET[device]
    reasons: list[tuple[str, str, str]] = []
    spacing, why = target_spacing(facts)
    shape = median_shape(facts, spacing)
    dims, why_dims = choose_dims(wishes, shape)
    orientation = orientation_for(dims, shape, wishes.plane)
    channels = len(facts.kinds) * (2 * wishes.neighbors + 1)
    if orientation != "RAS":
        facts = reordered(facts, orientation)
        spacing, why = target_spacing(facts)
        shape = median_shape(facts, spacing)
    largest = (LARGEST_PATCH_2D if dims == 2 else LARGEST_PATCH)[device]
    augment = augmentation(dims, spacing)

    def candidate(width: int, precision: str, grid: Spacing) -> tuple[NetworkSettings, TrainingSettings]:
        patch = divisible(choose_patch(median_shape(facts, grid), dims, largest), grid, dims)
        network = network_for(channels, facts.outputs, patch, grid, dims, width)
        return network, training_for(patch, dims, device, precision)

    width, precision, per_step = choose_width(candidate, device, seconds, spacing, augment, time_step, reasons)
    _, training = candidate(width, precision, spacing)
    steps = possible_steps(seconds, per_step)
    grid, coarser = coarsened(facts, spacing, float(np.prod(training.patch)) * training.batch * steps)
    network, training = candidate(width, precision, grid)
    if coarser:
        per_step = time_step(network, training, augment, grid)
        steps = possible_steps(seconds, per_step)
    training = training.model_copy(update=schedule_for(steps, device))
    reasons[:0] = [
        ("dimensions", f"{dims}D", why_dims),
        ("orientation", orientation, "closest anatomical axes; flips and permutations only, no interpolation"),
        ("spacing", " x ".join(f"{s:.3g}" for s in grid) + " mm", coarser or why),
        (
            "patch",
            " x ".join(map(str, training.patch)),
            patch_reason(median_shape(facts, grid), training.patch, device),
        ),
    ]
    reasons += [
        ("batch", str(training.batch), "small batches give more steps in the same time; instance norm does not mind"),
        ("steps", str(steps), f"{per_step:.3f} s per step measured on this machine, {seconds:.0f} s of budget"),
        ("schedule", training.schedule, "one warm-up and one decay, stretched over the steps that fit into the budget"),
        (
            "weights",
            f"moving average {training.ema:g}",
            "its validation Dice is higher and steadier than the last step's",
        ),
    ]
    prepare = PrepareSettings(orientation=orientation, spacing=grid, normalize=normalization(facts.kinds))
    inference = InferenceSettings()
    return Plan(prepare, network, training, augment, inference, grid, per_step, tuple(reasons))


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


def choose_width(
    candidate: Callable[[int, str, Spacing], tuple[NetworkSettings, TrainingSettings]],
    device: str,
    seconds: float,
    spacing: Spacing,
    augment: AugmentSettings,
    time_step: StepTimer,
    reasons: list[tuple[str, str, str]],
) -> tuple[int, str, float]:
    """The widest network that still takes enough steps, in the faster arithmetic; (width, precision, seconds per step)."""
    narrow = WIDTHS[device][-1]
    measured = {p: time_step(*candidate(narrow, p, spacing), augment, spacing) for p in ("fp32", "bf16")}
    precision = min(measured, key=lambda p: measured[p])
    reasons.append(("precision", precision, precision_reason(max(measured.values()) / measured[precision])))
    per_step, width = measured[precision], narrow
    for wider in reversed(WIDTHS[device][:-1]):
        # a step grows at least in proportion to the width: do not measure what cannot fit
        if seconds / (per_step * wider / width) < enough_steps(wider):
            break
        slower = time_step(*candidate(wider, precision, spacing), augment, spacing)
        if seconds / slower < enough_steps(wider):
            break
        width, per_step = wider, slower
    reasons.append(
        (
            "width",
            f"{width} channels at full resolution",
            f"the widest that takes enough steps in the budget ({enough_steps(width)} for this one)",
        )
    )
    return width, precision, per_step


def precision_reason(ratio: float) -> str:
    """Why this arithmetic, when the other takes ``ratio`` times as long."""
    if not np.isfinite(ratio):
        return "this machine has no fast arithmetic of the other kind"
    return f"measured on this machine: {ratio:.2f} times as fast as the other"


def enough_steps(width: int) -> int:
    """Steps that a network of this width needs to be worth it."""
    return STEPS_PER_WIDTH * width**2


def network_for(channels: int, outputs: int, patch: Triple, spacing: Spacing, dims: int, width: int) -> NetworkSettings:
    """A plain dynamic U-Net with as many levels as the patch allows and deep supervision on all but the coarsest two."""
    strides, kernels = plan_levels(patch[:dims], spacing[:dims])
    levels = len(strides)
    return NetworkSettings(
        kind="unet",
        dims=dims,
        in_channels=channels,
        out_channels=outputs,
        features=features_of(width, levels, dims),
        strides=strides,
        kernels=kernels,
        deep_supervision=max(1, min(3, levels - 1)),
    )


def training_for(patch: Triple, dims: int, device: str, precision: str) -> TrainingSettings:
    """Optimiser, batch and loss; a 2D batch holds about as many voxels as a 3D one."""
    batch = 2 if dims == 3 else max(2, min(32, LARGEST_PATCH["cpu"] // int(np.prod(patch))))
    if device == "cuda":
        return TrainingSettings(
            patch=patch, batch=batch * (1 if dims == 3 else 2), precision=precision, optimizer="sgd", learning_rate=1e-2,
            weight_decay=3e-5, schedule="poly", workers=8,
        )  # fmt: skip
    return TrainingSettings(patch=patch, batch=batch, precision=precision)


def schedule_for(steps: int, device: str) -> dict[str, object]:
    """Number of steps, and what follows from it: how often to validate and how long the average of the weights remembers."""
    return {
        "steps": steps,
        "validations": max(2, min(50, steps // 150)),
        "ema": min(0.999, max(0.9, 1 - 7.0 / max(steps, 10))),
    }


def patch_reason(shape: Triple, patch: Triple, device: str) -> str:
    """Why the patch has its size."""
    if all(p >= s * 0.75 for p, s in zip(patch, shape, strict=True)):
        return "about the whole median volume, so the network sees the full context"
    where = "a graphics card" if device == "cuda" else "a processor"
    return f"the proportions of the median volume ({' x '.join(map(str, shape))}), as large as {where} handles in a good time"
