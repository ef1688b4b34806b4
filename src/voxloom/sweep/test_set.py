"""The runs of a sweep on a test set: scored when all have ended, and kept apart from what the sweep compares.

Knows ``tested/NNNN.json`` beside the trials' records. The figures are those of ``voxloom evaluate RUN DATASET``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.dataset.leaks import describe_cases
from voxloom.errors import BadInput, VoxloomError
from voxloom.files import read_json, write_json
from voxloom.run.guard import guard_outside
from voxloom.run.run import Run
from voxloom.sweep.settings import Sweep
from voxloom.sweep.trial import Record
from voxloom.tasks.choice import chosen_task
from voxloom.tasks.scoring import annotated_test
from voxloom.tasks.task import task_of
from voxloom.verbs.evaluate import evaluate_run

#: Folder of the records, and what stands before a score of the test set in tables.
FOLDER, PREFIX = "tested", "test."

Scores = dict[str, float | None]


def check_test(sweep: Sweep, cases: Dataset) -> None:
    """Refuse a test set that cannot test the runs of a sweep, before anything starts.

    Parameters
    ----------
    cases : that every run trains on and holds out.

    Raises
    ------
    BadInput : no case is annotated, one is also a case of the sweep, or labels contradict one another.
    """
    if sweep.test is None:
        return
    test = Dataset(sweep.test, series=sweep.base.data.series)
    task, recipe = chosen_task(Dataset(sweep.data), sweep.base)
    chosen = annotated_test(task, test)
    if not chosen:
        raise BadInput(f"no case with {task.needed} to test on", sweep.test, task.remedy)
    material = task.material(Dataset(sweep.data), recipe)
    matched = task.matched(recipe, material.labels, material.dataset.channels, test, chosen)
    test_cases = test.subset([case.id for case in matched.cases])
    guard_outside(describe_cases(cases), {"test set": test_cases}, sweep.base.data)


def score_tests(
    sweep: Sweep, folder: Path, records: Sequence[Record], tell: Callable[[str], None] = lambda note: None
) -> dict[int, Scores]:
    """Trial -> its scores on the test set; runs that were scored on it in an earlier session are not scored again.

    Parameters
    ----------
    records : of all trials; those that finished are scored.
    tell : told of a run that cannot be scored, which is then left out.
    """
    if sweep.test is None:
        return {}
    found: dict[int, Scores] = {}
    for record in records:
        if record.status != "finished":
            continue
        try:
            found[record.number] = _scored(sweep, folder, record.number)
        except VoxloomError as error:
            tell(f"trial {record.number} was not scored on the test set: {error}")
    return found


def _scored(sweep: Sweep, folder: Path, number: int) -> Scores:
    kept = folder / FOLDER / f"{number:04d}.json"
    if kept.is_file():
        known: Mapping[str, Any] = read_json(kept)
        if known["data"] == str(sweep.test):
            return dict(known["scores"])
    scores = _evaluate(folder / "runs" / f"{number:04d}", sweep)
    write_json(kept, {"data": str(sweep.test), "scores": scores})
    return scores


def _evaluate(run: Path, sweep: Sweep) -> Scores:
    """Predict and score the test set with a run, as ``voxloom evaluate`` does; its report grows too."""
    evaluate_run(run, sweep.test).report()
    found = Run(run)
    return task_of(found).sweep_scores({"validation": found.summary["test"]}, sweep.score)
