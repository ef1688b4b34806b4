"""Cases with a truth and a prediction on disk: those that folds held out, or those of the last test set.

Knows where a run keeps predictions. Draws nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from voxloom.dataset import Case, Labels
from voxloom.errors import BadInput
from voxloom.run.cases import other_set
from voxloom.run.run import Run
from voxloom.runfiles import held_out_predictions
from voxloom.tasks.scoring import annotated_test
from voxloom.tasks.study import open_study
from voxloom.tasks.task import task_of

#: Where the last test set lies, in ``summary.json`` under ``test``.
ROOT = "root"
On = Literal["held-out", "test"]


@dataclass(frozen=True)
class PredictedCases:
    """Cases, the files of their predictions, and the labels of both.

    Parameters
    ----------
    run : whose predictions they are.
    cases, predictions : by case id; every prediction has its case.
    labels : of truths and predictions; None where these are not label maps.
    tables : the ``metrics.csv`` files of the cases.
    """

    run: Run

    cases: Mapping[str, Case]
    predictions: Mapping[str, Path]
    labels: Labels | None
    tables: tuple[Path, ...] = ()

    def refuse_missing(self, wanted: list[str], on: On) -> None:
        """Refuse cases without a prediction (BadInput naming those that have one)."""
        missing = [case for case in wanted if case not in self.predictions]
        if missing or not self.predictions:
            known = list(self.predictions)
            fix = f"There are {', '.join(known[:8])}" if known else "Train with a hold-out or folds"
            raise BadInput(f"no prediction of {', '.join(missing) or f'any {on} case'}", self.run.folder, fix)


def predicted_cases(run: Run, on: On = "held-out") -> PredictedCases:
    """The held-out cases of a run, or those of the test set that it was evaluated on last.

    Raises
    ------
    BadInput : the run was not evaluated on a test set, or its data are gone.
    """
    return _test(run) if on == "test" else _held_out(run)


def _held_out(run: Run) -> PredictedCases:
    study = open_study(run)
    found = held_out_predictions(run.folder, task_of(run).ending)
    cases = {name: study.dataset[name] for name in found}
    return PredictedCases(run, cases, found, study.material.labels, tuple(run.held_out_tables))


def _test(run: Run) -> PredictedCases:
    root = run.summary.get("test", {}).get(ROOT)
    if root is None:
        raise BadInput("the run was not evaluated on a test set", run.folder, f"voxloom evaluate {run.folder} DATASET")
    dataset, about, task = other_set(run, root), run.data["dataset"], task_of(run)
    labels = Labels.from_nnunet(about["labels"], about["regions_order"]) if about["labels"] else None
    matched = task.matched(run.recipe, labels, about["channels"], dataset, annotated_test(task, dataset))
    cases = {case.id: case for case in matched.cases}
    shown = {name: path for name, path in run.test.found(task.ending).items() if name in cases}
    return PredictedCases(run, cases, shown, matched.labels or labels, (run.test.table,))
