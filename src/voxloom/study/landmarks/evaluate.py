"""Evaluating a landmark run: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv``, ``calibration.json`` and ``summary.json``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.dataset import Case, Dataset
from voxloom.dataset.join import with_channels
from voxloom.dataset.leaks import describe_case
from voxloom.dataset.sources import source_header
from voxloom.errors import BadInput
from voxloom.evaluation.point_tests import Calibration, calibrate, risk_coverage
from voxloom.evaluation.points import PointEvaluation, PointRow, score_points, slice_normal
from voxloom.files import plain, write_json, write_text
from voxloom.points import Point, write_points
from voxloom.progress import Progress
from voxloom.report.parts import file_stem
from voxloom.study.evaluation import STATISTICS
from voxloom.study.guard import refuse_leak
from voxloom.study.landmarks.predict import CALIBRATION, LandmarkPredictor
from voxloom.study.run import Run

if TYPE_CHECKING:
    from voxloom.study.landmarks.train import LandmarkStudy


@dataclass(frozen=True)
class ScoredPoints:
    """Rows of points that were kept, the least confidence that was asked for, and how many points were left out by it."""

    evaluation: PointEvaluation
    abstain: float
    left_out: int = 0

    def summary(self) -> dict[str, Any]:
        """Figures, and what was left out: a landmark whose point was left out counts as missed."""
        return {**self.evaluation.summary(), "abstained": {"below": self.abstain, "points": self.left_out}}


@dataclass(frozen=True)
class LandmarkEvaluation:
    """Figures of a run on one data set: its folder, "validation" or the set's name, a row per landmark, and warnings.

    ``scored`` is there where points were predicted now; of the held-out cases it is in ``summary.json``.
    """

    run: Path
    name: str
    evaluation: PointEvaluation
    warnings: tuple[str, ...] = ()
    scored: ScoredPoints | None = None

    def summary(self) -> dict[str, Any]:
        """See :meth:`voxloom.evaluation.points.PointEvaluation.summary`; with ``abstained`` where points were scored now."""
        return self.evaluation.summary() if self.scored is None else self.scored.summary()

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run's report, which includes these figures."""
        return report_landmarks(self.run, None if path is None else Path(path))


def normal_of(case: Case) -> tuple[float, float, float]:
    """The direction across the slices of a case, RAS (``slice_normal``)."""
    return slice_normal(source_header(next(iter(case.images.values()))).affine)


def predict_and_score_points(predictor: LandmarkPredictor, cases: Sequence[Case], out: Path) -> ScoredPoints:
    """Predict cases that have points into ``out`` as ``voxloom predict`` does, and score each."""
    raw = {case.id: predictor.raw_points(case.read_image()) for case in cases}
    return score_raw_points(predictor, cases, raw, out)


def score_raw_points(
    predictor: LandmarkPredictor, cases: Sequence[Case], raw: Mapping[str, tuple[Point, ...]], out: Path
) -> ScoredPoints:
    """Calibrate raw points, leave out those that are not sure enough, write the others into ``out`` and score them."""
    evaluation = PointEvaluation(within=predictor.settings.within)
    left_out = 0
    for case in cases:
        judged = predictor.judged(raw[case.id])
        left_out += len(judged.left_out)
        write_points(judged.kept, out / f"{case.id}.csv", case.id)
        evaluation.add(scored_case(predictor, case, judged.kept))
    return ScoredPoints(evaluation, predictor.settings.abstain, left_out)


def scored_case(predictor: LandmarkPredictor, case: Case, points: Iterable[Point]) -> list[PointRow]:
    """Rows of one case."""
    return score_points(case.id, points, predictor.layout.known(case.read_points()), normal_of(case))


def validate_landmarks(
    study: LandmarkStudy, outcomes: Mapping[str, Any], progress: Progress | None = None
) -> dict[str, Any]:
    """Predict every fold's held-out cases with its own network, calibrate the confidence on all of them, write ``summary.json``.

    The figures are those of the points that ``voxloom predict`` would give: with calibrated confidences, without those below
    ``landmarks.abstain``.
    """
    folder = study.folder
    total, done = sum(len(fold.val) for fold in study.folds), 0
    held_out: list[tuple[Path, LandmarkPredictor, list[Case], dict[str, tuple[Point, ...]]]] = []
    every = PointEvaluation(within=study.plan.landmarks.within)
    for number, fold in enumerate(study.folds):
        place, cases = folder / f"fold_{number}", [study.dataset[name] for name in fold.val]
        if not cases:
            continue
        predictor = LandmarkPredictor.from_folds([place], device=study.device)
        raw: dict[str, tuple[Point, ...]] = {}
        for case in cases:
            raw[case.id] = predictor.raw_points(case.read_image())
            every.add(scored_case(predictor, case, raw[case.id]))
            done += 1
            if progress is not None:
                progress(done, total)
        held_out.append((place, predictor, cases, raw))
    summary: dict[str, Any] = {"kind": "landmarks", "folds": dict(outcomes)}
    if held_out:
        learned = calibration_of(every)
        write_json(folder / CALIBRATION, learned)
        pooled = ScoredPoints(PointEvaluation(within=every.within), study.plan.landmarks.abstain)
        for place, predictor, cases, raw in held_out:
            known = replace(predictor, calibration=Calibration(learned["slope"], learned["offset"]))
            scored = score_raw_points(known, cases, raw, place / "predictions")
            scored.evaluation.write_csv(place / "metrics.csv")
            pooled.evaluation.add(scored.evaluation.rows)
            pooled = replace(pooled, left_out=pooled.left_out + scored.left_out)
        summary["validation"] = pooled.summary()
    write_json(folder / "summary.json", summary)
    return summary


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
        held_out = LandmarkEvaluation(folder, "validation", held_out_points(run, within))
        if out is not None:
            held_out.evaluation.write_csv(out / "metrics.csv")
            write_json(out / STATISTICS, plain({**run.summary.get("validation", {}), "name": held_out.name}))
        return held_out
    dataset = (data if isinstance(data, Dataset) else Dataset(data)).with_series(run.recipe.data.series)
    chosen = dataset.test if len(dataset.test) else dataset
    test = [case for case in chosen if case.points is not None]
    if not test:
        raise BadInput("no case with points to evaluate on", dataset.root, "Add points/<case>.csv")
    warnings = tuple(refuse_leak(run, test))
    place = out or folder / "test"
    predictor = LandmarkPredictor.of(run, device=device)
    ordered = list(with_channels(dataset.subset([case.id for case in test]), predictor.channels))
    scored = predict_and_score_points(predictor, ordered, place / "predictions")
    scored.evaluation.write_csv(place / "metrics.csv")
    write_json(place / "cases.json", [describe_case(case) for case in ordered])
    told = {"name": dataset.name, **scored.summary(), **({"warnings": list(warnings)} if warnings else {})}
    if out is None:
        write_json(folder / "summary.json", {**run.summary, "test": told})
    else:
        write_json(out / STATISTICS, plain(told))
    return LandmarkEvaluation(folder, dataset.name, scored.evaluation, warnings, scored)


def evaluate_external_points(folder: Path, external: Mapping[str, Dataset]) -> None:
    """Score every external set with all folds of a run; adds ``external`` to ``summary.json``."""
    figures = {}
    for name, dataset in external.items():
        place = folder / "external" / file_stem(name)
        found = evaluate_landmarks(folder, dataset, place)
        figures[name] = {"name": name, "folder": f"external/{place.name}", **found.summary()}
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
