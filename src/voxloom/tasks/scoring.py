"""Predict annotated cases and score each, one in memory at a time, whatever the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from pathlib import Path

from voxloom.dataset import Case
from voxloom.progress import Progress
from voxloom.tasks.task import Predictor, Table, Task


def predict_and_score(
    task: Task, predictor: Predictor, cases: Sequence[Case], out: Path, tick: Callable[[], None] = lambda: None
) -> tuple[Table, dict[str, Path]]:
    """Predict cases into ``out``; the table of their scores, and the file of every case."""
    table, files = task.table(predictor), {}
    for case in cases:
        prediction = task.predict_case(predictor, case)
        files[case.id] = task.write(prediction, out, case.id)
        task.score(table, case, prediction, predictor)
        tick()
    return table, files


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
