"""Figures of performance: bars per slice, confusion, risk against coverage, robustness, differences between runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from voxloom.evaluation.selective import RiskCoverage
from voxloom.evaluation.statistics import Estimate
from voxloom.report.style import ALERT, INK, MARK, SOFT, new_figure, shown_range, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def slice_bars(dice: ArrayLike, truth: ArrayLike, axis_name: str = "slice") -> Figure:
    """Dice of every slice as a bar; slices without truth are pale.

    Parameters
    ----------
    dice : per slice, as ``dice_per_slice`` gives it.
    truth : whether the slice holds truth.
    """
    heights, true = np.asarray(dice, dtype=float), np.asarray(truth, dtype=bool)
    figure = new_figure(6.4, 2.6)
    axes = figure.subplots()
    places = np.arange(len(heights))
    axes.bar(places[true], heights[true], width=0.9, color=MARK, label="with truth")
    axes.bar(places[~true], heights[~true], width=0.9, color=MARK, alpha=0.25, label="without truth")
    mean = float(heights.mean()) if len(heights) else 0.0
    axes.axhline(mean, color=ALERT, linestyle="--", linewidth=1.2, label=f"mean {mean:.3f}")
    axes.set(xlabel=axis_name, ylabel="Dice", ylim=(0, 1.02))
    axes.legend(fontsize=8, frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    tidy(axes)
    return figure


def confusion_plot(counts: ArrayLike, names: Sequence[str]) -> Figure:
    """Counts of true (rows) against predicted (columns) classes; shade and percentage are the share of the row."""
    table = np.asarray(counts, dtype=float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    size = max(3.0, 0.75 * len(names) + 1.6)
    figure = new_figure(size, size * 0.92)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(len(names)):
        for column in range(len(names)):
            share = shares[row, column]
            color = "white" if share > 0.55 else INK
            text = f"{table[row, column]:.0f}\n{100 * share:.0f} %"
            axes.text(column, row, text, ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(len(names)), list(names), rotation=30 if len(names) > 4 else 0)
    axes.set_yticks(range(len(names)), list(names))
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def risk_coverage_plot(curve: RiskCoverage, risk: str = "mean 1 − Dice") -> Figure:
    """Mean error of the surest share of the cases."""
    figure = new_figure(4.4, 3.2)
    axes = figure.subplots()
    axes.plot(100 * curve.coverage, curve.risk, color=MARK, marker=".", markersize=4)
    axes.axhline(float(curve.risk[-1]), color=SOFT, linestyle="--", linewidth=1, label="all cases")
    axes.set(xlabel="cases kept, the surest first (%)", ylabel=risk, xlim=(0, 101), ylim=(0, None))
    axes.set_title(f"area {curve.area:.3f}, at best {curve.best:.3f}", fontsize=9, loc="left", color=SOFT)
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure


def robustness_plot(
    name: str,
    levels: Sequence[str],
    means: Sequence[Estimate],
    limit: float,
    first_bad: int | None,
    measured: str = "Dice",
) -> Figure:
    """A mean figure with its interval over the levels of one stress; the first level beyond the limit is marked.

    Parameters
    ----------
    levels : for the axis; the first is the scan as it is.
    limit : the value at which the mean has got too bad.
    first_bad : index of the first level beyond ``limit``.
    measured : name of the figure; shares are drawn from 0 to 1.
    """
    figure = new_figure(3.9, 2.9)
    axes = figure.subplots()
    places, values = np.arange(len(levels)), np.array([e.value for e in means])
    ends = [np.array([e.low for e in means]), np.array([e.high for e in means])]
    axes.fill_between(places, ends[0], ends[1], color=MARK, alpha=0.18, linewidth=0)
    axes.plot(places, values, color=MARK, marker="o", markersize=4)
    axes.axhline(limit, color=ALERT, linestyle="--", linewidth=1)
    if first_bad is not None:
        axes.scatter(
            [first_bad], [values[first_bad]], s=90, facecolors="none", edgecolors=ALERT, linewidths=1.8, zorder=3
        )
    _levels_axes(axes, name, levels, [*values, *ends[0], *ends[1], limit], measured)
    return figure


def contrasts_plot(
    name: str, levels: Sequence[str], means: Sequence[Estimate], limit: float, measured: str = "Dice"
) -> Figure:
    """A mean figure with its interval of changes without an order: points that no line joins; those beyond the limit are marked.

    Parameters
    ----------
    levels : names; the first is the scan as it is.
    limit : the value at which the mean has got too bad.
    measured : name of the figure; shares are drawn within 0 and 1.
    """
    figure = new_figure(3.9, 2.9)
    axes = figure.subplots()
    good = means[0].value > limit
    for place, estimate in enumerate(means):
        beyond = estimate.value <= limit if good else estimate.value >= limit
        axes.vlines(place, estimate.low, estimate.high, color=MARK, linewidth=2)
        axes.scatter([place], [estimate.value], s=30, color=ALERT if beyond else MARK, zorder=3)
    axes.axhline(limit, color=ALERT, linestyle="--", linewidth=1)
    axes.set_xlim(-0.5, len(levels) - 0.5)
    _levels_axes(axes, name, levels, [v for e in means for v in (e.low, e.value, e.high)] + [limit], measured)
    return figure


def _levels_axes(axes: Axes, name: str, levels: Sequence[str], values: Sequence[float], measured: str) -> None:
    long = max(map(len, levels)) > 6
    axes.set_xticks(range(len(levels)), list(levels), rotation=30 if long else 0, ha="right" if long else "center")
    most = max((v for v in values if np.isfinite(v)), default=1.0)
    axes.set(title=name, ylabel=f"mean {measured}", ylim=shown_range(values, (0, max(1.0, most))))
    axes.title.set_fontsize(10)
    tidy(axes)


def differences_plot(
    names: Sequence[str], differences: Sequence[Estimate], xlabel: str, clear: Sequence[bool]
) -> Figure:
    """Differences with their intervals, one line each; those shown by a test are filled."""
    figure = new_figure(5.6, 0.42 * len(names) + 1.3)
    axes = figure.subplots()
    for n, (estimate, shown) in enumerate(zip(differences, clear, strict=True)):
        axes.hlines(n, estimate.low, estimate.high, color=MARK, linewidth=2)
        face = MARK if shown else "white"
        axes.scatter([estimate.value], [n], s=46, facecolors=face, edgecolors=MARK, linewidths=1.6, zorder=3)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_yticks(range(len(names)), list(names))
    axes.set(xlabel=xlabel, ylim=(len(names) - 0.5, -0.5))
    tidy(axes)
    axes.grid(visible=False, axis="y")
    return figure
