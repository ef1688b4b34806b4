"""Figures of landmark runs: where predictions lie, how far off, how far confidence can be trusted, what more scans would bring.

Knows matplotlib and plain numbers; does not know runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from voxloom.evaluation.points import PointRow
from voxloom.report.style import ALERT, MARK, SOFT, color_of, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.evaluation.learning import Trend


def distance_scatter(rows: Sequence[PointRow], within: float) -> Figure:
    """|dx| across the slices against the distance in the slice, one color per level; wrong levels are crosses."""
    figure = new_figure(6.4, 4.2)
    axes = figure.subplots()
    placed = [row for row in rows if np.isfinite(row.distance)]
    for n, name in enumerate(dict.fromkeys(row.name for row in placed)):
        for outcome, marker in (("found", "o"), ("shifted", "x")):
            own = [row for row in placed if row.name == name and row.outcome == outcome]
            label = name if outcome == "found" else None
            axes.scatter(
                [r.in_plane for r in own],
                [r.dx for r in own],
                s=22,
                marker=marker,
                color=color_of(n),
                alpha=0.75,
                label=label,
            )
    axes.axvline(within, color=SOFT, linewidth=0.9, linestyle="--")
    axes.set(xlabel="distance in the slice (mm)", ylabel="|dx| across the slices (mm)", xlim=(0, None), ylim=(0, None))
    if placed:
        axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure


def distance_histogram(rows: Sequence[PointRow], within: float) -> Figure:
    """How many points lie how far off in the slice and in 3D; those that were missed stand in the title."""
    figure = new_figure(6.4, 3.2)
    axes = figure.subplots()
    placed = [row for row in rows if np.isfinite(row.distance)]
    reach = max([2 * within, *(row.distance for row in placed)])
    bins = np.linspace(0, reach, 41).tolist()
    axes.hist([row.in_plane for row in placed], bins=bins, color=MARK, alpha=0.75, label="in the slice")
    axes.hist([row.distance for row in placed], bins=bins, color=ALERT, histtype="step", label="3D")
    axes.axvline(within, color=SOFT, linewidth=0.9, linestyle="--")
    missed = sum(row.outcome == "missed" for row in rows)
    axes.set(xlabel="distance (mm)", ylabel="points", title=f"{len(placed)} points, {missed} missed")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure


def risk_coverage_curve(coverage: Sequence[float], risk: Sequence[float]) -> Figure:
    """The share of wrong points among those that are kept, when the least sure ones are left out."""
    figure = new_figure(5.2, 3.2)
    axes = figure.subplots()
    axes.step(coverage, risk, where="post", color=MARK, marker=".")
    axes.set(
        xlabel="coverage: share of points kept", ylabel="risk: share of wrong ones", xlim=(0, 1.02), ylim=(0, None)
    )
    tidy(axes)
    return figure


def learning_curve(scans: Sequence[float], errors: Sequence[float], trend: Trend, ylabel: str = "error") -> Figure:
    """Error over training-set sizes with the fitted power law, and what it expects of twice as many scans."""
    figure = new_figure(5.6, 3.4)
    axes = figure.subplots()
    sizes = np.geomspace(min(scans), 2 * max(scans), 100)
    axes.plot(sizes, [trend(n) for n in sizes], color=SOFT, linestyle="--", label="fitted trend")
    axes.scatter(scans, errors, color=MARK, label="measured")
    axes.set(xlabel="training scans", ylabel=ylabel, xscale="log", ylim=(0, None))
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure
