"""Regression as a task: numbers for every case; scored by their errors, with intervals that keep a promise."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from voxloom.attribution import Explainable
from voxloom.dataset import Case, Dataset, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.compare_numbers import NUMBERS
from voxloom.evaluation.conformal import check_errors, quantile
from voxloom.evaluation.paired import Comparison
from voxloom.evaluation.regression import NumberEvaluation, NumberRow, error_by_band
from voxloom.evaluation.scores import NUMBER_SCORES
from voxloom.files import read_json, write_text
from voxloom.formats.dicom.results.terms import Findings
from voxloom.report.cards.whole_cases import Numbers
from voxloom.report.class_table import target_rows
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.tasks.regression.explained import explain_numbers
from voxloom.tasks.regression.objective import NumberObjective, Scale, find_scale
from voxloom.tasks.regression.predictor import NumberAnswer, NumberCalibration, NumberPredictor, figures_of
from voxloom.tasks.scoring import held_out, pooled
from voxloom.tasks.stressed import StressTest
from voxloom.tasks.study import Study
from voxloom.tasks.values import Example, Table
from voxloom.tasks.whole_case.calibration import TOLD, was_used, write_calibration
from voxloom.tasks.whole_case.explained import mirrors_of
from voxloom.tasks.whole_case.settings import RegressionSettings
from voxloom.tasks.whole_case.stress import NUMBER_STRESS
from voxloom.tasks.whole_case.task import BEST, WORST, WholeCaseTask, check_rows
from voxloom.tasks.wish import PLAIN, Wish


class Regression(WholeCaseTask):
    """See :class:`voxloom.tasks.task.Task`."""

    name = "regression"
    section: str | None = "regression"
    settings: type[BaseModel] | None = RegressionSettings
    main_score = "mae"
    scores: Mapping[str, Any] = NUMBER_SCORES
    comparison: Comparison | None = NUMBERS
    stress: StressTest | None = NUMBER_STRESS
    trained_on = "numbers"
    title, monitor = "Numbers", "val_loss"

    def meaning_of(self, dataset: Dataset, settings: RegressionSettings) -> Scale:
        """The targets and their scale."""
        return find_scale(dataset, settings)

    def meaning_from(self, values: Mapping[str, Any]) -> Scale:
        """The targets of a run."""
        return Scale.from_dict(values)

    def objective(self, meaning: Scale, settings: RegressionSettings) -> NumberObjective:
        """Error in SDs."""
        return NumberObjective(meaning, settings)

    def repeats(self, targets: Sequence[np.ndarray], meaning: Scale, settings: RegressionSettings) -> list[int]:
        """Every case once."""
        return [1] * len(targets)

    def load(self, folds: Sequence[RunFold], *, device: str = "auto") -> NumberPredictor:
        """Networks of folds, without intervals."""
        return NumberPredictor.load(self.networks(folds, device, False), folds, NumberCalibration())

    def open(self, run: Run, wish: Wish = PLAIN) -> NumberPredictor:
        """All folds with the intervals of the held-out cases."""
        self.refuse_abstain(run, wish)
        networks = self.opened_networks(run, wish)
        return NumberPredictor.load(networks, run.folds, NumberCalibration.of(run.folder))

    def measure(self, run: Run, predictor: Any, predictions: Sequence[Path], out: Path) -> list[Path]:
        """One table of all answers."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", "target", "value", "low", "high"])
        for path in predictions:
            found = json.loads(path.read_text(encoding="utf-8"))
            for name, about in found["targets"].items():
                writer.writerow([found["case"], name, *(about.get(key, "") for key in ("value", "low", "high"))])
        write_text(out / "predictions.csv", text.getvalue())
        return [out / "predictions.csv"]

    def findings(self, predictor: Any, volume: Any, prediction: NumberAnswer, probabilities: bool = False) -> Findings:
        """The numbers, with intervals where the run has them."""
        return Findings(figures=figures_of(prediction))

    def table(self, predictor: NumberPredictor) -> NumberEvaluation:
        """A row per case and target."""
        return NumberEvaluation()

    def read_table(self, paths: Sequence[Path], run: Run) -> NumberEvaluation:
        """The rows of all folds."""
        return NumberEvaluation([row for path in paths for row in NumberEvaluation.read_csv(path).rows])

    def score(
        self,
        table: NumberEvaluation,
        case: Case,
        prediction: NumberAnswer,
        predictor: NumberPredictor,
        labels: Labels | None,
    ) -> list[str]:
        """Truth and prediction of every target that is known."""
        rows = [
            NumberRow(
                case.id,
                case.patient,
                name,
                truth,
                prediction.values[n],
                prediction.low[n],
                prediction.high[n],
                prediction.unsure[n],
                math.nan if prediction.promise is None else prediction.promise,
            )
            for n, (name, truth) in enumerate(zip(predictor.meaning.names, predictor.meaning.raw(case), strict=True))
            if not math.isnan(truth)
        ]
        table.add(rows)
        if not rows:
            return ["has no target and is not scored"]
        return [TOLD] if was_used(case, predictor.calibration.used) else []

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """Errors in the bands that the recipe states, per target."""
        edges, meaning = self.own_settings(run.recipe).bands, self.meaning_from(run.data["dataset"]["meaning"])
        if not edges:
            return {}
        answers = {case.id: read_json(predictions[case.id])["targets"] for case in cases}
        found = {}
        for n, name in enumerate(meaning.names):
            known = [(case, meaning.raw(case)[n]) for case in cases]
            kept = [(case, truth) for case, truth in known if not math.isnan(truth)]
            truth, guess = np.array([t for _, t in kept]), np.array([answers[c.id][name]["value"] for c, _ in kept])
            found[name] = error_by_band(truth, guess, edges, [case.patient for case, _ in kept]) if kept else []
        return {"stated_bands": found}

    def settle(self, study: Study, scored: Mapping[str, NumberEvaluation]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Conformal half-widths by the errors of the held-out cases."""
        if not scored:
            return {}, {}
        names = study.material.meaning.names  # type: ignore[attr-defined]
        about = self.calibration(pooled(scored.values()), study.settings.own.promise, names)
        write_calibration(study.folder, about)
        return dict(scored), {"calibration": about}

    def calibration(self, table: Any, promise: float, names: Sequence[str] = ()) -> dict[str, Any]:
        """Half-widths per target, and whether their promise holds on cases they were not fitted to.

        Parameters
        ----------
        names : of the targets, in the order of the run; empty takes those of the table.
        """
        limits, counts, checks = [], [], {}
        for name in names or table.targets:
            rows = table.of(name)
            errors, patients = [abs(row.prediction - row.truth) for row in rows], [row.patient for row in rows]
            limit = quantile(errors, promise, patients) if rows else math.inf
            limits.append(None if math.isinf(limit) else limit)
            counts.append(len(set(patients)))
            check = check_errors(errors, promise, patients) if rows else None
            checks[name] = check.to_dict() if check else None
        return {"limits": limits, "promise": promise, "patients": counts, "checked": checks}

    def calibration_rows(self, about: Mapping[str, Any]) -> list[list[str]]:
        """For the screen."""
        rows = []
        for (name, check), limit in zip(about["checked"].items(), about["limits"], strict=True):
            told = "too few patients for an interval" if limit is None else f"{limit:.4g}"
            rows += [[f"{name}: half of an interval", told], *check_rows(check, f"{name}: intervals", "mean width")]
        return rows

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """Errors per target."""
        return target_rows(summary)

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """The same."""
        return target_rows(summary)

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """A figure of the first target, or of one: "mae", "rmse.age"."""
        metric, _, label = score.partition(".")
        targets = held_out(summary)["targets"]
        label = label or next(iter(targets))
        figures = targets.get(label, {})
        if not isinstance(figures.get(metric), dict) or "value" not in figures[metric]:
            raise BadInput(f"there is no figure `{score}`", None, "There are mae, rmse, r2 and bias, of every target")
        return {"score": figures[metric]["value"]}

    def subject(self) -> Numbers:
        """Numbers, by the keys of its section."""
        assert self.section is not None
        return Numbers(self.section)

    def explainable(self, run: Run, folds: Sequence[RunFold], device: str = "auto") -> Explainable:
        """Every target."""
        return explain_numbers(self.load(folds, device=device), mirrors_of(run))

    def examples(self, table: NumberEvaluation) -> list[Example]:
        """The largest errors, then the smallest, with the maps of all targets."""
        losses = table.losses()
        best = losses[len(losses) - BEST :] if len(losses) >= WORST + BEST else []
        return [
            Example(one.case, (), f"{one.case}: {one.truth}, answer {one.answer}", one in best)
            for one in (*losses[:WORST], *reversed(best))
        ]

    def report(self, run: Path) -> Path:
        """Page and cards."""
        from voxloom.report.class_page import write_number_report

        self.cards(run)
        return write_number_report(run)


TASK = Regression()
