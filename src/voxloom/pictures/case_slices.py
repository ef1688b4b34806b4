"""Slices of held-out cases whose truth and answer are no label maps: at equal distances through the scan, with both in words.

Knows the panels of a task. Slices of label maps, which have a Dice each, are in ``slice_views``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.pictures.batches import finish
from voxloom.report.panels import Panel, sheet
from voxloom.run.run import Run
from voxloom.tasks.panels import Shown
from voxloom.tasks.predicted import On, predicted_cases
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Slices of a case that are shown.
COUNT = 8


def show_case_slices(
    run: Run, path: Path | None, axis: int, cases: Sequence[str] | None, most: int, on: On = "held-out"
) -> Figure:
    """A row per case: slices at equal distances across an axis, the truth and the answer above the first.

    Parameters
    ----------
    axis : of the turned grid: 0 sagittal, 1 coronal, 2 axial. A case of a single slice is cut there, whatever the axis.
    cases : their ids; None takes the first ``most``.

    Raises
    ------
    BadInput : a case has no prediction, or none has.
    """
    held = predicted_cases(run, on)
    held.refuse_missing(list(cases or ()), on)
    names = list(cases or list(held.predictions)[:most])
    rows = [_slices(one, axis) for name in names for one in task_of(run).result_panels(held, [name])]
    return finish(sheet(rows, (), title=f"Slices of the {on} cases"), path)


def _slices(shown: Shown, axis: int) -> list[Panel]:
    """Panels of one case, copied so that the volume can go."""
    scene = shown.scene
    planes = scene.look.planes(scene.image.shape)
    across = planes[0] if len(planes) == 1 else axis
    depth = scene.image.shape[across]
    count = min(COUNT, depth)
    places = [int((n + 0.5) * depth / count) for n in range(count)]
    panels = [scene.panel(across, place, shown.title if n == 0 else "") for n, place in enumerate(places)]
    return [replace(panel, shades=panel.shades.copy()) for panel in panels]
