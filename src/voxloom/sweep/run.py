"""``run_sweep``: draw, train, record, until all trials have ended; then the table and its aggregation.

Knows the folder of a sweep: ``sweep.yaml``, ``base.yaml``, ``trials/NNNN.json``, ``runs/NNNN/``, ``table.csv`` and
``tables.txt``, ``.csv``, ``.tex``, ``.json``; ``tested/NNNN.json`` where there is a test set; of a search also ``best.csv`` and
``importance.csv``. Who carries out trials and who draws them are other modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.aggregate import Table, aggregate
from voxloom.files import write_text
from voxloom.recipe.recipe import Recipe
from voxloom.report.aggregate_tables import write_tables
from voxloom.run.cases import choose_folds
from voxloom.run.lifecycle import locked
from voxloom.sweep.explain import Lesson, explain
from voxloom.sweep.search import Grid, Proposals, make_search
from voxloom.sweep.settings import Sweep
from voxloom.sweep.table import table_rows, write_csv
from voxloom.sweep.test_set import PREFIX, Scores, check_test, score_tests
from voxloom.sweep.trial import Job, Record
from voxloom.sweep.workers import Workers
from voxloom.tasks.choice import chosen_task

#: The sweep, and the recipe that it varies, as they were when it began.
SETTINGS, BASE = "sweep.yaml", "base.yaml"

#: What may change when a sweep is resumed.
_FREE = {"trials", "name", "description", "tables", "test"}

#: Told of every trial that ended, and how many there are in all.
SweepListener = Callable[[Record, int], None]


@dataclass(frozen=True)
class SweepResult:
    """A sweep that has ended.

    Parameters
    ----------
    folder : of the sweep.
    records : of all trials, in order.
    tables : the scores aggregated by factor; none where no run finished.
    best : the record with the best score, None where no run finished.
    written : the tables' files.
    lesson : of a random or TPE search: its best trials and what mattered.
    tests : trial -> its scores on the test set, where the sweep has one; they decide nothing.
    """

    folder: Path
    records: list[Record]
    tables: list[Table]
    best: Record | None
    written: list[Path]
    lesson: Lesson | None = None
    tests: dict[int, Scores] = field(default_factory=dict)


def run_sweep(
    sweep: Sweep,
    out: str | Path,
    start: Callable[[], Workers],
    *,
    resume: bool = False,
    retry_failed: bool = False,
    listener: SweepListener = lambda record, total: None,
    tell: Callable[[str], None] = lambda note: None,
) -> SweepResult:
    """Carry out a sweep.

    Parameters
    ----------
    sweep : what is varied.
    out : folder of the sweep; made.
    start : gives the workers; called when everything has been checked.
    resume : go on with the sweep in ``out``; finished trials are kept, others are taken up where they were saved.
    retry_failed : with ``resume``: run failed trials again.
    listener : told of every trial that ended.
    tell : told of runs that could not be scored on the test set.

    Raises
    ------
    BadInput : the data set, the test set or the folder cannot be used, or the sweep differs from the one in the folder.
    KeyboardInterrupt : on Ctrl-C, after saving; ``resume`` continues.
    """
    folder = Path(out).resolve()
    check_folder(sweep, folder, resume)
    cases = cases_of(sweep)
    choose_folds(cases, sweep.base)
    check_test(sweep, cases)
    with locked(folder):
        (folder / "trials").mkdir(exist_ok=True)
        write_text(folder / SETTINGS, sweep.dump())
        sweep.base.save(folder / BASE)
        course = _Course(sweep, folder, retry_failed)
        if course.todo:
            workers = start()
            try:
                course.run(workers, listener)
            finally:
                workers.close()
        finish(sweep, folder, course.records, {})  # whatever happens while the test set is predicted
        return finish(sweep, folder, course.records, score_tests(sweep, folder, course.records, tell))


def cases_of(sweep: Sweep) -> Dataset:
    """The cases that every run trains on and holds out (BadInput where the data set has none for the recipe)."""
    dataset = Dataset(sweep.data)
    task, recipe = chosen_task(dataset, sweep.base)
    return task.material(dataset, recipe).dataset


def check_folder(sweep: Sweep, folder: Path, resume: bool) -> None:
    """Refuse a folder that holds something else, or another sweep than the one that is resumed."""
    known = folder / SETTINGS
    if resume:
        if not known.is_file():
            raise BadInput("no sweep was begun here", folder, "Leave --resume out")
        old, new = (one.model_dump(exclude=_FREE) for one in (Sweep.load(known), sweep))
        changed = [key for key in new if new[key] != old[key]]
        if not changed and Recipe.load(folder / BASE) != sweep.base:
            changed = ["recipe"]
        if changed:
            raise BadInput(f"`{changed[0]}` differs from the sweep that was begun", folder, "Begin a new one with -o")
    elif folder.exists() and any(path.name != ".lock" for path in folder.iterdir()):
        raise BadInput("the folder is not empty", folder, "Choose another with -o, or go on with --resume")


class _Course:
    """The trials of one session: which are done, which run, which come next."""

    def __init__(self, sweep: Sweep, folder: Path, retry_failed: bool) -> None:
        self.sweep, self.folder = sweep, folder
        self.search: Grid | Proposals = make_search(sweep)
        self.recipe = sweep.base.dump()
        self.done: dict[int, Record] = {}
        self.drawn: dict[int, Record] = {}
        for path in sorted((folder / "trials").glob("*.json")):
            record = Record.read(path)
            ended = record.status == "finished" or (record.status == "failed" and not retry_failed)
            (self.done if ended else self.drawn)[record.number] = record
        for record in self.done.values():
            self.search.tell(record.number, record.levels, record.score)
        self.todo = [number for number in range(1, len(self.search) + 1) if number not in self.done]

    @property
    def records(self) -> list[Record]:
        return [self.done[number] for number in sorted(self.done)]

    def run(self, workers: Workers, listener: SweepListener) -> None:
        running = 0
        while self.todo or running:
            while self.todo and workers.free():
                workers.submit(self._job(self.todo.pop(0)))
                running += 1
            for job, death in workers.wait():
                running -= 1
                record = self._ended(job, death)
                self.done[job.number] = record
                self.search.tell(job.number, job.levels, record.score)
                listener(record, len(self.search))

    def _job(self, number: int) -> Job:
        """The next trial; one that was drawn in an earlier session keeps its levels."""
        levels = self.drawn[number].levels if number in self.drawn else self.search.draw(number)
        changes: dict[str, Any] = {}
        for factor in self.sweep.factors:
            changes |= factor.changes(levels[factor.name])
        data, score = str(self.sweep.data), self.sweep.score
        return Job(str(self.folder), number, levels, changes, data, self.recipe, score)

    def _ended(self, job: Job, death: str | None) -> Record:
        """The record of an ended trial; one whose process died is written here."""
        if death is None:
            return Record.read(job.record)
        record = Record(job.number, job.levels, job.changes, "failed", error=death)
        record.write(job.record)
        return record


def finish(sweep: Sweep, folder: Path, records: list[Record], tests: dict[int, Scores]) -> SweepResult:
    """Write the table of all trials and the aggregated tables."""
    rows = table_rows(sweep, records, tests)
    written = [write_csv(rows, folder / "table.csv")]
    scored = [record for record in records if record.score is not None]
    if not scored:
        return SweepResult(folder, records, [], None, written)
    metrics = (sweep.score, *([PREFIX + sweep.score] if tests else []))
    whole, *merged = (aggregate(rows, wanted, folder / "table.csv") for wanted in sweep.aggregations(*metrics))
    tables = [*whole, *(table for again in merged for table in again[1:])]  # the table of all rows is the same again
    written += [write_tables(tables, folder / f"tables{ending}") for ending in (".txt", ".csv", ".tex", ".json")]
    lesson = None if sweep.search == "grid" else explain(sweep, rows, folder)
    written += [] if lesson is None else lesson.written
    score_of: Callable[[Record], float] = lambda record: record.score or 0.0
    better = max if sweep.goal == "max" else min
    return SweepResult(folder, records, tables, better(scored, key=score_of), written, lesson, tests)
