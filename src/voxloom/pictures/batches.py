"""Pictures of a run: what the network sees after augmentation, and what it says beside the truth.

Knows which volumes to draw; knows no statistics. Works in a notebook (a matplotlib figure comes back) and writes a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxloom.files import atomic_path
from voxloom.report.figures import draw_contours
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.panels import Panel
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.tasks.predicted import On


def show_batch(run: Run, path: Path | None = None, *, step: int = 0) -> Figure:
    """One training batch after augmentation: a row per image, a column per anatomical plane, its target drawn or told."""
    from voxloom.tasks.study import open_study, training_of
    from voxloom.training.data import batch_at
    from voxloom.training.fit import build_module
    from voxloom.training.pace import Pace

    need(run, "show batch")
    study = open_study(run)
    job = training_of(study, 0)
    module = build_module(job, Pace(job.training.steps))
    found, truth = module.augmented(batch_at(job.build_sampler(), step))
    seen = found[0] if isinstance(found, tuple) else found
    shown = study.task.batch_panels(study, seen.numpy(), truth.numpy())
    return draw_panels(shown, f"Training batch of step {step}, after augmentation", path)


def show_results(
    run: Run,
    path: Path | None = None,
    *,
    cases: Sequence[str] | None = None,
    most: int = 4,
    on: On = "held-out",
) -> Figure:
    """Held-out or test cases: a row per case, truth as solid and prediction as dashed contours, or both in words."""
    from voxloom.tasks.predicted import predicted_cases

    need(run, "show results")
    held = predicted_cases(run, on)
    chosen = list(cases) if cases is not None else list(held.predictions)[:most]
    held.refuse_missing(chosen, on)
    shown = task_of(run).result_panels(held, chosen)
    drawn = any(panel.masks for panel in shown)
    return draw_panels(shown, "Truth (solid) and prediction (dashed)" if drawn else "Truth and prediction", path)


def draw_panels(shown: Sequence[Panel], title: str, path: Path | None) -> Figure:
    """A row per panel, written where asked."""
    figure, axes = panels(len(shown), title)
    for row, panel in zip(axes, shown, strict=True):
        draw_row(row, panel.image, panel.masks, panel.spacing, title=panel.title)
    return finish(figure, path)


def panels(rows: int, title: str) -> tuple[Figure, NDArray[np.object_]]:
    """A figure with three panels a row."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3 * rows + 0.6), layout="constrained")
    figure.suptitle(title)
    return figure, figure.subplots(rows, 3, squeeze=False)


def draw_row(
    axes: NDArray[np.object_],
    image: NDArray[np.floating],
    masks: Sequence[tuple[NDArray[np.integer], str]],
    spacing: tuple[float, float, float],
    title: str = "",
) -> None:
    """Slices through the middle of what is labelled (else of the volume), one per axis that has more than one voxel."""
    labelled = np.argwhere(masks[0][0] > 0) if masks else np.empty((0, 3))
    middle = labelled.mean(axis=0).round().astype(int) if len(labelled) else np.array(image.shape) // 2
    limits = np.percentile(image, [1, 99])
    for axis, panel in enumerate(axes):
        panel.set_axis_off()
        rest = [n for n in range(3) if n != axis]
        if image.shape[rest[0]] == 1 or image.shape[rest[1]] == 1:
            continue
        index = int(middle[axis])
        aspect = spacing[rest[1]] / spacing[rest[0]]
        panel.imshow(
            np.take(image, index, axis).T, cmap="gray", vmin=limits[0], vmax=limits[1], origin="lower", aspect=aspect
        )
        panel.set_title(f"{title}  {'ijk'[axis]} = {index}".strip(), fontsize=8)
        for mask, style in masks:
            draw_contours(panel, np.take(mask, index, axis).T, style)


def finish(figure: Figure, path: Path | None) -> Figure:
    """Write the picture where asked."""
    if path is not None:
        with atomic_path(path) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure
