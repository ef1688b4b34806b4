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

from voxloom.dataset import Case, Dataset, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.conformal import quantile
from voxloom.evaluation.regression import NumberEvaluation, NumberRow
from voxloom.evaluation.scores import NUMBER_SCORES
from voxloom.files import write_json, write_text
from voxloom.report.cards.whole_cases import Numbers
from voxloom.report.class_table import target_rows
from voxloom.run.run import Run
from voxloom.tasks.regression.objective import NumberObjective, Scale, find_scale
from voxloom.tasks.regression.predictor import NumberAnswer, NumberCalibration, NumberPredictor
from voxloom.tasks.scoring import held_out, pooled
from voxloom.tasks.study import Study
from voxloom.tasks.task import PLAIN, Table, Wish
from voxloom.tasks.whole_case.settings import RegressionSettings
from voxloom.tasks.whole_case.task import CALIBRATION, WholeCaseTask


class Regression(WholeCaseTask):
    """See :class:`voxloom.tasks.task.Task`."""

    name = "regression"
    section: str | None = "regression"
    settings: type[BaseModel] | None = RegressionSettings
    main_score = "mae"
    scores: Mapping[str, Any] = NUMBER_SCORES
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

    def load(self, folds: Sequence[Path], *, device: str = "auto") -> NumberPredictor:
        """Networks of folds, without intervals."""
        return NumberPredictor.load(self.networks(folds, device, False), folds, NumberCalibration())

    def open(self, run: Run, wish: Wish = PLAIN) -> NumberPredictor:
        """All folds with the intervals of the held-out cases."""
        self.refuse_abstain(run, wish)
        networks = self.networks(run.folds, wish.device, wish.tta)
        return NumberPredictor.load(networks, run.folds, NumberCalibration.of(run.folder))

    def predict_case(self, predictor: NumberPredictor, case: Case) -> NumberAnswer:
        """With the covariates of the case."""
        return predictor.predict(case.read_image(), case.attributes)

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
            NumberRow(case.id, case.patient, name, truth, prediction.values[n], prediction.low[n], prediction.high[n])
            for n, (name, truth) in enumerate(zip(predictor.meaning.names, predictor.meaning.raw(case), strict=True))
            if not math.isnan(truth)
        ]
        table.add(rows)
        return [] if rows else ["has no target and is not scored"]

    def settle(self, study: Study, scored: Mapping[str, NumberEvaluation]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Conformal half-widths by the errors of the held-out cases."""
        if not scored:
            return {}, {}
        found = pooled(scored.values())
        assert isinstance(found, NumberEvaluation)
        promise, limits, counts = study.settings.own.promise, [], []
        for name in study.material.meaning.names:  # type: ignore[attr-defined]
            rows = found.of(name)
            errors = [abs(row.prediction - row.truth) for row in rows]
            limit = quantile(errors, promise, [row.patient for row in rows]) if rows else math.inf
            limits.append(None if math.isinf(limit) else limit)
            counts.append(len({row.patient for row in rows}))
        about = {"limits": limits, "promise": promise, "patients": counts}
        write_json(study.folder / CALIBRATION, about)
        return dict(scored), {"calibration": about}

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

    def report(self, run: Path) -> Path:
        """Page and cards."""
        from voxloom.report.class_page import write_number_report

        self.cards(run)
        return write_number_report(run)


TASK = Regression()
