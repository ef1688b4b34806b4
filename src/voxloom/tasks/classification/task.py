"""Classification as a task: a class, or several findings, for every case; scored by AUC, accuracy and their like."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel

from voxloom.attribution import Explainable
from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.evaluation.classification import ClassEvaluation, ClassRow
from voxloom.evaluation.compare_classes import CLASSES, read_classes
from voxloom.evaluation.conformal import check_classes, class_scores, quantile
from voxloom.evaluation.findings import ABSENT, FindingEvaluation, FindingRow
from voxloom.evaluation.losses import CaseLoss
from voxloom.evaluation.paired import Comparison
from voxloom.evaluation.probabilities import at_temperature, fit_temperature
from voxloom.evaluation.scores import CLASS_SCORES
from voxloom.files import write_text
from voxloom.formats.dicom.results.terms import Findings
from voxloom.recipe.recipe import Recipe
from voxloom.report.cards.whole_cases import Classes
from voxloom.report.class_table import class_rows
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.tasks.classification.answer import ClassAnswer, statements_of
from voxloom.tasks.classification.classes import Meaning, find_meaning
from voxloom.tasks.classification.explained import explain_classes
from voxloom.tasks.classification.further import further_figures
from voxloom.tasks.classification.objective import ClassObjective
from voxloom.tasks.classification.predictor import ClassCalibration, ClassPredictor, balanced_repeats
from voxloom.tasks.scoring import held_out, pooled
from voxloom.tasks.stressed import StressTest
from voxloom.tasks.study import Study
from voxloom.tasks.values import Example, Material, Table
from voxloom.tasks.whole_case.calibration import TOLD, was_used, write_calibration
from voxloom.tasks.whole_case.explained import mirrors_of
from voxloom.tasks.whole_case.settings import ClassificationSettings
from voxloom.tasks.whole_case.stress import CLASS_STRESS
from voxloom.tasks.whole_case.task import BEST, WORST, WholeCaseTask, check_rows
from voxloom.tasks.wish import PLAIN, Wish

#: Attribute of a case that holds its class.
STRATUM = "learned_class"


class Classification(WholeCaseTask):
    """See :class:`voxloom.tasks.task.Task`."""

    name = "classification"
    section: str | None = "classification"
    settings: type[BaseModel] | None = ClassificationSettings
    main_score = "auc"
    scores: Mapping[str, Any] = CLASS_SCORES
    comparison: Comparison | None = CLASSES
    stress: StressTest | None = CLASS_STRESS
    trained_on = "classes"
    title, monitor = "Classes", "val_loss"

    def meaning_of(self, dataset: Dataset, settings: ClassificationSettings) -> Meaning:
        """The classes."""
        return find_meaning(dataset, settings)

    def settled(self, recipe: Recipe, material: Material) -> tuple[Recipe, str | None]:
        """Folds are stratified by the class, where the recipe does not say by what."""
        stratum = recipe.folds.stratify is None and any(STRATUM in case.attributes for case in material.dataset)
        return (recipe.changed({"folds.stratify": STRATUM}), None) if stratum else (recipe, None)

    def notes_on(self, dataset: Dataset, targets: Mapping[str, np.ndarray], meaning: Meaning) -> tuple[str, ...]:
        """Patients with cases of several classes."""
        if meaning.kind == "findings":
            return ()
        classes: dict[str, set[int]] = {}
        for name, target in targets.items():
            classes.setdefault(dataset[name].patient, set()).add(int(np.argmax(target)))
        mixed = [patient for patient, found in classes.items() if len(found) > 1]
        if not mixed:
            return ()
        what = f"{len(mixed)} patient{'s have' if len(mixed) > 1 else ' has'} cases of several classes ({name_some(mixed)})"
        return (f"{what}, all in one fold; if the class is the patient's, correct the table",)

    def with_stratum(self, case: Case, target: np.ndarray, meaning: Meaning) -> Case:
        """Its class as an attribute."""
        if meaning.kind == "findings":
            return case
        return replace(case, attributes={**case.attributes, STRATUM: meaning.classes[int(np.argmax(target))]})

    def meaning_from(self, values: Mapping[str, Any]) -> Meaning:
        """The classes of a run."""
        return Meaning.from_dict(values)

    def objective(self, meaning: Meaning, settings: ClassificationSettings) -> ClassObjective:
        """Cross-entropy and AUC."""
        return ClassObjective(meaning, settings)

    def repeats(self, targets: Sequence[np.ndarray], meaning: Meaning, settings: ClassificationSettings) -> list[int]:
        """More of rare classes, as ``balance`` says."""
        return balanced_repeats(targets, settings.balance if meaning.kind != "findings" else 0.0)

    def load(self, folds: Sequence[RunFold], *, device: str = "auto") -> ClassPredictor:
        """Networks of folds; probabilities as they come."""
        return ClassPredictor.load(self.networks(folds, device, False), folds, ClassCalibration())

    def open(self, run: Run, wish: Wish = PLAIN) -> ClassPredictor:
        """All folds at the temperature of the held-out cases."""
        networks = self.opened_networks(run, wish)
        predictor = ClassPredictor.load(networks, run.folds, ClassCalibration.of(run.folder))
        if wish.abstain is not None and predictor.meaning.kind == "findings":
            raise BadInput("--abstain is for runs with one answer per case", run.folder, "Leave it out")
        return replace(predictor, least=wish.abstain or 0.0)

    def measure(self, run: Run, predictor: Any, predictions: Sequence[Path], out: Path) -> list[Path]:
        """One table of all answers."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        classes = predictor.meaning.classes
        writer.writerow(["case", "prediction", *(f"p_{name}" for name in classes), "possible"])
        for path in predictions:
            found = json.loads(path.read_text(encoding="utf-8"))
            p = [f"{found['probabilities'][name]:.6g}" for name in classes]
            writer.writerow([found["case"], found["prediction"] or "", *p, " ".join(found.get("possible", ()))])
        write_text(out / "predictions.csv", text.getvalue())
        return [out / "predictions.csv"]

    def findings(self, predictor: Any, volume: Any, prediction: ClassAnswer, probabilities: bool = False) -> Findings:
        """The class, or each finding, with its probability."""
        return Findings(statements=statements_of(prediction))

    def table(self, predictor: ClassPredictor) -> ClassEvaluation | FindingEvaluation:
        """A row per case, or per case and finding."""
        meaning = predictor.meaning
        return FindingEvaluation(meaning.classes) if meaning.kind == "findings" else ClassEvaluation(meaning.classes)

    def read_table(self, paths: Sequence[Path], run: Run) -> ClassEvaluation | FindingEvaluation:
        """The rows of all folds."""
        return read_classes(paths)

    def score(
        self,
        table: Any,
        case: Case,
        prediction: ClassAnswer,
        predictor: ClassPredictor,
        labels: Labels | None,
    ) -> list[str]:
        """Truth and probabilities; a case whose class the run does not know is refused."""
        target = predictor.meaning.target(case)
        if target is None:
            return ["has no target and is not scored"]
        used = [TOLD] if was_used(case, predictor.calibration.used) else []
        if predictor.meaning.kind == "findings":
            each = zip(predictor.meaning.classes, target, prediction.probabilities, strict=True)
            table.add([FindingRow(case.id, case.patient, name, t > 0.5, p) for name, t, p in each if np.isfinite(t)])
            return used
        if not np.isfinite(target).all() or target.sum() == 0:
            what = f"case {case.id} has a class that the run does not know"
            raise BadInput(what, None, f"The run tells apart {', '.join(predictor.meaning.classes)}")
        truth = predictor.meaning.classes[int(target.argmax())]
        sets = (prediction.possible, prediction.promise)
        table.add(ClassRow(case.id, case.patient, truth, prediction.probabilities, *sets))
        return used

    def figures(
        self, run: Run, labels: Labels | None, cases: Sequence[Case], folder: Path, predictions: Mapping[str, Path]
    ) -> dict[str, Any]:
        """At the stated thresholds, and how far raters and the network agree."""
        return further_figures(run, self.own_settings(run.recipe), cases, predictions)

    def settle(self, study: Study, scored: Mapping[str, Any]) -> tuple[dict[str, Table], dict[str, Any]]:
        """Temperature and conformal limit by the held-out cases; their own figures stay uncalibrated."""
        if not scored:
            return {}, {}
        about = self.calibration(pooled(scored.values()), study.settings.own.promise)
        write_calibration(study.folder, about)
        return dict(scored), {"calibration": about}

    def calibration(self, table: Any, promise: float) -> dict[str, Any]:
        """Temperature, the limit of conformal sets, and whether their promise holds on cases they were not fitted to.

        Of findings one by one.
        """
        if isinstance(table, FindingEvaluation):
            each = {name: calibration_of(table.of(name), promise) for name in table.findings}
            return {"findings": each, "promise": promise}
        return calibration_of(table, promise)

    def calibration_rows(self, about: Mapping[str, Any]) -> list[list[str]]:
        """For the screen."""
        if "findings" in about:
            each = [(name, row) for name, one in about["findings"].items() for row in self.calibration_rows(one)]
            return [[f"{name}: {title}", value] for name, (title, value) in each]
        rows = [["temperature of the probabilities", f"{about['temperature']:.3f}"]]
        return [*rows, *check_rows(about["checked"], "sets", "classes per set")]

    def rows(self, summary: Mapping[str, Any] | None) -> list[list[str]]:
        """AUC, accuracy and their like."""
        return class_rows(summary)

    def details(self, summary: Mapping[str, Any]) -> list[list[str]]:
        """The same."""
        return class_rows(summary)

    def sweep_scores(self, summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
        """A metric over all classes, or of one: "auc", "f1.mass"."""
        return scores_of(summary, score)

    def subject(self) -> Classes:
        """Classes, by the keys of its section."""
        assert self.section is not None
        return Classes(self.section)

    def explainable(self, run: Run, folds: Sequence[RunFold], device: str = "auto") -> Explainable:
        """Every class."""
        return explain_classes(self.load(folds, device=device), mirrors_of(run))

    def examples(self, table: Any) -> list[Example]:
        """The most confidently wrong with the maps of answer and truth, then the surest right ones."""
        losses = table.losses()
        wrong = [one for one in losses if not one.right][:WORST]
        right = [one for one in reversed(losses) if one.right][:BEST]
        return [
            Example(
                one.case,
                asked_of(table, one),
                f"{one.case}: {one.truth}, answer {one.answer} ({one.confidence:.2f})",
                bool(one.right),
            )
            for one in (*wrong, *right)
        ]

    def report(self, run: Path) -> Path:
        """Page and cards."""
        from voxloom.report.class_page import write_class_report

        self.cards(run)
        return write_class_report(run)


TASK = Classification()


def asked_of(table: Any, one: CaseLoss) -> tuple[str, ...]:
    """Answer and true class of a case; of findings the one that was worst."""
    if isinstance(table, FindingEvaluation):
        return tuple(name for name in table.findings if one.truth in (f"{name} present", f"{name} {ABSENT}"))
    return tuple(dict.fromkeys((one.answer, one.truth)))


def calibration_of(table: ClassEvaluation, promise: float) -> dict[str, Any]:
    """See ``Classification.calibration``; a table without any row promises nothing."""
    if not table.rows:
        return {"temperature": 1.0, "limit": None, "promise": promise, "cases": 0, "patients": 0, "checked": None}
    temperature = fit_temperature(table.probabilities, table.truth)
    scores = class_scores(at_temperature(table.probabilities, temperature), table.truth)
    limit = quantile(scores, promise, table.patients)
    check = check_classes(table.probabilities, table.truth, promise, table.patients)
    return {
        "temperature": temperature,
        "limit": None if math.isinf(limit) else limit,
        "promise": promise,
        "cases": len(table.rows),
        "patients": len(set(table.patients)),
        "checked": check.to_dict() if check else None,
    }


def scores_of(summary: Mapping[str, Any], score: str) -> dict[str, float | None]:
    """The compared score and the same metric of every class.

    Raises
    ------
    BadInput : the run held out no case, or has no such metric or class.
    """
    validation = held_out(summary)
    metric, _, label = score.partition(".")
    metrics = [name for name in CLASS_SCORES if name in validation]
    if metric not in metrics:
        raise BadInput(f"there is no metric `{metric}`", None, f"There are {', '.join(metrics)}")
    by_class = validation[metric]
    label = label or ("all" if "all" in by_class else list(by_class)[-1])
    if label not in by_class:
        raise BadInput(f"`{metric}` has no class `{label}`", None, f"There are {', '.join(by_class)}")
    found: dict[str, float | None] = {"score": by_class[label]["value"]}
    return found | {f"{metric}.{name}": figures["value"] for name, figures in by_class.items()}
