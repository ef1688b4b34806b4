"""``evaluate``: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv`` and ``summary.json``. How a case is scored is its task's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.leaks import describe_case
from voxloom.errors import BadInput
from voxloom.evaluation.measures import Measures
from voxloom.files import plain, write_json, write_text
from voxloom.progress import Progress
from voxloom.report.notebook import html_table, text_table
from voxloom.run.cases import other_set
from voxloom.run.guard import refuse_leak
from voxloom.run.run import Run
from voxloom.runfiles import STATISTICS, SUMMARY, TABLE, CaseFiles
from voxloom.tasks.abilities import need
from voxloom.tasks.predicted import ROOT
from voxloom.tasks.scoring import annotated_test, counter, pooled, predict_and_score, time_per_case
from voxloom.tasks.study import Study
from voxloom.tasks.task import Task, task_of
from voxloom.tasks.values import Table
from voxloom.tasks.wish import Wish
from voxloom.trust.quality import is_calibrated, judge_test
from voxloom.verbs.known_features import keep_features

if TYPE_CHECKING:
    from pandas import DataFrame

#: Entries of a summary beside the table's figures.
FURTHER = ("structures", "slices", "abstained", "raters", "thresholds", "stated_bands", "seconds")
#: Columns of ``metrics.csv`` that are names, also where they look like numbers.
NAMES = ("case", "patient", "label", "landmark", "name", "side", "truth", "predicted")


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

    @cached_property
    def figures(self) -> dict[str, Any]:
        """The table's figures; their intervals leave out one patient after the other, so they are reckoned once."""
        found: dict[str, Any] = self.evaluation.summary()
        return found

    def summary(self) -> dict[str, Any]:
        """The table's figures and the further ones."""
        return {**self.figures, **self.further}

    @property
    def frame(self) -> DataFrame:
        """A row per case and label, landmark or answer, as in ``metrics.csv``; ids and names stay text."""
        from pandas import read_csv

        with tempfile.TemporaryDirectory() as folder:
            file = self.evaluation.write_csv(Path(folder) / TABLE)
            return read_csv(file, dtype=dict.fromkeys(NAMES, str), keep_default_na=False, na_values=["", "nan"])

    def _repr_html_(self) -> str:
        """The figures as a table, with what a reader must know below it."""
        rows, title = self._table()
        return html_table(rows, title, self.warnings)

    def __repr__(self) -> str:
        rows, title = self._table()
        return text_table(rows, title, self.warnings)

    def _table(self) -> tuple[list[list[str]], str]:
        """Rows with a header row, and what stands above them."""
        task = task_of(Run(self.run))
        return task.details(self.summary()), f"{task.title}, {self.name}"

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
    tables: dict[str, Table] = {}
    files: dict[str, Path] = {}
    warnings: list[str] = []
    seconds: list[float] = []
    for number, fold in enumerate(study.folds):
        cases, place = [study.dataset[name] for name in fold.val], study.place(number)
        if cases:
            predictor = task.load([place], device=study.device)
            scored = predict_and_score(task, predictor, cases, place.held_out.predictions, tick)
            tables[place.name] = scored.table
            files |= scored.files
            seconds += scored.seconds
            warnings += [warning for warning in scored.warnings if warning not in warnings]
            if number == 0:
                steps = int(outcomes.get(place.name, {}).get("steps", 0))
                warnings += keep_features(study, task.features(predictor), scored.features, steps)
    tables, settled = task.settle(study, tables)
    for name, table in tables.items():
        table.write_csv(CaseFiles(folder / name).table)
    summary: dict[str, Any] = {"task": task.name, **settled, "folds": dict(outcomes)}
    if tables:
        cases = [study.dataset[case] for case in files]
        further = task.figures(Run(folder), study.material.labels, cases, folder, files)
        told = {**({"warnings": warnings} if warnings else {}), **time_per_case(seconds, study.device)}
        summary["validation"] = {**pooled(tables.values()).summary(), **task.spread(tables), **further, **told}
    write_json(folder / SUMMARY, summary)
    return summary


