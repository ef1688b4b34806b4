"""Predict annotated cases and score each, one in memory at a time (of every worker of a crew), whatever the task."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.crew import map_with
from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput, VoxloomError
from voxloom.inference.device import pick_device
from voxloom.inference.embedding import mean_row
from voxloom.inference.needs import needs_of
from voxloom.notes import Note, collect, grouped, pass_on, sentence
from voxloom.progress import Progress
from voxloom.tasks.task import Task, watched
from voxloom.tasks.values import Predictor, Table


@dataclass(frozen=True)
class Scored:
    """What predicted cases came to.

    Parameters
    ----------
    table : their figures.
    files : of the predictions, by case.
    warnings : what a reader of the figures must know.
    seconds : per case.
    features : what a case looked like to the first network, by case; none of tasks without features.
    """

    table: Table
    files: dict[str, Path]
    warnings: tuple[str, ...] = ()
    seconds: tuple[float, ...] = ()
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)


def predict_and_score(
    task: Task,
    predictor: Predictor,
    cases: Sequence[Case],
    out: Path,
    tick: Callable[[], None] = lambda: None,
    *,
    labels: Labels | None = None,
) -> Scored:
    """Predict cases into ``out`` and score each.

    Parameters
    ----------
    labels : what the values of the true label maps mean; None takes the networks' own.
    """
    table, files = task.table(predictor), {}
    remarks: dict[str, list[str]] = {}
    seconds, features = [], {}
    work, items = CaseWork(task, out, labels), [(case.id, case) for case in cases]
    with collect() as heard:
        for name, outcome in map_with(
            predictor, work.score, items, step="predicting", needs=partial(needs_of, predictor)
        ):
            if isinstance(outcome, VoxloomError):
                raise outcome
            table.extend(outcome.table)
            seconds.append(outcome.seconds)
            if outcome.features is not None:
                features[name] = outcome.features
            files[name] = outcome.path
            for remark in outcome.remarks:
                remarks.setdefault(remark, []).append(name)
            tick()
    told = [f"{text} ({name_some(ids)})" for text, ids in sorted(remarks.items())]
    return Scored(table, files, (*told_warnings(heard), *told), tuple(seconds), features)


@dataclass(frozen=True)
class OneScored:
    """The rows of one case, the file of its prediction, seconds, what a reader must know of it, and its features."""

    table: Table
    path: Path
    seconds: float
    remarks: tuple[str, ...]
    features: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class CaseWork:
    """How each of many cases is predicted and scored, here or on another machine; see ``predict_and_score``."""

    task: Task
    out: Path
    labels: Labels | None

    def score(self, predictor: Predictor, case: Case) -> OneScored:
        """Predict, write and score one case."""
        start = time.perf_counter()
        with watched(self.task, predictor) as seen:
            prediction = self.task.predict_case(predictor, case)
        seconds = time.perf_counter() - start
        path, table = self.task.write(prediction, self.out, case.id), self.task.table(predictor)
        remarks = self.task.score(table, case, prediction, predictor, self.labels)
        return OneScored(table, path, seconds, tuple(remarks), mean_row(seen))


def time_per_case(seconds: Sequence[float], device: str) -> dict[str, Any]:
    """The entry ``seconds`` of a summary: how long one case took from its files to the answer, and on which device.

    The median is the figure to quote, since the first case pays for what is loaded once.
    """
    if not seconds:
        return {}
    values = np.asarray(seconds)
    figures = {"median": float(np.median(values)), "mean": float(values.mean()), "max": float(values.max())}
    return {"seconds": {"n": len(values), **figures, "device": pick_device(device)}}


def told_warnings(notes: Sequence[Note]) -> list[str]:
    """The warnings among what readers and predictors told, as lines; the other notes are passed on."""
    pass_on(note for note in notes if not note.is_warning)
    return [sentence(text, sources) for text, sources in grouped(note for note in notes if note.is_warning)]


def annotated_test(task: Task, dataset: Dataset) -> list[Case]:
    """The annotated cases that a data set is tested on: those of its test split where it has one, else all."""
    return [case for case in (dataset.test if len(dataset.test) else dataset) if task.annotated(case)]


def pooled(tables: Iterable[Table]) -> Table:
    """One table with the rows of all."""
    first, *others = tables
    whole = deepcopy(first)
    for other in others:
        whole.extend(other)
    return whole


def counter(total: int, progress: Progress | None) -> Callable[[], None]:
    """Tells ``progress`` of one more case each time it is called."""
    done = 0

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    return tick


def held_out(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of the held-out cases in ``summary.json`` (BadInput where no case was held out)."""
    found: dict[str, Any] | None = summary.get("validation")
    if found is None:
        raise BadInput("no case was held out, so there is no score", None, "Set folds.hold_out above 0, or folds.count")
    return found
