"""A run under stress: its figure while scans get worse, and where it has fallen too far.

Knows which cases a run may be tested on. What is done to a scan is in ``voxloom.evaluation.stress``, how an answer is scored is the
task's.
"""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.crew import map_with
from voxloom.dataset import Case, Dataset, Labels
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation import mean_ci
from voxloom.evaluation.statistics import Estimate
from voxloom.evaluation.stress import Stress, Stressed
from voxloom.files import write_text
from voxloom.inference.needs import needs_of
from voxloom.progress import Progress
from voxloom.run.cases import other_set
from voxloom.run.guard import refuse_leak
from voxloom.run.matching import MatchedCases
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.runfiles import RunFold
from voxloom.tasks.abilities import need
from voxloom.tasks.scoring import annotated_test
from voxloom.tasks.stressed import POINTS, Fall, StressTest
from voxloom.tasks.study import open_study
from voxloom.tasks.task import Task, task_of
from voxloom.verbs.evaluate import labels_of

#: Fewer cases than this say little about a mean.
FEW = 5


@dataclass(frozen=True)
class StressRow:
    """The figure of one label of one case at one level; level "" is the scan as it is."""

    stress: str
    level: str
    case: str
    patient: str
    label: str
    value: float


@dataclass(frozen=True)
class Curve:
    """Mean figure over cases (mean over labels) along the levels of one stress.

    Parameters
    ----------
    levels : "as is" and the levels from mild to severe, as text.
    means : of the cases, with intervals over patients.
    first_bad : index of the first level whose mean is worse than the first by ``fall``, None where none is.
    """

    stress: str
    title: str
    unit: str
    levels: tuple[str, ...]
    means: tuple[Estimate, ...]
    first_bad: int | None
    fall: Fall

    def sentence(self) -> str:
        """Where the model breaks, in words."""
        if self.first_bad is None:
            return f"{self.title}: no {self.fall.text} up to {self.levels[-1]} {self.unit}".strip() + "."
        lost = self.fall.lost(self.means[0].value, self.means[self.first_bad].value)
        return f"{self.title}: {lost} at {self.levels[self.first_bad]} {self.unit}".strip() + "."


@dataclass(frozen=True)
class Stressing:
    """What a stress test of a run came to.

    Parameters
    ----------
    figure : that was measured.
    fall : by which it may get worse.
    """

    rows: list[StressRow]
    figure: str
    fall: Fall


