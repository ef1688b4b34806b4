"""Every figure shows what it was given, and survives what real data throws at it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from voxloom.evaluation import selective
from voxloom.evaluation.slices import dice_per_slice
from voxloom.evaluation.statistics import Estimate
from voxloom.report import plots
from voxloom.report.figures import box_and_strip
from voxloom.report.style import COLORS, save_figure

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.uniform(1, 60, (2, 25))
FIGURES = {
    "box": lambda: box_and_strip({"a": X / 60, "b": [*(Y / 60), math.inf]}, "Dice"),
    "violin": lambda: plots.violin_with_points({"a": X / 60, "b": [0.5, math.inf], "c": []}, "Dice", limits=(0, 1)),
    "bland-altman": lambda: plots.bland_altman_plot(X, X + RANDOM.normal(2, 3, 25), ("R1", "R2"), "ml")[0],
    "scatter": lambda: plots.scatter_with_marginals(X, Y, "volume (ml)", "Dice"),
    "constant": lambda: plots.scatter_with_marginals([1, 1, 1, 1], [2, 2, 2, 2], "x", "y"),
    "slices": lambda: plots.slice_bars([1, 0.9, 0.7, 1], [False, True, True, False]),
    "confusion": lambda: plots.confusion_plot([[8, 2], [0, 0]], ["benign", "malignant"]),
    "risk": lambda: plots.risk_coverage_plot(selective.risk_coverage(X, Y / 60)),
    "robustness": lambda: plots.robustness_plot(
        "Noise", ["as is", "1"], [Estimate(0.9, 0.8, 1), Estimate(0.5, 0.4, 0.6)], 0.85, 1
    ),
    "contrasts": lambda: plots.contrasts_plot(
        "Contrast",
        ["as is", "gamma", "inverted"],
        [Estimate(0.9, 0.8, 1), Estimate(0.5, 0.4, 0.6), Estimate(0.8, 0.7, 0.9)],
        0.85,
    ),
    "differences": lambda: plots.differences_plot(["B"], [Estimate(0.01, 0.0, 0.02)], "Dice", [True]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_kept_as_svg_and_png(name: str, tmp_path: Path) -> None:
    files = save_figure(FIGURES[name](), tmp_path / name)
    drawn = files[0].read_text("utf-8")
    assert drawn.count("<path") + drawn.count("<use") > 5
    assert not re.search(r"\bnan\b", drawn.lower())
    assert files[1].stat().st_size > 2000


def test_no_line_joins_changes_without_an_order() -> None:
    means = [Estimate(0.97, 0.96, 0.98), Estimate(0.95, 0.94, 0.96), Estimate(0.96, 0.95, 0.97)]
    joined = plots.robustness_plot("Noise", ["as is", "1", "2"], means, 0.92, None).axes[0]
    apart = plots.contrasts_plot("Contrast", ["as is", "gamma", "inverted"], means, 0.92).axes[0]
    assert [len(line.get_xdata()) for line in joined.lines] == [3, 2]
    assert [len(line.get_xdata()) for line in apart.lines] == [2], "the limit alone"
    for axes in (joined, apart):
        assert 0.85 < axes.get_ylim()[0] < 0.92, "the curve is not squashed"
    few = [Estimate(value, math.nan, math.nan) for value in (0.8, 0.3)]
    for figure in (
        plots.robustness_plot("Noise", ["as is", "1"], few, 0.75, 1),
        plots.contrasts_plot("C", ["as is", "1"], few, 0.75),
    ):
        low, high = figure.axes[0].get_ylim()
        assert low < 0.3 < 0.8 < high, "values are shown where no interval is known"


def test_violins_of_good_scores_are_not_squashed() -> None:
    scores = list(0.97 + 0.01 * np.sin(np.arange(20)))
    for axes in (
        plots.violin_with_points({"a": scores}, "Dice", limits=(0, 1)).axes[0],
        box_and_strip({"a": scores}, "Dice", limits=(0, 1)).axes[0],
    ):
        low, high = axes.get_ylim()
        assert 0.9 < low < min(scores)
        assert max(scores) < high < 1.03


def test_bland_altman_plot_draws_bias_and_limits() -> None:
    figure, found = plots.bland_altman_plot(X, Y, ("R1", "R2"), "ml")
    lines = sorted(float(line.get_ydata()[0]) for line in figure.axes[0].lines)
    assert lines == pytest.approx(sorted([found.lower.value, found.bias.value, found.upper.value, 0.0]))
    assert figure.axes[0].get_ylabel() == "R1 − R2 (ml)"
    assert len(figure.axes[0].collections[-1].get_offsets()) == len(X)


def test_every_case_is_a_point_and_infinite_ones_are_counted() -> None:
    axes = plots.violin_with_points({"a": [0.1, 0.5, math.inf, math.inf]}, "HD95").axes[0]
    points = [c for c in axes.collections if hasattr(c, "get_sizes") and len(c.get_offsets()) == 2]
    assert len(points) == 1
    assert [t.get_text() for t in axes.texts] == ["2 infinite"]


def test_groups_have_the_colors_of_the_palette() -> None:
    from matplotlib.colors import to_hex

    axes = plots.violin_with_points({"a": X, "b": Y}, "ml").axes[0]
    found = {to_hex(c.get_facecolor()[0]).upper() for c in axes.collections if len(c.get_facecolor())}
    assert {COLORS[0].upper(), COLORS[1].upper()} <= found


def test_confusion_says_counts_and_shares() -> None:
    texts = [t.get_text() for t in plots.confusion_plot([[8, 2], [1, 3]], ["a", "b"]).axes[0].texts]
    assert texts == ["8\n80 %", "2\n20 %", "1\n25 %", "3\n75 %"]


def test_slices_by_hand() -> None:
    truth, found = np.zeros((2, 4, 3), bool), np.zeros((2, 4, 3), bool)
    truth[:, :2, 1], found[:, 1:3, 1], found[0, 0, 2] = True, True, True
    assert dice_per_slice(found, truth, 2).tolist() == [1.0, 0.5, 0.0]
    with pytest.raises(ValueError, match="different shape"):
        dice_per_slice(found, truth[:1], 2)


def test_risk_coverage_by_hand() -> None:
    curve = selective.risk_coverage([0.9, 0.8, 0.1], [0.0, 0.3, 0.6])
    assert curve.coverage.tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert curve.risk.tolist() == pytest.approx([0, 0.15, 0.3])
    assert curve.area == pytest.approx(curve.best) == pytest.approx(0.15)
    wrong_order = selective.risk_coverage([0.1, 0.8, 0.9], [0.0, 0.3, 0.6])
    assert wrong_order.area > curve.area
    assert selective.risk_coverage([1, 1, 1], [0.0, 0.3, 0.6]).risk.tolist() == pytest.approx([0.3] * 3)
