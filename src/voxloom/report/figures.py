"""Figures of reports: curves, boxes with strips. Consistent, colour-blind safe, self-contained.

Knows arrays and matplotlib; does not know runs or data sets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxloom.report.style import ALERT, INK, MARK, color_of, data_uri, new_figure, shown_range, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "box_and_strip",
    "color_of",
    "curves",
    "data_uri",
    "loss_curves",
    "new_figure",
    "tidy",
]


def curves(columns: Mapping[str, NDArray[np.float64]], title: str = "") -> Figure:
    """Training and validation loss in one plot, validation Dice per label, and the Hausdorff distances where they were measured.

    Parameters
    ----------
    columns : of a ``log.csv``.
    """
    measured = [name for name in ("val_hd", "val_hd95") if name in columns]
    figure = new_figure(13.5 if measured else 9, 3.2)
    left, right, *rest = figure.subplots(1, 3 if measured else 2)
    loss_curves(left, columns)
    left.set(title=title)
    for panel in rest:
        for n, name in enumerate(measured):
            finite = np.where(np.isfinite(columns[name]), columns[name], np.nan)
            panel.plot(columns["step"], finite, color=color_of(n), marker=".", label=name.removeprefix("val_").upper())
        panel.set(xlabel="step", ylabel="validation distance (mm)", ylim=(0, None))
        panel.legend(fontsize=8, frameon=False)
        tidy(panel)
    names = [name for name in columns if name.startswith("val_dice_")]
    for n, name in enumerate(names):
        right.plot(columns["step"], columns[name], color=color_of(n), marker=".", label=name.removeprefix("val_dice_"))
    right.set(xlabel="step", ylabel="validation Dice", ylim=(0, 1))
    if 0 < len(names) <= 12:
        right.legend(fontsize=8, frameon=False)
    for axes in (left, right):
        tidy(axes)
    return figure


def loss_curves(panel: Axes, columns: Mapping[str, NDArray[np.float64]]) -> None:
    """Training loss, and validation loss where it was measured, over the steps of a ``log.csv``, in one panel."""
    panel.plot(columns["step"], columns["train_loss"], color=MARK, marker=".", label="training")
    validation = columns.get("val_loss")
    if validation is not None and np.isfinite(validation).any():
        panel.plot(columns["step"], validation, color=ALERT, marker=".", label="validation")
        panel.legend(fontsize=8, frameon=False)
    panel.set(xlabel="step", ylabel="loss")


def box_and_strip(
    values: Mapping[str, Sequence[float]], ylabel: str, *, limits: tuple[float, float] | None = None
) -> Figure:
    """A box and every case as a point, per label; infinite values are drawn as triangles at the upper edge.

    Parameters
    ----------
    limits : least and largest value that the score can have; the axis shows the part in which values lie.
    """
    figure = new_figure(max(4.0, 1.2 * len(values) + 1.5), 3.6)
    axes = figure.subplots()
    finite = {name: [v for v in numbers if np.isfinite(v)] for name, numbers in values.items()}
    highest = max((max(v) for v in finite.values() if v), default=1.0)
    random = np.random.default_rng(0)
    for n, (name, numbers) in enumerate(values.items()):
        if finite[name]:
            axes.boxplot(finite[name], positions=[n], widths=0.5, showfliers=False, medianprops={"color": INK})
        jitter = n + random.uniform(-0.13, 0.13, len(numbers))
        inside = np.isfinite(numbers)
        axes.scatter(jitter[inside], np.asarray(numbers)[inside], s=14, alpha=0.7, color=color_of(n), edgecolors="none")
        lost = int((~inside).sum())
        if lost:
            axes.scatter(jitter[~inside], np.full(lost, highest * 1.05), s=26, marker="^", color=color_of(n))
            axes.annotate(f"{lost} infinite", (n, highest * 1.05), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(values)), list(values), rotation=30 if len(values) > 6 else 0)
    axes.set_ylabel(ylabel)
    if limits is not None:
        axes.set_ylim(*shown_range((v for numbers in values.values() for v in numbers), limits))
    tidy(axes)
    return figure