def stress_run(
    folder: Path,
    data: str | Path | Dataset | None,
    stresses: Sequence[Stress],
    *,
    most: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> Stressing:
    """The figure of a run on scans that get worse.

    Parameters
    ----------
    folder : of the run.
    data : annotated data set that the run was not trained on, its test split where it has one. None takes the held-out cases of
        the run, each predicted by the network that never saw it.
    most : cases, evenly spread over the sorted ids; 0 takes all.
    seed : of everything random.
    tell : told what a reader of the figures must know.

    Raises
    ------
    BadInput : there is no annotated case, or the run was trained on one.
    """
    run = Run(folder)
    need(run, "stress")
    task = task_of(run)
    test = task.stress
    assert test is not None, "a task that has no stress test says so in `cannot`"
    trained_on = None
    if data is None:
        groups, labels = _held_out(run), None
    else:
        unseen = _unseen(run, task, data, tell)
        groups, labels = [(run.folds, list(unseen.cases))], unseen.labels
        trained_on = TrainedOn.of(run.data)
    chosen = evenly([case.id for _, cases in groups for case in cases], most)
    groups = [(members, [case for case in cases if case.id in chosen]) for members, cases in groups]
    total = len(chosen) * (1 + sum(len(s.levels) for s in stresses))
    rows: list[StressRow] = []
    done, fall = 0, test.fall(run, [case for _, cases in groups for case in cases])
    for members, kept in groups:
        if not kept:
            continue
        predictor = test.predictor(run, members)
        work, items = CaseStress(test, labels, tuple(stresses), seed, trained_on), [(case.id, case) for case in kept]
        for _, outcome in map_with(predictor, work.levels, items, step="stressing", needs=partial(needs_of, predictor)):
            if isinstance(outcome, VoxloomError):
                raise outcome
            for row in outcome:
                rows += row
                done += 1
                if progress is not None:
                    progress(done, total)
    return Stressing(rows, test.figure, fall)


def _held_out(run: Run) -> list[tuple[list[RunFold], list[Case]]]:
    """Each fold with the cases that it never saw."""
    dataset, groups = open_study(run).dataset, []
    for fold in run.folds:
        groups.append(([fold], [dataset[case] for case, other in run.fold_of.items() if other == fold]))
    if not any(cases for _, cases in groups):
        raise BadInput("the run has no held-out cases", run.folder, "Give a data set: voxloom stress RUN DATASET")
    return groups


def _unseen(run: Run, task: Task, data: str | Path | Dataset, tell: Callable[[str], None]) -> MatchedCases:
    """The annotated cases of a data set that no fold saw, with the run's channels and label values."""
    dataset = other_set(run, data)
    test = annotated_test(task, dataset)
    if not test:
        raise BadInput(f"no case with {task.needed} to test on", dataset.root, task.remedy)
    leaks = refuse_leak(run, test)
    predictor = task.load(run.folds[:1], device="cpu")
    matched = task.matched(run.recipe, labels_of(run), predictor.channels, dataset, test)
    for note in (*leaks, *matched.notes):
        tell(note)
    return matched


def evenly(names: Sequence[str], most: int) -> set[str]:
    """At most ``most`` names, evenly spread over their sorted order; all for 0."""
    ordered = sorted(names)
    if most <= 0 or most >= len(ordered):
        return set(ordered)
    return {ordered[round(n)] for n in np.linspace(0, len(ordered) - 1, most)}


@dataclass(frozen=True)
class CaseStress:
    """How each of many cases is stressed, here or on another machine.

    Parameters
    ----------
    trained_on : what the training scans were like, to warn of others; None for the run's own cases.
    """

    test: StressTest
    labels: Labels | None
    stresses: tuple[Stress, ...]
    seed: int
    trained_on: TrainedOn | None = None

    def levels(self, predictor: Any, case: Case) -> list[list[StressRow]]:
        """The rows of one case, level by level."""
        if self.trained_on is not None:
            self.trained_on.warn(case.read_image())  # as it is: what a stress changes is unlike the training on purpose
        return list(stress_case(self.test, predictor, case, self.labels, self.stresses, self.seed))


def stress_case(
    test: StressTest, model: Any, case: Case, labels: Labels | None, stresses: Sequence[Stress], seed: int
) -> Iterator[list[StressRow]]:
    """The rows of one case: as it is, then every level of every stress."""
    image, follows = case.read_image(), test.follows(case)

    def scored(stressed: Stressed, stress: str, level: str) -> list[StressRow]:
        values = test.values(model, case, stressed, labels)
        return [StressRow(stress, level, case.id, case.patient, label, value) for label, value in values.items()]

    yield scored(Stressed(image, follows), "", "")
    for stress in stresses:
        for level in stress.levels:
            random = np.random.default_rng([seed, zlib.crc32(f"{case.id} {stress.name}".encode())])
            yield scored(stress.apply(image, follows, level, random), stress.name, stress.level_text(level))


def curves(rows: Sequence[StressRow], stresses: Sequence[Stress], fall: Fall = POINTS) -> list[Curve]:
    """Mean figure along every stress."""
    found = []
    for stress in stresses:
        levels = ["", *(stress.level_text(level) for level in stress.levels)]
        means = [_mean([r for r in rows if (r.stress, r.level) == ((stress.name if lv else ""), lv)]) for lv in levels]
        bad = [n for n, mean in enumerate(means) if fall.reached(means[0].value, mean.value)]
        about = (stress.name, stress.title, stress.unit, ("as is", *levels[1:]), tuple(means))
        found.append(Curve(*about, bad[0] if bad else None, fall))
    return found


def _mean(rows: Sequence[StressRow]) -> Estimate:
    """Mean over cases of the mean over labels."""
    cases: dict[str, list[float]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row.value)
    patient = {row.case: row.patient for row in rows}
    values = [float(np.mean(v)) for v in cases.values()]
    low, high = mean_ci(values, [patient[case] for case in cases])
    return Estimate(float(np.mean(values)) if values else math.nan, low, high)


def to_dict(found: Sequence[Curve], rows: Sequence[StressRow], figure: str = "dice") -> dict[str, Any]:
    """JSON-able figures."""
    cases = len({row.case for row in rows})
    warnings = [f"{cases} cases are few: the curves are uncertain"] if cases < FEW else []
    fall = found[0].fall if found else POINTS
    return {
        "figure": figure,
        "cases": cases,
        "patients": len({row.patient for row in rows}),
        "fall": fall.by,
        "fall_text": fall.text,
        "limits": [fall.limit(c.means[0].value) for c in found],
        "curves": [
            {
                **{name: value for name, value in vars(c).items() if name != "fall"},
                "means": [m.to_dict() for m in c.means],
                "sentence": c.sentence(),
            }
            for c in found
        ],
        "warnings": warnings,
    }


def write_rows(rows: Sequence[StressRow], path: Path, figure: str = "dice") -> Path:
    """``stress.csv``: one row per case, label and level."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stress", "level", "case", "patient", "label", figure])
    writer.writerows([r.stress, r.level, r.case, r.patient, r.label, r.value] for r in rows)
    write_text(path, text.getvalue())
    return path
