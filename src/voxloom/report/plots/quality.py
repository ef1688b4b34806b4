"""Figures of predicted quality: predicted against true Dice with the bound of every case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from voxloom.report.style import ALERT, INK, MARK, SOFT, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def quality_plot(true: ArrayLike, predicted: ArrayLike, bounds: ArrayLike | None = None) -> Figure:
    """Predicted over true Dice; a line leads down to each case's bound, and bounds above the true Dice are marked.

    Parameters
    ----------
    true, predicted : Dice per case, at least one.
    bounds : lower bound per case, where there is one.
    """
    t, p = np.asarray(true, dtype=float), np.asarray(predicted, dtype=float)
    low = None if bounds is None else np.asarray(bounds, dtype=float)
    figure = new_figure(4.4, 4.0)
    axes = figure.subplots()
    least = float(min(t.min(), p.min(), 1.0 if low is None else low.min()))
    edge = max(0.0, least - 0.03)
    axes.plot([edge, 1], [edge, 1], color=INK, linewidth=0.9)
    if low is not None:
        broken = t < low
        axes.vlines(t, low, p, color=SOFT, alpha=0.35, linewidth=0.8)
        axes.scatter(t[~broken], low[~broken], s=16, marker="_", color=SOFT, label="bound, kept")
        axes.scatter(t[broken], low[broken], s=40, marker="x", color=ALERT, label="bound, above the true Dice")
    axes.scatter(t, p, s=18, color=MARK, alpha=0.8, edgecolors="none", label="predicted")
    axes.set(xlabel="true Dice", ylabel="predicted Dice", xlim=(edge, 1.005), ylim=(edge, 1.005))
    axes.legend(fontsize=8, frameon=False, loc="upper left")
    tidy(axes)
    return figure
