"""How the points of a case are compared, and what the held-out ones teach about confidence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np

from voxloom.dataset import Case
from voxloom.dataset.sources import source_header
from voxloom.evaluation.point_tests import calibrate, risk_coverage
from voxloom.evaluation.points import PointEvaluation


def slice_normal(case: Case) -> tuple[float, float, float]:
    """The direction across the slices of a case, RAS: its axis of the largest spacing; the left-right axis for cubes."""
    axes = source_header(next(iter(case.images.values()))).affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if lengths.max() < 1.2 * lengths.min():
        return (1.0, 0.0, 0.0)
    x, y, z = (float(v) for v in axes[:, int(lengths.argmax())])
    return (x, y, z)


def calibration_of(evaluation: PointEvaluation) -> dict[str, Any]:
    """``calibration.json``: the fitted curve, on how many points, and risk over coverage.

    A predicted point is right when it lies within reach in 3D; invented ones are wrong.
    """
    placed = [row for row in evaluation.rows if row.outcome != "missed"]
    confidences = [row.confidence for row in placed]
    right = [row.within(evaluation.within, in_plane=False) for row in placed]
    fitted = calibrate(confidences, right)
    coverage, risk = risk_coverage(confidences, right)
    return {
        **asdict(fitted),
        "points": len(placed),
        "wrong": len(right) - sum(right),
        "coverage": coverage,
        "risk": risk,
    }
