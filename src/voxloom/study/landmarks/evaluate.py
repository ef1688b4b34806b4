"""Evaluating a landmark run: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv``, ``calibration.json`` and ``summary.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom.dataset import Case, Dataset
from voxloom.dataset.leaks import describe_case
from voxloom.dataset.sources import source_header
from voxloom.errors import BadInput
from voxloom.evaluation.point_tests import calibrate, risk_coverage
from voxloom.evaluation.points import PointEvaluation, score_points
from voxloom.files import write_json, write_text
from voxloom.points import write_points
from voxloom.progress import Progress
from voxloom.report.parts import file_stem
from voxloom.study.guard import refuse_leak
from voxloom.study.landmarks.predict import CALIBRATION, LandmarkPredictor
from voxloom.study.run import Run

if TYPE_CHECKING:
    from voxloom.study.landmarks.train import LandmarkStudy


@dataclass(frozen=True)
class LandmarkEvaluation:
    """Figures of a run on one data set: its folder, "validation" or the set's name, a row per landmark, and warnings."""

    run: Path
    name: str
    evaluation: PointEvaluation
    warnings: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """See :meth:`voxloom.evaluation.points.PointEvaluation.summary`."""
        return self.evaluation.summary()

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run's report, which includes these figures."""
        return report_landmarks(self.run, None if path is None else Path(path))


def slice_normal(case: Case) -> tuple[float, float, float]:
    """The direction across the slices of a case, RAS: its axis of the largest spacing; the left-right axis for cubes."""
    axes = source_header(next(iter(case.images.values()))).affine[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if lengths.max() < 1.2 * lengths.min():
        return (1.0, 0.0, 0.0)
    x, y, z = (float(v) for v in axes[:, int(lengths.argmax())])
    return (x, y, z)


def predict_and_score_points(
    predictor: LandmarkPredictor, cases: Sequence[Case], out: Path, tick: Callable[[], None] = lambda: None
) -> PointEvaluation:
    """Predict cases that have points into ``out`` and score each."""
    evaluation = PointEvaluation(within=predictor.settings.within)
    for case in cases:
        points = predictor.predict(case.read_image())
        write_points(points, out / f"{case.id}.csv", case.id)
        evaluation.add(score_points(case.id, points, predictor.layout.known(case.read_points()), slice_normal(case)))
        tick()
    return evaluation


def validate_landmarks(
    study: LandmarkStudy, outcomes: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Predict every fold's held-out cases with its own network, calibrate the confidence on them, write ``summary.json``."""
    folder = study.folder
    total = sum(len(fold.val) for fold in study.folds)
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    pooled = PointEvaluation(within=study.plan.landmarks.within)
    for number, fold in enumerate(study.folds):
        place = folder / f"fold_{number}"
        if fold.val:
            cases = [study.dataset[name] for name in fold.val]
            predictor = LandmarkPredictor.from_folds([place], device=study.device)
            evaluation = predict_and_score_points(predictor, cases, place / "predictions", tick)
            evaluation.write_csv(place / "metrics.csv")
            pooled.add(evaluation.rows)
    summary: dict[str, Any] = {"kind": "landmarks", "folds": dict(outcomes)}
    if pooled.rows:
        summary["validation"] = pooled.summary()
        write_json(folder / CALIBRATION, calibration_of(pooled))
    write_json(folder / "summary.json", summary)
    return summary


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


def evaluate_landmarks(
    folder: Path, data: str | Path | Dataset | None = None, out: Path | None = None, device: str = "auto"
) -> LandmarkEvaluation:
    """Score a run on another data set, or give the figures of its held-out cases; see ``voxloom.study.evaluation.evaluate_run``.

    Raises BadInput when no case has points, or one of them trained the run.
    """
    run = Run(folder)
    within = float(run.recipe.landmarks.get("within", 5.0))
    if data is None:
        return LandmarkEvaluation(folder, "validation", held_out_points(run, within))
    dataset = (data if isinstance(data, Dataset) else Dataset(data)).with_series(run.recipe.data.series)
    chosen = dataset.test if len(dataset.test) else dataset
    test = [case for case in chosen if case.points is not None]
    if not test:
        raise BadInput("no case with points to evaluate on", dataset.root, "Add points/<case>.csv")
    warnings = tuple(refuse_leak(run, test))
    place = out or folder / "test"
    evaluation = predict_and_score_points(LandmarkPredictor.of(run, device=device), test, place / "predictions")
    evaluation.write_csv(place / "metrics.csv")
    write_json(place / "cases.json", [describe_case(case) for case in test])
    if out is None:
        write_json(folder / "summary.json", {**run.summary, "test": {"name": dataset.name, **evaluation.summary()}})
    return LandmarkEvaluation(folder, dataset.name, evaluation, warnings)


def evaluate_external_points(folder: Path, external: Mapping[str, Dataset]) -> None:
    """Score every external set with all folds of a run; adds ``external`` to ``summary.json``."""
    figures = {}
    for name, dataset in external.items():
        place = folder / "external" / file_stem(name)
        evaluation = evaluate_landmarks(folder, dataset, place).evaluation
        figures[name] = {"name": name, "folder": f"external/{place.name}", **evaluation.summary()}
    if figures:
        write_json(folder / "summary.json", {**Run(folder).summary, "external": figures})


def held_out_points(run: Run, within: float) -> PointEvaluation:
    """The rows of every fold's ``metrics.csv``."""
    files = sorted(run.folder.glob("fold_*/metrics.csv"))
    if not files:
        raise BadInput("the run has no held-out cases", run.folder, "Give a data set: voxloom evaluate RUN DATASET")
    rows = [row for path in files for row in PointEvaluation.read_csv(path).rows]
    return PointEvaluation(rows, within=within)


def report_landmarks(folder: Path, path: Path | None = None) -> Path:
    """Write ``report.html``; a copy to ``path`` where given."""
    from voxloom.report.landmark_page import write_landmark_report

    written = write_landmark_report(folder)
    if path is None:
        return written
    write_text(path, written.read_text(encoding="utf-8"))
    return path
