"""A landmark plan fitted into a time budget: arithmetic and number of steps by what a step takes on this machine.

Knows how to make a training of noise with a mark of every landmark; nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxloom.formats import Header
from voxloom.inference.precision import lower_precision
from voxloom.landmarks import Layout
from voxloom.points import Point
from voxloom.tasks.landmarks.plan import LandmarkPlan, plan_landmarks
from voxloom.tasks.landmarks.sampling import LandmarkCase, Triple
from voxloom.tasks.landmarks.training import LandmarkTraining
from voxloom.training.planner import possible_steps
from voxloom.training.timing import seconds_per_step


@dataclass(frozen=True)
class NoiseImage:
    """A prepared image (C, I, J, K) of random voxels."""

    values: NDArray[np.float32]

    @property
    def shape(self) -> Triple:
        """Voxels."""
        i, j, k = self.values.shape[1:]
        return (i, j, k)

    def image(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.float32]:
        """Float32 (C, I, J, K)."""
        return self.values if slices is None else self.values[(slice(None), *slices)]


def noise_training(plan: LandmarkPlan, layout: Layout, channels: int) -> LandmarkTraining:
    """A training on noise with the settings of a plan, as large as its patch."""
    patch = plan.training.patch
    image = np.random.default_rng(0).standard_normal((channels, *patch), dtype=np.float32)
    affine = np.diag([*plan.spacing, 1.0])
    middle = affine @ [*(n // 2 for n in patch), 1.0]
    points = tuple(Point(key.name, key.side, (middle[0], middle[1], middle[2])) for key in layout.keys)
    return LandmarkTraining(
        folder=Path(),
        train={"noise": LandmarkCase(NoiseImage(image), affine, points)},
        validation={},
        layout=layout,
        landmarks=plan.landmarks,
        network=plan.network,
        channels=channels,
        training=plan.training.model_copy(update={"phases": ()}),
        augment=plan.augment,
        inference=plan.inference,
        spacing=plan.spacing,
        seed=0,
        description={},
    )


def fitted_plan(plan: LandmarkPlan, headers: list[Header], layout: Layout, device: str, seconds: float) -> LandmarkPlan:
    """The plan with the arithmetic that is faster (where the recipe leaves it open) and as many steps as fit.

    Raises
    ------
    BadInput : not even one step fits.
    """
    open_choice = "precision" not in plan.given
    timed: dict[str, float] = {}
    for precision in ("fp32", lower_precision(device)) if open_choice else (plan.training.precision,):
        candidate = plan_landmarks(plan.asked.changed({"training.precision": precision}), headers, layout.count)
        job = noise_training(candidate, layout, headers[0].channels)
        timed[precision] = seconds_per_step(job, device=device)
    fastest = min(timed, key=lambda name: timed[name])
    steps = possible_steps(seconds, timed[fastest])
    chosen = plan_landmarks(
        plan.asked.changed({"training.precision": fastest, "training.steps": steps, "training.epochs": None}),
        headers,
        layout.count,
    )
    why = f"{timed[fastest]:.3f} s per step measured on this machine, {seconds:.0f} s of budget"
    faster = "set by the recipe" if not open_choice else "the faster arithmetic of one step timed in both"
    return chosen.because(("precision", fastest, faster), ("steps", str(steps), why))
