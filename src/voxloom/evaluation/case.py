"""A predicted label map against the true one: every label, on one grid, ignored voxels left out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.evaluation.metrics import MaskMetrics, WholeImage, mask_metrics
from voxloom.evaluation.surface import common_box
from voxloom.evaluation.units import distance_unit
from voxloom.volume import Volume, grid_distance

#: Writers round affines; further apart than this two label maps are on different grids.
TOLERANCE_MM = 1e-2
#: Values below are counted rather than sorted.
_COUNTED = 1 << 16


def evaluate_case(
    prediction: Volume, truth: Volume, labels: Labels, measures: Measures = USUAL
) -> dict[str, MaskMetrics]:
    """Metrics per label name.

    Parameters
    ----------
    prediction, truth : label maps (1, I, J, K) of outer values on one grid.
    labels : names, values, regions and the ignore value; voxels that the truth ignores count nowhere.
    measures : further metrics, and the conventions.

    Raises
    ------
    BadInput : the grids differ (the difference is printed), or their axes lean.
    """
    check_grids(prediction, truth)
    ignored = 0 if labels.ignore is None else int(np.count_nonzero(truth.data[0] == labels.ignore))
    whole = WholeImage(truth.shape, truth.data[0].size - ignored)
    found, true = _labelled(prediction.data[0], truth.data[0], labels)
    valid = labels.valid(true)
    pairs = zip(labels.masks(found), labels.masks(true), strict=True)
    return {
        name: mask_metrics(a, b, truth.spacing, valid, whole, truth.unit, measures, name) for (name, a), (_, b) in pairs
    }


def _labelled(prediction: NDArray[Any], truth: NDArray[Any], labels: Labels) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both label maps in the box of what is not 0: masks of one label after the other cost no more than that."""
    if 0 in labels.atoms:
        return prediction, truth
    box = common_box(prediction, truth) or (slice(0, 0),) * 3
    return prediction[box], truth[box]


def undeclared_values(truth: Volume, labels: Labels) -> list[int]:
    """The values of a true label map that are neither background, nor a label, nor ignored; they count as background."""
    data = truth.data
    small = data.dtype.kind == "u" and (not data.size or int(data.max()) < _COUNTED)
    found = np.flatnonzero(np.bincount(data.ravel())) if small else np.unique(data)
    return sorted({int(v) for v in found} - set(labels.declared))


#: Degrees that voxel axes may lean; 1 degree makes volumes wrong by 0.02 %.
LEAN = 1.0


def check_upright(volume: Volume) -> None:
    """Refuse a grid whose axes are not at right angles: distances on its voxels would be wrong, and volumes by its spacing too.

    Raises
    ------
    BadInput : the axes lean by more than ``LEAN``, such as the tilt of a CT gantry that a NIfTI keeps in its affine.
    """
    axes = volume.affine[:3, :3] / np.array(volume.spacing)
    cosines = axes.T @ axes - np.eye(3)
    lean = float(np.degrees(np.arcsin(min(1.0, float(np.abs(cosines).max())))))
    if lean > LEAN:
        raise BadInput(
            f"its voxel axes lean by {lean:.1f} degrees (gantry tilt), so distances and volumes on them would be wrong",
            volume.meta.get("source"),
            "Resample scan and label to right angles first (DICOM: --resample-tilt)",
        )


def check_grids(prediction: Volume, truth: Volume) -> None:
    """Refuse two label maps on different grids, with the difference, and grids whose axes lean."""
    where = prediction.meta.get("source")
    check_upright(truth)
    if prediction.shape != truth.shape:
        raise BadInput(
            f"has shape {prediction.shape}, the truth has {truth.shape}", where, "Predict on the grid of the scan"
        )
    apart = grid_distance(prediction.affine, truth.affine, truth.shape)
    if apart > TOLERANCE_MM:
        raise BadInput(
            f"its voxels lie up to {apart:.3g} {distance_unit(truth.unit)} from the truth's",
            where,
            "Check the headers of both files",
        )
