"""Volumes in, numbers out. Never imports torch."""

from voxloom.evaluation.case import evaluate_case
from voxloom.evaluation.evaluation import Evaluation, Row
from voxloom.evaluation.folders import evaluate_folders
from voxloom.evaluation.metrics import METRICS, MaskMetrics, dice_score, mask_metrics
from voxloom.evaluation.robustness import robustness
from voxloom.evaluation.statistics.means import mean_ci
from voxloom.evaluation.summary import summarize
from voxloom.evaluation.surface import SurfaceDistances, surface_distances

__all__ = [
    "METRICS",
    "Evaluation",
    "MaskMetrics",
    "Row",
    "SurfaceDistances",
    "dice_score",
    "evaluate_case",
    "evaluate_folders",
    "mask_metrics",
    "mean_ci",
    "robustness",
    "summarize",
    "surface_distances",
]
