"""How the points of a case are compared, and what the held-out ones teach about confidence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from voxloom.dataset import Case
from voxloom.dataset.sources import source_header
from voxloom.evaluation.point_tests import Calibration, calibrate
from voxloom.evaluation.points import PointEvaluation, PointRow, score_points, slice_normal
from voxloom.evaluation.selective import risk_coverage
from voxloom.files import write_json
from voxloom.landmarks import Layout, abstained
from voxloom.points import Point, write_points
from voxloom.runfiles import POINTS, CaseFiles
from voxloom.tasks.landmarks.predictor import CALIBRATION, Judged
from voxloom.tasks.study import Study
from voxloom.tasks.values import Table


class PointTable(PointEvaluation):
    """Rows of points that were kept; it remembers all points of every case, and how many were left out.

    Parameters
    ----------
    within : mm within which a point counts as right.
    abstain : least confidence of a point that is kept.
    """

    def __init__(self, rows: Iterable[PointRow] = (), *, within: float = 5.0, abstain: float = 0.0) -> None:
        super().__init__(rows, within=within)
        self.abstain, self.left_out, self.raw = abstain, 0, dict[str, tuple[Point, ...]]()

    def judge(self, case: Case, points: Judged, layout: Layout) -> None:
        """Add the rows of one case."""
        self.raw[case.id] = (*points.kept, *points.left_out)
        self.left_out += len(points.left_out)
        normal = slice_normal(source_header(next(iter(case.images.values()))).affine)
        self.add(score_points(case.id, points.kept, layout.known(case.read_points()), normal))

    def extend(self, other: PointEvaluation) -> None:
        """Add all rows of another table."""
        super().extend(other)
        if isinstance(other, PointTable):
            self.left_out += other.left_out
            self.raw |= other.raw

    def summary(self) -> dict[str, Any]:
        """Figures, and what was left out: a landmark whose point was left out counts as missed."""
        return {**super().summary(), "abstained": {"below": self.abstain, "points": self.left_out}}


def settle(study: Study, scored: Mapping[str, PointTable]) -> dict[str, Table]:
    """Calibrate the confidence on all held-out points, and write and score those that are sure enough then."""
    every = PointEvaluation(within=study.settings.own.within)
    for table in scored.values():
        every.extend(table)
    learned = calibration_of(every)
    write_json(study.folder / CALIBRATION, learned)
    curve, least = Calibration(learned["slope"], learned["offset"]), study.settings.own.abstain
    settled: dict[str, Table] = {}
    for name, table in scored.items():
        again = PointTable(within=table.within, abstain=least)
        for case, points in table.raw.items():
            sure = [replace(p, confidence=curve(p.confidence or 0.0)) for p in points]
            kept = abstained(sure, least)
            judged = Judged(kept, tuple(point for point in sure if point not in kept))
            again.judge(study.dataset[case], judged, study.material.layout)  # type: ignore[attr-defined]
            write_points(judged.kept, CaseFiles(study.folder / name).prediction(case, POINTS), case)
        settled[name] = again
    return settled


def calibration_of(evaluation: PointEvaluation) -> dict[str, Any]:
    """``calibration.json``: the fitted curve, on how many points, and risk over coverage.

    A predicted point is right when it lies within reach in 3D; invented ones are wrong.

    Parameters
    ----------
    evaluation : of all points, with the networks' own confidences, none left out.
    """
    placed = [row for row in evaluation.rows if row.outcome != "missed"]
    confidences = [row.confidence for row in placed]
    right = [row.within(evaluation.within, in_plane=False) for row in placed]
    fitted = calibrate(confidences, right)
    sure = [c if math.isfinite(c) else 0.0 for c in confidences]
    curve = risk_coverage(sure, [float(not ok) for ok in right]) if placed else None
    return {
        **asdict(fitted),
        "points": len(placed),
        "wrong": len(right) - sum(right),
        "coverage": [] if curve is None else curve.coverage.tolist(),
        "risk": [] if curve is None else curve.risk.tolist(),
    }
