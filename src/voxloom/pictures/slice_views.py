"""Slices of held-out cases: Dice per slice along the volume, and the best and worst slices.

Knows predictions on disk and anatomical planes; a slice that is empty in truth and prediction has Dice 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Labels
from voxloom.dataset.inspect import ras_order
from voxloom.errors import BadInput
from voxloom.formats import read_label
from voxloom.pictures.batches import finish
from voxloom.report.figures import color_of, draw_contours, new_figure, tidy
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.predicted import On, predicted_cases
from voxloom.volume import orientation_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Plane = Literal["sagittal", "coronal", "axial"]
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")


@dataclass(frozen=True)
class SlicedCase:
    """A held-out case, cut along one axis of its grid.

    Parameters
    ----------
    name : of the case.
    axis : across the slices.
    image : (I, J, K) float32.
    truth, prediction : inner labels (I, J, K).
    spacing : mm, order i j k.
    """

    name: str
    axis: int
    image: NDArray[np.float32]
    truth: NDArray[Any]
    prediction: NDArray[Any]
    spacing: tuple[float, float, float]

    def dice(self, members: Sequence[int]) -> NDArray[np.float64]:
        """Dice of every slice, the inner labels ``members`` taken together."""
        rest = tuple(a for a in range(3) if a != self.axis)
        true, found = np.isin(self.truth, members), np.isin(self.prediction, members)
        both = 2.0 * (true & found).sum(axis=rest)
        size = true.sum(axis=rest) + found.sum(axis=rest)
        return np.where(size > 0, both / np.maximum(size, 1), 1.0)

    def area(self, members: Sequence[int]) -> NDArray[np.float64]:
        """True area of every slice in mm2."""
        rest = tuple(a for a in range(3) if a != self.axis)
        size: NDArray[np.float64] = np.isin(self.truth, members).sum(axis=rest) * (
            self.spacing[rest[0]] * self.spacing[rest[1]]
        )
        return size


def sliced_cases(
    run: Run, plane: Plane, cases: Sequence[str] | None = None, on: On = "held-out"
) -> Iterator[SlicedCase]:
    """The held-out cases of a run, or those of its last test set, one at a time.

    Raises
    ------
    BadInput : a case has no prediction, or none has.
    """
    need(run, "show slices")
    held = predicted_cases(run, on)
    held.refuse_missing(list(cases or ()), on)
    assert held.labels is not None
    for name in cases or held.predictions:
        image, truth = held.cases[name].read_image(), held.cases[name].read_label()
        assert truth is not None
        yield SlicedCase(
            name,
            ras_order(orientation_of(image.affine))[PLANES.index(plane)],
            image.data[0].astype(np.float32),
            held.labels.encode(truth.data[0]),
            held.labels.encode(read_label(held.predictions[name]).data[0]),
            image.spacing,
        )


def inner_members(labels: Labels, name: str | None) -> dict[str, list[int]]:
    """Inner labels of one label, or of all of them by name.

    Raises
    ------
    BadInput : there is no such label.
    """
    every = {label: np.flatnonzero(row).tolist() for label, row in zip(labels.names, labels.membership(), strict=True)}
    if name is not None and name not in every:
        raise BadInput(f"no label is called {name!r}", None, f"There are {', '.join(every)}")
    return every if name is None else {name: every[name]}


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
    """Dice of every slice as a bar over the outline of the structure: its true area along the volume."""
    members = inner_members(labels_of(run), label)
    cut = [one for one, _ in zip(sliced_cases(run, plane, [case] if case else None, on), range(most), strict=False)]
    figure = new_figure(9, 2.2 * len(cut) * len(members) + 0.6)
    axes = figure.subplots(len(cut) * len(members), 1, squeeze=False)[:, 0]
    places = iter(axes)
    for one in cut:
        for n, (name, inner) in enumerate(members.items()):
            _draw_bars(next(places), one, inner, f"{one.name}, {name}", color_of(n))
    axes[-1].set_xlabel(f"{plane} slice")
    return finish(figure, path)


def _draw_bars(panel: Axes, case: SlicedCase, inner: list[int], title: str, color: str) -> None:
    dice, area = case.dice(inner), case.area(inner)
    at = np.arange(len(dice))
    if area.max() > 0:
        panel.fill_between(at, area / area.max(), step="mid", color="#dde2e8", label="true area (share of the largest)")
    panel.bar(at, dice, width=0.8, color=color, alpha=0.85, label="Dice")
    panel.set(ylim=(0, 1.02), xlim=(-0.6, len(dice) - 0.4), ylabel="Dice", title=title)
    panel.legend(fontsize=7, frameon=False, loc="lower right")
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
    members = sorted({inner for row in inner_members(labels_of(run), label).values() for inner in row})
    shown = [s for case in sliced_cases(run, plane, on=on) for s in _slices_of(case, members, count)]
    if not shown:
        raise BadInput("no slice has the label, in truth or prediction", run.folder, "Choose another label")
    order = sorted(shown, key=lambda s: s.dice)
    worst, best = order[:count], order[::-1][:count]
    figure = new_figure(3 * count, 6.6)
    panels = figure.subplots(2, count, squeeze=False)
    for panel in panels.ravel():
        panel.set_axis_off()
    for row, chosen in zip(panels, (best, worst), strict=True):
        for panel, one in zip(row, chosen, strict=False):
            one.draw(panel)
    figure.suptitle(f"Best (above) and worst {plane} slices of the {on} cases")
    return finish(figure, path)


@dataclass(frozen=True)
class OneSlice:
    """A slice for the gallery: planes (u, v), millimetres per voxel, and its Dice."""

    title: str
    dice: float
    image: NDArray[np.float32]
    truth: NDArray[Any]
    prediction: NDArray[Any]
    aspect: float

    def draw(self, panel: Axes) -> None:
        """Picture with contours."""
        low, high = np.percentile(self.image, [1, 99.5])
        panel.imshow(
            self.image.T, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), origin="lower", aspect=self.aspect
        )
        for mask, style in ((self.truth, "-"), (self.prediction, "--")):
            draw_contours(panel, mask.T, style)
        panel.set_title(f"{self.title}  Dice {self.dice:.2f}", fontsize=8)


def _slices_of(case: SlicedCase, members: Sequence[int], count: int) -> list[OneSlice]:
    """The best and worst slices of one case, copied so that the volume can go."""
    rest = [a for a in range(3) if a != case.axis]
    dice = case.dice(members)
    filled = np.isin(case.truth, members) | np.isin(case.prediction, members)
    used = np.flatnonzero(filled.any(axis=tuple(rest)))
    order = used[np.argsort(dice[used], kind="stable")]
    chosen = dict.fromkeys([*order[:count].tolist(), *order[::-1][:count].tolist()])

    def plane(array: NDArray[Any], at: int) -> NDArray[Any]:
        return np.take(array, at, case.axis).copy()

    aspect = case.spacing[rest[1]] / case.spacing[rest[0]]
    return [
        OneSlice(
            f"{case.name} {at}", float(dice[at]), plane(case.image, at),
            np.where(np.isin(plane(case.truth, at), members), plane(case.truth, at), 0),
            np.where(np.isin(plane(case.prediction, at), members), plane(case.prediction, at), 0), aspect,
        )
        for at in chosen
    ]  # fmt: skip


def labels_of(run: Run) -> Labels:
    """The labels a run was trained on."""
    need(run, "show slices")
    about = run.data["dataset"]
    return Labels.from_nnunet(about["labels"], about["regions_order"])
