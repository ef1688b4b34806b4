"""The runs of a sweep on a test set: scored when all have ended, and kept apart from what the sweep compares.

Knows ``tests/NNNN.json`` beside the trials' records. The figures are those of ``voxloom evaluate RUN DATASET``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.dataset.leaks import describe_cases
from voxloom.errors import BadInput, VoxloomError
from voxloom.files import read_json, write_json
from voxloom.study.cases import usable_cases
from voxloom.study.guard import guard_outside
from voxloom.study.matching import labelled_test, matched_labels
from voxloom.study.recipe import Recipe
from voxloom.study.run import Run
from voxloom.study.sweep.point_scores import read_point_scores
from voxloom.study.sweep.settings import Sweep
from voxloom.study.sweep.trial import Record, read_scores

#: Folder of the records, and what stands before a score of the test set in tables.
FOLDER, PREFIX = "tests", "test."

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
    test = Dataset(sweep.test)
    chosen = point_cases(test) if sweep.base.landmarks else labelled_test(test)
    if not chosen:
        raise BadInput("no annotated case to test on", sweep.test, "Give a data set with labels or points")
    if not sweep.base.landmarks:
        matched_labels(sweep.base, _labels(sweep.base, sweep.data), test)
    guard_outside(describe_cases(cases), {"test set": test.subset([case.id for case in chosen])}, sweep.base.data)


def point_cases(test: Dataset) -> list[Any]:
    """The cases with points that landmarks are tested on: those of the test split where there is one, else all."""
    return [case for case in (test.test if len(test.test) else test) if case.points is not None]


def _labels(recipe: Recipe, data: Path) -> Any:
    return usable_cases(Dataset(data), recipe)[1]


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
    from voxloom.study.evaluation import evaluate_run
    from voxloom.study.landmarks.evaluate import evaluate_landmarks

    if Run(run).is_landmarks:
        evaluate_landmarks(run, sweep.test).report()
        return read_point_scores({"validation": Run(run).summary["test"]}, sweep.score)
    evaluate_run(run, sweep.test).report()
    return read_scores({"validation": Run(run).summary["test"]}, sweep.score)
