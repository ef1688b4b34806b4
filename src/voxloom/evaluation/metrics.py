"""The metrics of one mask against another, with the conventions for empty masks.

Both empty: Dice 1 and distances 0. One empty: Dice 0 and distances infinite, reported as such. The kind of every comparison
is kept, so that no figure hides them. Knows no labels and no files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from voxloom.connected import connected
from voxloom.evaluation.surface import Mask, Spacing, common_box, flat_axes, surface_distances
from voxloom.evaluation.units import MM, PIXEL

Kind = Literal["ok", "both_empty", "truth_empty", "prediction_empty"]

#: Names of the numbers, in the order of ``metrics.csv``.
METRICS = (
    "dice", "iou", "precision", "recall", "hd", "hd95", "assd", "volume_ml_prediction", "volume_ml_truth", "volume_error_ml",
    "objects_prediction", "objects_truth",
)  # fmt: skip


@dataclass(frozen=True)
class MaskMetrics:
    """Agreement of a predicted mask with the truth.

    Parameters
    ----------
    dice, iou, precision, recall : 0 to 1 (Dice 1945; Jaccard 1912).
    hd, hd95, assd : in ``unit``; infinite when one mask is empty.
    volume_ml_prediction, volume_ml_truth, volume_error_ml : ml, or pixels; error is prediction minus truth.
    objects_prediction, objects_truth : connected pieces of each mask (26 neighbors), as the cervical cancer study counts them;
        not a number where they were not counted.
    kind : which of the masks were empty.
    unit : of distances, ``"mm"``; ``"pixel"`` where the images have no voxel size.
    """

    dice: float
    iou: float
    precision: float
    recall: float
    hd: float
    hd95: float
    assd: float
    volume_ml_prediction: float
    volume_ml_truth: float
    volume_error_ml: float
    kind: Kind
    unit: str = MM
    objects_prediction: float = math.nan
    objects_truth: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def dice_score(prediction: Mask, truth: Mask) -> float:
    """Dice of two boolean arrays of one shape; 1 when both are empty."""
    size = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(prediction & truth)) / size if size else 1.0


def kind_of(predicted: int, true: int) -> Kind:
    """Which masks are empty, from their voxel counts."""
    if predicted and true:
        return "ok"
    if not predicted and not true:
        return "both_empty"
    return "prediction_empty" if true else "truth_empty"


def mask_metrics(
    prediction: Mask,
    truth: Mask,
    spacing: Spacing,
    valid: Mask | None = None,
    flat: Sequence[int] | None = None,
    unit: str = MM,
) -> MaskMetrics:
    """All metrics of one mask; work and memory beyond one look at the masks are those of the box that holds both.

    Parameters
    ----------
    prediction, truth : boolean (I, J, K) of one shape.
    spacing : mm, order i j k.
    valid : where voxels count; elsewhere both masks are taken as empty, for overlap, volume and surface alike.

    unit : of ``spacing``.
    flat : axes without faces, where the masks were cut out of a larger image; None takes the axes of length 1.

    Raises
    ------
    ValueError : the shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of different shape: {prediction.shape} and {truth.shape}")
    without = flat_axes(truth.shape) if flat is None else flat
    box = common_box(prediction, truth) or (slice(0, 0),) * 3
    prediction, truth = prediction[box], truth[box]
    if valid is not None:
        prediction, truth = prediction & valid[box], truth & valid[box]
    both, predicted, true = (int(np.count_nonzero(m)) for m in (prediction & truth, prediction, truth))
    kind = kind_of(predicted, true)
    far = 0.0 if kind == "both_empty" else math.inf
    hd, hd95, assd = far, far, far
    if kind == "ok":
        distances = surface_distances(prediction, truth, spacing, without)
        hd, hd95, assd = distances.hd, distances.hd_percentile(95), distances.assd
    ml = float(np.prod(spacing)) / (1.0 if unit == PIXEL else 1000.0)
    empty = 1.0 if kind == "both_empty" else 0.0
    return MaskMetrics(
        dice=2.0 * both / (predicted + true) if predicted + true else 1.0,
        iou=both / (predicted + true - both) if predicted + true else 1.0,
        precision=both / predicted if predicted else empty,
        recall=both / true if true else empty,
        hd=hd,
        hd95=hd95,
        assd=assd,
        volume_ml_prediction=predicted * ml,
        volume_ml_truth=true * ml,
        volume_error_ml=(predicted - true) * ml,
        kind=kind,
        unit=unit,
        objects_prediction=count_objects(prediction),
        objects_truth=count_objects(truth),
    )


def count_objects(mask: Mask) -> float:
    """Number of connected pieces of a boolean (I, J, K) mask; voxels that touch by a corner are of one piece."""
    return float(connected(mask).max()) if mask.any() else 0.0
