"""Publication-ready figures in one style; keep one with ``voxloom.report.style.save_figure``."""

from voxloom.report.plots.agreement import bland_altman_plot, scatter_with_marginals, violin_with_points
from voxloom.report.plots.performance import (
    confusion_plot,
    contrasts_plot,
    differences_plot,
    risk_coverage_plot,
    robustness_plot,
    slice_bars,
)
from voxloom.report.plots.quality import quality_plot

__all__ = [
    "bland_altman_plot",
    "confusion_plot",
    "contrasts_plot",
    "differences_plot",
    "quality_plot",
    "risk_coverage_plot",
    "robustness_plot",
    "scatter_with_marginals",
    "slice_bars",
    "violin_with_points",
]
