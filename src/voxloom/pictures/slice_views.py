"""Slices of held-out cases: Dice per slice along the volume, and the best and worst slices.

Knows predictions on disk and anatomical planes; a slice that is empty in truth and prediction has Dice 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Labels
from voxloom.errors import BadInput
from voxloom.pictures.batches import finish
from voxloom.pictures.case_slices import show_case_slices
from voxloom.report.figures import color_of, new_figure, tidy
from voxloom.report.panels import STYLES, Panel, Scene, sheet
from voxloom.report.style import GRID
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.predicted import On, predicted_cases
from voxloom.tasks.task import task_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plane = Literal["sagittal", "coronal", "axial"]
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
#: Of the bars of slices that are empty in truth and prediction, whose Dice is 1.
PALE = 0.2
#: Where the first slice and the last one of a plane lie.
SWEEPS = ("left to right", "back to front", "feet to head")


@dataclass(frozen=True)
class SlicedCase:
    """A held-out case, cut across one axis.

    Parameters
    ----------
    name : of the case.
    axis : of the turned grid, across the slices.
    scene : scan, truth and prediction, turned.
    """

    name: str
    axis: int
    scene: Scene

    @property
    def labels(self) -> Labels:
        """Of truth and prediction."""
        assert self.scene.labels is not None
        return self.scene.labels

    @property
    def count(self) -> int:
        """Number of slices."""
        return int(self.scene.image.shape[self.axis])

    def dice(self, label: str | None = None) -> NDArray[np.float64]:
        """Dice of every slice, of one label or of all taken together; 1 where truth and prediction are empty."""
        rest = tuple(a for a in range(3) if a != self.axis)
        true, found = (self._mask(one.outer, label) for one in self.scene.maps)
        both = 2.0 * (true & found).sum(axis=rest)
        size = true.sum(axis=rest) + found.sum(axis=rest)
        return np.where(size > 0, both / np.maximum(size, 1), 1.0)

    def area(self, label: str | None = None) -> NDArray[np.float64]:
        """True area of every slice in mm2."""
        rest = tuple(a for a in range(3) if a != self.axis)
        pixel = self.scene.look.spacing[rest[0]] * self.scene.look.spacing[rest[1]]
        size: NDArray[np.float64] = self._mask(self.scene.maps[0].outer, label).sum(axis=rest) * pixel
        return size

    def filled(self, label: str | None = None) -> NDArray[np.intp]:
        """Slices with the label, in truth or prediction."""
        rest = tuple(a for a in range(3) if a != self.axis)
        true, found = (self._mask(one.outer, label) for one in self.scene.maps)
        return np.flatnonzero((true | found).any(axis=rest))

    def _mask(self, outer: NDArray[Any], label: str | None) -> NDArray[np.bool_]:
        labels = self.labels
        return np.isin(outer, labels.atoms if label is None else labels.foreground[labels.names.index(label)].values)


def sliced_cases(
    run: Run, plane: Plane, cases: Sequence[str] | None = None, on: On = "held-out"
) -> Iterator[SlicedCase]:
    """The held-out cases of a run, or those of its last test set, one at a time.

    A case of a single slice is cut there, whatever the plane.

    Raises
    ------
    BadInput : a case has no prediction, or none has.
    """
    need(run, "show slices")
    held = predicted_cases(run, on)
    held.refuse_missing(list(cases or ()), on)
    for name in cases or held.predictions:
        (shown,) = task_of(run).result_panels(held, [name])
        scene = shown.scene
        planes = scene.look.planes(scene.image.shape)
        yield SlicedCase(name, planes[0] if len(planes) == 1 else PLANES.index(plane), scene)


def chosen_labels(labels: Labels, name: str | None) -> list[str]:
    """One label, or all of them (BadInput when there is no such label)."""
    if name is not None and name not in labels.names:
        raise BadInput(f"no label is called {name!r}", None, f"There are {', '.join(labels.names)}")
    return list(labels.names) if name is None else [name]


def show_slices(
    run: Run,
    path: Path | None = None,
    *,
    plane: Plane = "axial",
    label: str | None = None,
    case: str | None = None,
    most: int = 4,
    on: On = "held-out",
) -> Figure:
    """Dice of every slice as a bar over the outline of the structure: its true area along the volume.

    Cases of a single slice each get one bar per case. Of runs whose answers are no label maps, the slices themselves are drawn.

    Raises
    ------
    BadInput : no such case or label, or a label of a run that has none.
    """
    need(run, "show slices")
    if not run.data["dataset"].get("labels"):
        if label is not None:
            raise BadInput(
                f"the run has no label maps, so there is no label {label!r}", run.folder, "Leave --label out"
            )
        return show_case_slices(run, path, PLANES.index(plane), [case] if case else None, most, on)
    names = chosen_labels(labels_of(run), label)
    wanted = sliced_cases(run, plane, [case] if case else None, on)
    first = next(wanted)
    if first.count == 1:
        return finish(_bars_of_cases([first, *wanted], names), path)
    cut = [first, *islice(wanted, most - 1)]
    figure = new_figure(9, 2.2 * len(cut) * len(names) + 0.6)
    axes = figure.subplots(len(cut) * len(names), 1, squeeze=False)[:, 0]
    places = iter(axes)
    for one in cut:
        for name in names:
            _draw_bars(next(places), one, name, color_of(one.labels.names.index(name)))
    known = all(one.scene.look.known for one in cut)
    axes[-1].set_xlabel(f"{PLANES[first.axis]} slice, from {SWEEPS[first.axis]}" if known else "slice")
    return finish(figure, path)


def _bars_of_cases(cases: Sequence[SlicedCase], names: Sequence[str]) -> Figure:
    """Dice of cases of a single slice each: a row per label, a bar per case."""
    figure = new_figure(max(4.0, 0.32 * len(cases) + 1.2), 2.2 * len(names) + 1.2)
    axes = figure.subplots(len(names), 1, squeeze=False, sharex=True)[:, 0]
    for panel, name in zip(axes, names, strict=True):
        color = color_of(cases[0].labels.names.index(name))
        dice = [float(case.dice(name)[0]) for case in cases]
        empty = [len(case.filled(name)) == 0 for case in cases]
        bars = panel.bar(range(len(cases)), dice, width=0.8, color=color)
        for bar, pale in zip(bars, empty, strict=True):
            bar.set_alpha(PALE if pale else 0.85)
        panel.set(ylim=(0, 1.02), ylabel="Dice")
        panel.set_title(name + ("; pale: no such label, and none predicted" if any(empty) else ""), fontsize=9)
        tidy(panel)
    axes[-1].set_xticks(range(len(cases)), [case.name for case in cases], rotation=60, ha="right", fontsize=7)
    return figure


def _draw_bars(panel: Axes, case: SlicedCase, label: str, color: str) -> None:
    dice, area = case.dice(label), case.area(label)
    at = np.arange(1, len(dice) + 1)
    if area.max() > 0:
        panel.fill_between(at, area / area.max(), step="mid", color=GRID, label="true area (share of the largest)")
    bars = panel.bar(at, dice, width=0.8, color=color, alpha=0.85, label="Dice (pale: empty in both)")
    used = set(case.filled(label).tolist())
    for place, bar in enumerate(bars):
        bar.set_alpha(0.85 if place in used else PALE)
    panel.set(ylim=(0, 1.02), xlim=(0.4, len(dice) + 0.6), ylabel="Dice", title=f"{case.name}, {label}")
    panel.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2)
    panel.title.set_fontsize(9)
    tidy(panel)


def show_gallery(
    run: Run,
    path: Path | None = None,
    *,
    plane: Plane = "axial",
    label: str | None = None,
    count: int = 3,
    on: On = "held-out",
) -> Figure:
    """The best slices above the worst, of all held-out or test cases, truth solid and prediction dashed; empty slices are left out."""
    need(run, "show gallery")
    labels = labels_of(run)
    chosen_labels(labels, label)
    shown = [s for case in sliced_cases(run, plane, on=on) for s in _slices_of(case, label, count)]
    if not shown:
        raise BadInput("no slice has the label, in truth or prediction", run.folder, "Choose another label")
    order = sorted(shown, key=lambda s: s.dice)
    worst, best = order[:count], order[::-1][:count]
    rows = [[one.panel for one in chosen] for chosen in (best, worst)]
    title = f"Best (above) and worst slices of the {on} cases"
    return finish(sheet(rows, labels.names, title=title, styles=STYLES), path)


@dataclass(frozen=True)
class OneSlice:
    """A slice for the gallery, and its Dice."""

    dice: float
    panel: Panel


def _slices_of(case: SlicedCase, label: str | None, count: int) -> list[OneSlice]:
    """The best and worst slices of one case, copied so that the volume can go."""
    dice, used = case.dice(label), case.filled(label)
    order = used[np.argsort(dice[used], kind="stable")]
    chosen = dict.fromkeys([*order[:count].tolist(), *order[::-1][:count].tolist()])
    only = None if label is None else [case.labels.names.index(label)]
    return [OneSlice(float(dice[at]), _titled(case, at, only, float(dice[at]))) for at in chosen]


def _titled(case: SlicedCase, at: int, only: Sequence[int] | None, dice: float) -> Panel:
    """The slice with the Dice by which it was chosen."""
    panel = case.scene.panel(case.axis, at, only=only)
    place = case.scene.look.name(case.axis, at, case.count)
    title = f"{case.name}\n{place + ', ' if place else ''}Dice {dice:.2f}"
    return replace(panel, shades=panel.shades.copy(), title=title)


def labels_of(run: Run) -> Labels:
    """The labels a run was trained on."""
    about = run.data["dataset"]
    return Labels.from_nnunet(about["labels"], about["regions_order"])
