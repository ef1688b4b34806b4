"""Between which values a metric lies, so that an interval of its mean does not leave them.

Knows names of metrics; computes nothing.
"""

from __future__ import annotations

import math

Limits = tuple[float, float]

ANYTHING: Limits = (-math.inf, math.inf)
SHARE: Limits = (0.0, 1.0)
NOT_NEGATIVE: Limits = (0.0, math.inf)
_CORRELATION: Limits = (-1.0, 1.0)

_POINT_DISTANCES = (f"{name}_{kind}" for name in ("dx", "in_plane", "distance") for kind in ("mean", "median"))

#: By name, as in ``metrics.csv`` and in the summaries of points, classes and numbers.
LIMITS: dict[str, Limits] = {
    **dict.fromkeys(("dice", "iou", "precision", "recall", "specificity", "balanced_accuracy", "f_beta", "nsd"), SHARE),
    **dict.fromkeys(("boundary_iou", "cldice", "lesion_f1", "lesion_recall", "lesion_precision"), SHARE),
    **dict.fromkeys(("panoptic_quality", "voxel_brier", "voxel_ece", "voxel_auroc"), SHARE),
    **dict.fromkeys(("hd", "hd95", "assd", "masd"), NOT_NEGATIVE),
    **dict.fromkeys(("volume_ml_prediction", "volume_ml_truth"), NOT_NEGATIVE),
    **dict.fromkeys(("objects_prediction", "objects_truth"), NOT_NEGATIVE),
    "volume_error_ml": ANYTHING,
    "relative_volume_error": (-1.0, math.inf),
    "mcc": _CORRELATION,
    **dict.fromkeys(("auc", "accuracy", "sensitivity", "f1", "average_precision", "ece"), SHARE),
    "recall_3d": SHARE,
    **dict.fromkeys(("found", "missed", "shifted", "invented", "points", *_POINT_DISTANCES), NOT_NEGATIVE),
    **dict.fromkeys(("brier", "mae", "rmse"), NOT_NEGATIVE),
    "r2": (-math.inf, 1.0),
    "bias": ANYTHING,
}


def limits_of(metric: str) -> Limits:
    """The least and the largest value that a metric can have; infinite ones for a metric of another package."""
    return LIMITS.get(metric, ANYTHING)
