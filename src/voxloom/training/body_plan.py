"""The network of a plan: arithmetic, width, and whether it computes on voxels or on cells of several voxels.

Decides by timed steps; the timer comes in as a function. Knows no data set.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxloom.augment import AugmentSettings
from voxloom.networks import NetworkSettings, plan_levels
from voxloom.training.grid_plan import Spacing
from voxloom.training.settings import TrainingSettings, Triple

#: Widths of a network's full-resolution level, widest first, and the widest level.
WIDTHS = {"cpu": (32, 24, 16, 8), "cuda": (32, 24, 16)}
WIDEST = {2: 512, 3: 320}
#: A network of this width takes ``STEPS_PER_WIDTH * width**2`` steps before it beats a narrower one that takes more steps in
#: the same time: weights grow with the square of the width (measured on hippocampus, see benchmarks/RESULTS.md).
STEPS_PER_WIDTH = 2
#: A 3D network on a CPU computes on cells until it could take this many times enough steps on voxels: the
#: full-resolution level is more than half of the work, and cells were 1.3 Dice points better in the same time.
PATIENCE_FOR_VOXELS = 4
#: A network has at least this many levels.
FEWEST_LEVELS = 3


@dataclass(frozen=True)
class Body:
    """What is chosen of a network.

    Parameters
    ----------
    width : channels of the full-resolution level, or what they would be where ``cells`` leaves that level out.
    cells : leave the full-resolution level out; the first convolution strides and every cell predicts its voxels.
    precision : arithmetic.
    """

    width: int
    cells: bool
    precision: str


#: Seconds of one training step with these settings on this machine.
StepTimer = Callable[[NetworkSettings, TrainingSettings, AugmentSettings, Spacing], float]


@dataclass(frozen=True)
class Choice:
    """A body, seconds of one of its steps, and the reasons."""

    body: Body
    per_step: float
    reasons: tuple[tuple[str, str, str], ...]


def choose_body(
    network: Callable[[Body], NetworkSettings],
    device: str,
    dims: int,
    seconds: float,
    time_step: Callable[[Body], float],
    lower: str = "bf16",
) -> Choice:
    """The widest network that still takes enough steps, in the faster arithmetic.

    Parameters
    ----------
    network : that a body becomes on the grid that is planned.
    seconds : of training.
    time_step : seconds of a step of a body on that grid.
    lower : precision that is timed beside "fp32".
    """
    widths = WIDTHS[device]
    able = device == "cpu" and dims == 3
    start = Body(widths[-1], able, "fp32")
    measured = {p: time_step(Body(start.width, start.cells, p)) for p in ("fp32", lower)}
    precision = min(measured, key=lambda p: measured[p])
    body, per_step = Body(start.width, start.cells, precision), measured[precision]
    for width in reversed(widths[:-1]):
        # a step grows at least in proportion to the width: do not measure what cannot fit
        if seconds / (per_step * width / body.width) < enough_steps(width):
            break
        wider = Body(width, body.cells, precision)
        slower = time_step(wider)
        if seconds / slower < enough_steps(width):
            break
        body, per_step = wider, slower
    if body.cells and body.width == widths[0] and seconds / per_step >= PATIENCE_FOR_VOXELS * enough_steps(body.width):
        whole = Body(body.width, False, precision)
        slower = time_step(whole)
        if seconds / slower >= PATIENCE_FOR_VOXELS * enough_steps(body.width):
            body, per_step = whole, slower
    ratio = max(measured.values()) / measured[precision]
    return Choice(body, per_step, reasons_of(body, network(body), ratio))


def reasons_of(body: Body, network: NetworkSettings, ratio: float) -> tuple[tuple[str, str, str], ...]:
    """Every choice, its value and why; ``ratio`` is the time of the other arithmetic over that of this one."""
    channels, cell = network.features[0], network.strides[0]
    enough = f"the widest that takes enough steps in the budget ({enough_steps(body.width)} for this one)"
    rows = [
        ("precision", body.precision, precision_reason(ratio)),
        ("width", f"{channels} channels at the first level", enough),
    ]
    if max(cell) > 1:
        why = "the level of single voxels would be more than half of the work; every cell predicts all its voxels"
        rows.append(("cells", " x ".join(map(str, cell)) + " voxels", why))
    return tuple(rows)


def precision_reason(ratio: float) -> str:
    """Why this arithmetic, when the other takes ``ratio`` times as long."""
    if not np.isfinite(ratio):
        return "this machine has no fast arithmetic of the other kind"
    return f"measured on this machine: {ratio:.2f} times as fast as the other"


def enough_steps(width: int) -> int:
    """Steps that a network of this width needs to be worth it."""
    return STEPS_PER_WIDTH * width**2


def features_of(width: int, levels: int, dims: int) -> tuple[int, ...]:
    """Channels per level: doubled at each, up to the widest."""
    return tuple(min(width * 2**n, WIDEST[dims]) for n in range(levels))


def network_for(channels: int, outputs: int, patch: Triple, spacing: Spacing, dims: int, body: Body) -> NetworkSettings:
    """A plain dynamic U-Net with as many levels as the patch allows and deep supervision on all but the coarsest two.

    Cells take the place of the level of single voxels where enough levels are left.
    """
    strides, kernels = plan_levels(patch[:dims], spacing[:dims], fixed=True)
    features = features_of(body.width, len(strides), dims)
    if body.cells and len(strides) > FEWEST_LEVELS:
        strides, kernels, features = strides[1:], kernels[1:], features[1:]
    return NetworkSettings(
        kind="unet",
        dims=2 if dims == 2 else 3,
        in_channels=channels,
        out_channels=outputs,
        features=features,
        strides=strides,
        kernels=kernels,
        deep_supervision=max(1, min(3, len(strides) - 1)),
    )
