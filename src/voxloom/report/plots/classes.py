"""Figures of classes and numbers: ROC and precision-recall curves, confusion matrix, reliability, risk over coverage, scatter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from voxloom.evaluation.auc import roc_curve
from voxloom.evaluation.classification import ClassEvaluation, decision_curve
from voxloom.evaluation.paired import Drawn
from voxloom.evaluation.probabilities import Reliability
from voxloom.evaluation.regression import NumberRow
from voxloom.evaluation.selective import risk_coverage as risk_over_coverage
from voxloom.report.style import ALERT, INK, MARK, SOFT, color_of, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roc_curves(found: ClassEvaluation) -> Figure:
    """Sensitivity over 1 - specificity, and precision over sensitivity, of every class against the rest."""
    figure = new_figure(8.4, 3.8)
    left, right = figure.subplots(1, 2)
    truth, p = found.truth, found.probabilities
    shown = [1] if len(found.classes) == 2 else range(len(found.classes))
    for color, n in enumerate(shown):
        positive = truth == n
        if not 0 < positive.sum() < len(positive):
            continue
        found_curve = roc_curve(positive, p[:, n])
        name, shade = found.classes[n], color_of(color + 6)
        left.plot([0, *found_curve.fallout], [0, *found_curve.sensitivity], color=shade, label=name)
        right.plot(
            [0, *found_curve.sensitivity], [1, *found_curve.precision], color=shade, drawstyle="steps-pre", label=name
        )
    left.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8, linestyle=":")
    left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    right.set(xlabel="sensitivity", ylabel="precision", xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    for axes in (left, right):
        tidy(axes)
        if axes.lines:
            axes.legend(fontsize=8, frameon=False, loc="lower right" if axes is left else "lower left")
    return figure


def confusion_matrix(classes: Sequence[str], counts: NDArray[np.integer], *, normalize: bool = False) -> Figure:
    """True classes in rows, answers in columns; shares of the row where ``normalize``."""
    table = np.asarray(counts, dtype=float)
    rows = np.maximum(table.sum(axis=1, keepdims=True), 1)
    shares = table / rows
    side = max(3.2, 0.7 * len(classes) + 1.6)
    figure = new_figure(side + 0.4, side)
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for i, j in np.ndindex(table.shape):
        text = f"{shares[i, j]:.2f}" if normalize else f"{int(table[i, j])}"
        axes.text(j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.55 else INK)
    axes.set_xticks(range(len(classes)), classes, rotation=30 if len(classes) > 3 else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="answer", ylabel="truth")
    axes.spines[:].set_visible(False)
    return figure


def reliability_diagram(found: Reliability) -> Figure:
    """Share that was right over confidence, with the number of cases per bin below."""
    figure = new_figure(4.2, 4.4)
    upper, lower = figure.subplots(2, 1, height_ratios=[3, 1], sharex=True)
    known = [n for n, count in enumerate(found.counts) if count]
    upper.plot([0, 1], [0, 1], color=SOFT, linestyle=":", linewidth=0.8)
    upper.plot([found.confidence[n] for n in known], [found.right[n] for n in known], color=MARK, marker="o")
    upper.set(ylabel="share that was right", xlim=(0, 1), ylim=(-0.02, 1.02))
    width = found.edges[1] - found.edges[0]
    lower.bar([e + width / 2 for e in found.edges[:-1]], found.counts, width=0.9 * width, color=SOFT)
    lower.set(xlabel="confidence", ylabel="cases")
    for axes in (upper, lower):
        tidy(axes)
    return figure


def risk_coverage(found: ClassEvaluation) -> Figure:
    """Share of wrong answers among the most confident cases, over how many are answered: what abstaining gains."""
    wrong = found.probabilities.argmax(axis=1) != found.truth
    curve = risk_over_coverage(found.probabilities.max(axis=1), wrong.astype(float))
    figure = new_figure(4.2, 3.4)
    axes = figure.subplots()
    axes.plot(curve.coverage, curve.risk, color=MARK)
    axes.set(
        xlabel="share of cases answered, surest first", ylabel="share wrong among them", xlim=(0, 1), ylim=(0, None)
    )
    tidy(axes)
    return figure


def decision_curves(found: ClassEvaluation) -> Figure:
    """Net benefit over the threshold, for two classes (Vickers and Elkin 2006)."""
    curve = decision_curve(found.truth == 1, found.probabilities[:, 1], np.linspace(0.01, 0.9, 90).tolist())
    t, model, everyone = (np.array(v) for v in zip(*curve, strict=True))
    figure = new_figure(4.2, 3.4)
    axes = figure.subplots()
    axes.plot(t, model, color=MARK, label="by the model")
    axes.plot(t, everyone, color=ALERT, linestyle="--", label="act on all")
    axes.axhline(0, color=SOFT, linewidth=0.8, label="act on none")
    axes.set(
        xlabel="threshold probability",
        ylabel="net benefit",
        ylim=(-0.1 * max(model.max(), 0.1), 1.1 * max(model.max(), 0.05)),
    )
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure


def number_plot(rows: Sequence[NumberRow], name: str) -> Figure:
    """Prediction over truth with its interval, and the error over the truth."""
    truth, guess = np.array([r.truth for r in rows]), np.array([r.prediction for r in rows])
    figure = new_figure(8.4, 3.8)
    left, right = figure.subplots(1, 2)
    ends = [float(min(truth.min(), guess.min())), float(max(truth.max(), guess.max()))]
    left.plot(ends, ends, color=INK, linewidth=0.9)
    low, high = np.array([r.low for r in rows]), np.array([r.high for r in rows])
    known = np.isfinite(low)
    left.vlines(truth[known], low[known], high[known], color=SOFT, alpha=0.4, linewidth=0.8)
    left.scatter(truth, guess, s=16, color=MARK, alpha=0.8, edgecolors="none")
    left.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
    right.axhline(0, color=INK, linewidth=0.9)
    right.scatter(truth, guess - truth, s=16, color=MARK, alpha=0.8, edgecolors="none")
    right.set(xlabel=f"true {name}", ylabel="predicted minus true")
    for axes in (left, right):
        tidy(axes)
    return figure


def curves_beside(curves: Mapping[str, Drawn]) -> Figure:
    """The same curve of several runs over one another."""
    figure = new_figure(4.6, 4.2)
    axes = figure.subplots()
    for n, (name, curve) in enumerate(curves.items()):
        axes.plot(curve.x, curve.y, color=color_of(n), label=name)
    first = next(iter(curves.values()))
    axes.set(xlabel=first.x_title, ylabel=first.y_title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return figure
