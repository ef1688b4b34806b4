"""Figures of probabilities: sensitivity over false positives per case, share that is so over the probability."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from voxloom.evaluation.detection import RATES, Froc
from voxloom.evaluation.probes import MOST_LIKELY
from voxloom.evaluation.voxel_probabilities import BINS, Bins
from voxloom.report.style import SOFT, color_of, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Labels that are drawn.
_MOST = 12


def froc_curves(curves: Mapping[str, Froc]) -> Figure:
    """Sensitivity of every label over the false positives per case, from an eighth to eight on a logarithmic axis."""
    figure = new_figure(5.2, 3.8)
    axes = figure.subplots()
    for n, (name, curve) in enumerate(list(curves.items())[:_MOST]):
        at = [max(x, RATES[0] / 2) for x in curve.false_positives]
        end = max([*at, 2 * RATES[-1]])
        last = float(curve.sensitivity[-1]) if len(curve.sensitivity) else 0.0
        axes.step([*at, end], [*curve.sensitivity, last], where="post", color=color_of(n), label=name)
    axes.set_xscale("log", base=2)
    axes.set_xticks(RATES, [f"{rate:g}" for rate in RATES])
    axes.minorticks_off()
    axes.set(
        xlabel="false positives per case",
        ylabel="sensitivity",
        xlim=(RATES[0] / 2, 2 * RATES[-1]),
        ylim=(-0.01, 1.01),
    )
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    tidy(axes)
    return figure


def reliability_curves(bins: Mapping[str, Bins]) -> Figure:
    """Share of voxels that are so over their mean probability, a curve per label; below how many voxels there are, logarithmic."""
    from matplotlib.ticker import LogLocator

    figure = new_figure(5.2, 4.6)
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    upper.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=0.8)
    for n, (name, found) in enumerate(list(bins.items())[:_MOST]):
        rows = [row for row in zip(found.voxels, found.sums, found.right, strict=True) if row[0]]
        title = "most likely label" if name == MOST_LIKELY else name
        upper.plot(
            [s / v for v, s, _ in rows],
            [r / v for v, _, r in rows],
            color=color_of(n),
            marker="o",
            markersize=3,
            label=title,
        )
        counts = [voxels or math.nan for voxels in found.voxels]
        lower.plot([(b + 0.5) / BINS for b in range(BINS)], counts, color=color_of(n), marker="o", markersize=3)
    upper.set(ylabel="share that is so", xlim=(0, 1), ylim=(-0.02, 1.02))
    upper.legend(fontsize=8, frameon=False)
    lower.set(xlabel="probability", ylabel="voxels", yscale="log")
    lower.yaxis.set_major_locator(LogLocator(numticks=4))
    lower.minorticks_off()
    for axes in (upper, lower):
        tidy(axes)
    return figure