def evaluate_run(
    folder: Path,
    data: str | Path | Dataset | None = None,
    out: Path | None = None,
    *,
    device: str = "auto",
    measures: Measures | None = None,
) -> RunEvaluation:
    """Score a run on another data set, or give the figures of its held-out cases.

    Parameters
    ----------
    folder : of the run.
    data : annotated data set; its test split where it has one. Labels are matched with the run's by name, so that their values may
        differ. None: the held-out cases of the run.
    out : where ``metrics.csv``, ``statistics.json`` and predictions go; default: ``test`` in the run, and ``summary.json``. The
        held-out cases are written only where it is given.
    measures : what is measured of label maps; None measures what the recipe says. Held-out cases are then measured anew.

    Raises
    ------
    BadInput : no case is annotated, the targets contradict the run's, or a case or patient is one of the run's own.
    """
    run = Run(folder)
    task, wish = task_of(run), Wish(device=device, measures=measures)
    if measures is not None:
        need(run, "evaluate --metrics")
    if data is None:
        return held_out_evaluation(run, task, out, wish)
    dataset = other_set(run, data)
    test = annotated_test(task, dataset)
    if not test:
        raise BadInput(f"no case with {task.needed} to evaluate on", dataset.root, task.remedy)
    warnings = refuse_leak(run, test)
    predictor = task.open(run, wish)
    matched = task.matched(run.recipe, labels_of(run), predictor.channels, dataset, test)
    place = run.test if out is None else CaseFiles(out)
    scored = predict_and_score(task, predictor, matched.cases, place.predictions, labels=matched.labels)
    table = scored.table
    table.write_csv(place.table)
    write_json(place.cases, [describe_case(case) for case in matched.cases])
    further = task.figures(run, matched.labels, matched.cases, place.folder, scored.files)
    further = {**further, **time_per_case(scored.seconds, device)}
    quality = (
        {"quality": judge_test(run, predictor, matched.cases, place.folder, table)} if is_calibrated(folder) else {}
    )
    warnings = [*warnings, *matched.notes, *scored.warnings, *dataset.notes]
    found = RunEvaluation(folder, dataset.name, table, tuple(warnings), further)
    told = {
        "name": found.name,
        **found.summary(),
        **({"warnings": warnings} if warnings else {}),
        **quality,
    }
    if out is None:
        kept = {**told, ROOT: str(Path(dataset.root).resolve())}
        write_json(folder / SUMMARY, {**run.summary, "test": kept})
    else:
        write_json(out / STATISTICS, plain(told))
    return found


def held_out_evaluation(run: Run, task: Task, out: Path | None, wish: Wish) -> RunEvaluation:
    """The figures of the held-out cases, as they were when the run was trained, or measured anew; written only where asked for."""
    kept = run.summary.get("validation", {})
    further = {name: kept[name] for name in FURTHER if name in kept}
    anew = wish.measures is not None
    table = task.measure_again(run, wish) if anew else task.read_table(run.held_out_tables, run)
    found = RunEvaluation(run.folder, "validation", table, further=further)
    if out is not None:
        found.evaluation.write_csv(out / TABLE)
        write_json(out / STATISTICS, plain({"name": found.name, **found.summary()}))
    return found


def labels_of(run: Run) -> Labels | None:
    """The labels of a run; None where its targets are not label maps."""
    about = run.data["dataset"]
    return Labels.from_nnunet(about["labels"], about.get("regions_order")) if about["labels"] else None


def report_run(folder: Path, path: Path | None = None) -> Path:
    """Write ``report.html`` and what else its task writes beside it; a copy of the page to ``path``."""
    written = task_of(Run(folder)).report(folder)
    if path is None:
        return written
    write_text(path, written.read_text(encoding="utf-8"))
    return path
