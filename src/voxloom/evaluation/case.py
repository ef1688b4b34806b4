"""A predicted label map against the true one: every label, on one grid, ignored voxels left out."""

from __future__ import annotations

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.metrics import MaskMetrics, mask_metrics
from voxloom.volume import Volume, grid_distance

#: Writers round affines; further apart than this two label maps are on different grids.
TOLERANCE_MM = 1e-2


def evaluate_case(prediction: Volume, truth: Volume, labels: Labels) -> dict[str, MaskMetrics]:
    """Metrics per label name.

    Parameters
    ----------
    prediction, truth : label maps (1, I, J, K) of outer values on one grid.
    labels : names, values, regions and the ignore value; voxels that the truth ignores count nowhere.

    Raises
    ------
    BadInput : the grids differ (the difference is printed).
    """
    check_grids(prediction, truth)
    valid = labels.valid(truth.data[0])
    pairs = zip(labels.masks(prediction.data[0]), labels.masks(truth.data[0]), strict=True)
    return {name: mask_metrics(found, true, truth.spacing, valid) for (name, found), (_, true) in pairs}


def check_grids(prediction: Volume, truth: Volume) -> None:
    """Refuse two label maps on different grids, with the difference."""
    where = prediction.meta.get("source")
    if prediction.shape != truth.shape:
        raise BadInput(
            f"has shape {prediction.shape}, the truth has {truth.shape}", where, "Predict on the grid of the scan"
        )
    apart = grid_distance(prediction.affine, truth.affine, truth.shape)
    if apart > TOLERANCE_MM:
        raise BadInput(
            f"its voxels lie up to {apart:.3g} mm from the truth's", where, "Check the headers of both files"
        )
