"""``evaluate``: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv`` and ``summary.json``. How a case is scored is its task's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.dataset.leaks import describe_case
from voxloom.errors import BadInput
from voxloom.files import write_json, write_text
from voxloom.progress import Progress
from voxloom.run.guard import refuse_leak
from voxloom.run.run import Run
from voxloom.tasks.scoring import counter, pooled, predict_and_score
from voxloom.tasks.study import Study
from voxloom.tasks.task import Table, task_of
from voxloom.trust.quality import is_calibrated, judge_test

#: Entries of a summary beside the table's figures.
FURTHER = ("structures",)


@dataclass(frozen=True)
class RunEvaluation:
    """Figures of a run on one data set.

    Parameters
    ----------
    run : folder of the run.
    name : "validation", or the name of the data set.
    evaluation : the table of the run's task; a row per case and label, or per landmark.
    warnings : what a reader must know about the cases.
    further : figures beside the table's, e.g. of single structures.
    """

    run: Path
    name: str
    evaluation: Any
    warnings: tuple[str, ...] = ()
    further: Mapping[str, Any] = field(default_factory=dict)

    @property
    def structures(self) -> dict[str, Any] | None:
        """Figures of single structures, where the recipe counts them."""
        return self.further.get("structures")

    def summary(self) -> dict[str, Any]:
        """The table's figures and the further ones."""
        return {**self.evaluation.summary(), **self.further}

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run's report, which includes these figures."""
        return report_run(self.run, Path(path) if path is not None else None)


def validate_run(study: Study, outcomes: Mapping[str, Any], progress: Progress | None = None) -> dict[str, Any]:
    """Predict every fold's held-out cases with its own network, settle what follows from them, write ``summary.json``.

    Parameters
    ----------
    outcomes : what each fold's training ended with.
    """
    task, folder = study.task, study.folder
    tick = counter(sum(len(fold.val) for fold in study.folds), progress)
    scored: dict[str, Table] = {}
    files: dict[str, Path] = {}
    for number, fold in enumerate(study.folds):
        cases, place = [study.dataset[name] for name in fold.val], folder / f"fold_{number}"
        if cases:
            predictor = task.load([place], device=study.device)
            scored[place.name], written = predict_and_score(task, predictor, cases, place / "predictions", tick)
            files |= written
    scored, settled = task.settle(study, scored)
    for name, table in scored.items():
        table.write_csv(folder / name / "metrics.csv")
    summary: dict[str, Any] = {"task": task.name, **settled, "folds": dict(outcomes)}
    if scored:
        further = task.figures(Run(folder), predictor, [study.dataset[case] for case in files], folder, files)
        summary["validation"] = {**pooled(scored.values()).summary(), **task.spread(scored), **further}
    write_json(folder / "summary.json", summary)
    return summary


def evaluate_run(
    folder: Path, data: str | Path | Dataset | None = None, out: Path | None = None, *, device: str = "auto"
) -> RunEvaluation:
    """Score a run on another data set, or give the figures of its held-out cases.

    Parameters
    ----------
    folder : of the run.
    data : annotated data set; its test split where it has one. None: the held-out cases of the run.
    out : where predictions and ``metrics.csv`` go; default: ``test`` in the run.

    Raises
    ------
    BadInput : no case is annotated, the labels differ from the run's, or a case or patient is one of the run's own.
    """
    run = Run(folder)
    task = task_of(run)
    if data is None:
        kept = run.summary.get("validation", {})
        further = {name: kept[name] for name in FURTHER if name in kept}
        return RunEvaluation(folder, "validation", task.read_table(run.held_out_tables, run), further=further)
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    test = [case for case in (dataset.test if len(dataset.test) else dataset) if task.annotated(case)]
    if not test:
        raise BadInput(f"no case with {task.needed} to evaluate on", dataset.root, task.remedy)
    warnings = refuse_leak(run, test)
    place = out or folder / "test"
    predictor = task.open(run, device=device)
    table, files = predict_and_score(task, predictor, test, place / "predictions")
    table.write_csv(place / "metrics.csv")
    write_json(place / "cases.json", [describe_case(case) for case in test])
    further = task.figures(run, predictor, test, place, files)
    if is_calibrated(folder):
        further["quality"] = judge_test(run, predictor, test, place, table)
    if out is None:
        noted = {"warnings": warnings} if warnings else {}
        told = {"name": dataset.name, **table.summary(), **further, **noted}
        write_json(folder / "summary.json", {**run.summary, "test": told})
    return RunEvaluation(folder, dataset.name, table, tuple(warnings), further)


def report_run(folder: Path, path: Path | None = None) -> Path:
    """Write ``report.html`` and what else its task writes beside it; a copy of the page to ``path``."""
    written = task_of(Run(folder)).report(folder)
    if path is None:
        return written
    write_text(path, written.read_text(encoding="utf-8"))
    return path
