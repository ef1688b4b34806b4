"""Pictures of a run: what the network sees after augmentation, and what it says beside the truth.

Knows which cases to draw; what is shown of one is its task's, how it lies and is drawn is ``report.look`` and ``report.panels``. Works
in a notebook (a matplotlib figure comes back) and writes a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.report.panels import STYLES, flowing, sheet
from voxloom.report.style import write_picture
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.panels import Shown
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.tasks.predicted import On


def show_batch(run: Run, path: Path | None = None, *, step: int = 0) -> Figure:
    """One training batch after augmentation: a row per patch, a column per anatomical plane, labels as contours."""
    from voxloom.tasks.study import open_study, training_of
    from voxloom.training.data import batch_at, on_device
    from voxloom.training.fit import build_module
    from voxloom.training.pace import Pace

    need(run, "show batch")
    study = open_study(run)
    job = training_of(study, 0)
    module = build_module(job, Pace(job.training.steps))
    sampler = job.build_sampler()
    found, truth = module.augmented(on_device(batch_at(sampler, step), module.device))
    seen = found[0] if isinstance(found, tuple) else found
    shown = study.task.batch_panels(study, seen.numpy(), truth.numpy(), sampler.spacing(step))
    return draw_cases(shown, f"Training batch of step {step}, after augmentation", path)


def show_results(
    run: Run,
    path: Path | None = None,
    *,
    cases: Sequence[str] | None = None,
    most: int = 4,
    on: On = "held-out",
) -> Figure:
    """Held-out or test cases, a row each: truth solid and prediction dashed, with the Dice of every slice; or both in words."""
    from voxloom.tasks.predicted import predicted_cases

    need(run, "show results")
    held = predicted_cases(run, on)
    chosen = list(cases) if cases is not None else list(held.predictions)[:most]
    held.refuse_missing(chosen, on)
    shown = task_of(run).result_panels(held, chosen)
    scored = any(one.scene.maps for one in shown) and any(len(one.panels()) > 1 for one in shown)
    return draw_cases(shown, f"{on.capitalize()} cases" + (", their mean Dice in brackets" if scored else ""), path)


def draw_cases(shown: Sequence[Shown], title: str, path: Path | None) -> Figure:
    """A row per case, single pictures side by side; written where asked."""
    rows = [one.panels() for one in shown]
    single = rows and all(len(row) == 1 for row in rows)
    labels = next((one.scene.labels for one in shown if one.scene.labels is not None), None)
    styles = STYLES if any(len(one.scene.maps) > 1 for one in shown) else ()
    names = () if labels is None else labels.names
    laid = flowing([row[0] for row in rows]) if single else rows
    return finish(sheet(laid, names, title=title, styles=styles), path)


def finish(figure: Figure, path: Path | None) -> Figure:
    """Write the picture where asked."""
    if path is not None:
        write_picture(figure, path, dpi=120)
    return figure
