"""Figures of distributions and of agreement: violins with points, Bland-Altman, scatter with marginals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from voxloom.evaluation.statistics import BlandAltman, bland_altman, p_text, spearman
from voxloom.evaluation.statistics.arrays import groups_repeat, means_of_groups
from voxloom.report.style import ALERT, GRID, INK, MARK, SOFT, color_of, new_figure, shown_range, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: A density needs this many different values; fewer are drawn as points alone.
_DENSITY = 5


def violin_with_points(
    values: Mapping[str, Sequence[float]], ylabel: str, *, limits: tuple[float, float] | None = None
) -> Figure:
    """A violin with quartiles and every case as a point, per group; infinite values are counted at the upper edge.

    Parameters
    ----------
    limits : least and largest value that the score can have; the axis shows the part in which values lie.
    """
    figure = new_figure(max(3.6, 1.1 * len(values) + 1.3), 3.6)
    axes = figure.subplots()
    highest = max((v for numbers in values.values() for v in numbers if math.isfinite(v)), default=1.0)
    for n, numbers in enumerate(values.values()):
        array = np.asarray(numbers, dtype=float)
        _violin(axes, n, array[np.isfinite(array)], limits)
        lost = int((~np.isfinite(array)).sum())
        if lost:
            axes.annotate(f"{lost} infinite", (n, highest), ha="center", va="bottom", fontsize=8, color=ALERT)
    axes.set_xticks(range(len(values)), list(values), rotation=30 if len(values) > 6 else 0)
    axes.set(ylabel=ylabel, xlim=(-0.6, max(len(values), 1) - 0.4))
    if limits is not None:
        axes.set_ylim(*shown_range((v for numbers in values.values() for v in numbers), limits))
    tidy(axes)
    return figure


def _violin(axes: Axes, place: int, numbers: np.ndarray, limits: tuple[float, float] | None) -> None:
    if not len(numbers):
        return
    color = color_of(place)
    if len(np.unique(numbers)) >= _DENSITY:
        bodies: Any = axes.violinplot(numbers, positions=[place], widths=0.8, showextrema=False)["bodies"]
        body = bodies[0]
        body.set(facecolor=color, edgecolor=color, alpha=0.25)
        if limits is not None:  # the density knows no limits, the score does
            corners = body.get_paths()[0].vertices
            corners[:, 1] = np.clip(corners[:, 1], *limits)
    low, middle, high = np.percentile(numbers, [25, 50, 75])
    axes.vlines(place, low, high, color=INK, linewidth=4, alpha=0.6)
    jitter = place + np.random.default_rng(0).uniform(-0.12, 0.12, len(numbers))
    axes.scatter(jitter, numbers, s=12, color=color, alpha=0.8, edgecolors=INK, linewidths=0.25, zorder=3)
    axes.scatter([place], [middle], s=34, color="white", edgecolors=INK, zorder=4)


def bland_altman_plot(
    first: ArrayLike,
    second: ArrayLike,
    names: tuple[str, str],
    unit: str,
    *,
    groups: Sequence[str] | None = None,
    colored: bool = False,
) -> tuple[Figure, BlandAltman]:
    """Differences over means, with bias, limits of agreement and the intervals of all three as bands.

    Parameters
    ----------
    first, second : finite measurements of the same cases, at least 3.
    names : of the two methods; the difference is first minus second.
    groups : patient per case, for the limits and the intervals; every point is a case.
    colored : whether the points of a group share a color of their own.
    """
    found = bland_altman(first, second, groups=groups)
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    figure = new_figure(4.6, 3.6)
    axes = figure.subplots()
    for line, color, style in ((found.bias, MARK, "-"), (found.lower, ALERT, "--"), (found.upper, ALERT, "--")):
        if not math.isnan(line.low):
            axes.axhspan(line.low, line.high, color=color, alpha=0.12, linewidth=0)
        axes.axhline(line.value, color=color, linestyle=style, linewidth=1.3)
        axes.annotate(
            f"{line.value:.3g}",
            (1.01, line.value),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=color,
        )
    axes.axhline(0, color=SOFT, linewidth=0.7)
    numbers = {group: n for n, group in enumerate(dict.fromkeys(groups or ()))}
    colors = [color_of(numbers[group]) for group in groups] if colored and groups is not None else INK
    axes.scatter((a + b) / 2, a - b, s=18, color=colors, alpha=0.75, edgecolors="none", zorder=3)
    axes.set(xlabel=f"mean of {names[0]} and {names[1]} ({unit})", ylabel=f"{names[0]} − {names[1]} ({unit})")
    tidy(axes)
    axes.grid(visible=False)
    return figure, found


def scatter_with_marginals(
    first: ArrayLike, second: ArrayLike, xlabel: str, ylabel: str, *, groups: Sequence[str] | None = None
) -> Figure:
    """Points with a histogram on each side, and Spearman's rho with its interval.

    Parameters
    ----------
    groups : patient per case. Where patients repeat every point is a patient, the mean of the cases, as rho takes them.
    """
    x, y = (means_of_groups(np.asarray(v, dtype=float), groups) for v in (first, second))
    figure = new_figure(4.4, 4.2)
    grid = figure.add_gridspec(2, 2, width_ratios=(4, 1), height_ratios=(1, 4))
    axes = figure.add_subplot(grid[1, 0])
    top, right = figure.add_subplot(grid[0, 0], sharex=axes), figure.add_subplot(grid[1, 1], sharey=axes)
    axes.scatter(x, y, s=18, color=MARK, alpha=0.75, edgecolors="none")
    axes.set(xlabel=xlabel, ylabel=ylabel)
    bins = max(5, min(20, round(math.sqrt(len(x)) * 1.5)))
    top.hist(x, bins=bins, color=MARK, alpha=0.5)
    right.hist(y, bins=bins, color=MARK, alpha=0.5, orientation="horizontal")
    tidy(axes)
    axes.grid(color=GRID, linewidth=0.8)
    for side in (top, right):
        side.set_axis_off()
    if len(x) >= 3:
        found = spearman(x, y)
        who = " patients" if groups_repeat(groups) else ""
        text = (
            "ρ undefined" if math.isnan(found.p) else f"ρ = {found.rho.text()}, {p_text(found.p)}, n = {found.n}{who}"
        )
        top.set_title(text, fontsize=9, loc="left", color=SOFT)
    return figure
