"""A run under stress: its Dice while scans get worse, and where it has fallen by 5 points.

Knows which cases a run may be tested on. What is done to a scan is in ``voxloom.evaluation.stress``.
"""

from __future__ import annotations

import csv
import io
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from voxloom.dataset import Case, Dataset, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import dice_score, mean_ci
from voxloom.evaluation.statistics import Estimate
from voxloom.evaluation.stress import Stress, Stressed
from voxloom.files import write_text
from voxloom.progress import Progress
from voxloom.run.cases import joined_cases
from voxloom.run.guard import refuse_leak
from voxloom.run.matching import MatchedCases, matched_cases
from voxloom.run.run import Run
from voxloom.tasks.abilities import need
from voxloom.tasks.scoring import annotated_test
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.task import task_of
from voxloom.volume import Volume

#: A mean that has fallen by this much has fallen too far.
FALL = 0.05
#: Fewer cases than this say little about a mean.
FEW = 5


class Predicts(Protocol):
    """What a stress test asks of a model."""

    def predict(self, source: Volume) -> Volume:
        """Label map (1, I, J, K) of a scan on its grid."""
        ...


@dataclass(frozen=True)
class StressRow:
    """Dice of one label of one case at one level; level "" is the scan as it is."""

    stress: str
    level: str
    case: str
    patient: str
    label: str
    dice: float


@dataclass(frozen=True)
class Curve:
    """Mean Dice over cases (mean over labels) along the levels of one stress.

    Parameters
    ----------
    levels : "as is" and the levels from mild to severe, as text.
    means : of the cases, with intervals over patients.
    first_bad : index of the first level whose mean lies ``FALL`` below the first mean, None where none does.
    """

    stress: str
    title: str
    unit: str
    levels: tuple[str, ...]
    means: tuple[Estimate, ...]
    first_bad: int | None

    def sentence(self) -> str:
        """Where the model breaks, in words."""
        if self.first_bad is None:
            return f"{self.title}: no fall by {100 * FALL:.0f} points up to {self.levels[-1]} {self.unit}".strip() + "."
        fall = 100 * (self.means[0].value - self.means[self.first_bad].value)
        return f"{self.title}: {fall:.1f} points lost at {self.levels[self.first_bad]} {self.unit}".strip() + "."


def stress_run(
    folder: Path,
    data: str | Path | Dataset | None,
    stresses: Sequence[Stress],
    *,
    most: int = 10,
    seed: int = 0,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda note: None,
) -> list[StressRow]:
    """Dice of a run on scans that get worse.

    Parameters
    ----------
    folder : of the run.
    data : labelled data set that the run was not trained on, its test split where it has one. None takes the held-out cases of
        the run, each predicted by the network that never saw it.
    most : cases, evenly spread over the sorted ids; 0 takes all.
    seed : of everything random.
    tell : told what a reader of the figures must know.

    Raises
    ------
    BadInput : there is no labelled case, or the run was trained on one.
    """
    run = Run(folder)
    need(run, "stress")
    if data is None:
        groups, labels = _held_out(run), None
    else:
        unseen = _unseen(run, data, tell)
        groups, labels = [(run.folds, list(unseen.cases))], unseen.labels
    chosen = evenly([case.id for _, cases in groups for case in cases], most)
    total = len(chosen) * (1 + sum(len(s.levels) for s in stresses))
    rows: list[StressRow] = []
    done = 0
    for members, cases in groups:
        kept = [case for case in cases if case.id in chosen]
        if not kept:
            continue
        largest = tuple(run.summary.get("largest_component", ()))
        predictor = Predictor.from_folds(members, largest=largest).with_run(run)
        for case in kept:
            for row in stress_case(predictor, case, labels or predictor.labels, stresses, seed):
                rows += row
                done += 1
                if progress is not None:
                    progress(done, total)
    return rows


def _held_out(run: Run) -> list[tuple[list[Path], list[Case]]]:
    """Each fold with the cases that it never saw."""
    about = run.data
    dataset = joined_cases(Dataset(run.data_root), run.recipe)
    known = {case.id: case for case in dataset}
    groups = []
    for fold in run.folds:
        number = int(fold.name.split("_")[1])
        groups.append(([fold], [known[c["id"]] for c in about["cases"] if c["fold"] == number]))
    if not any(cases for _, cases in groups):
        raise BadInput("the run has no held-out cases", run.folder, "Give a data set: voxloom stress RUN DATASET")
    return groups


def _unseen(run: Run, data: str | Path | Dataset, tell: Callable[[str], None]) -> MatchedCases:
    """The labelled cases of a data set that no fold saw, with the run's channels and label values."""
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    test = annotated_test(task_of(run), dataset)
    if not test:
        raise BadInput("no labelled case to test on", dataset.root, "Give a data set with labels")
    leaks = refuse_leak(run, test)
    predictor = Predictor.from_folds(run.folds[:1], device="cpu")
    matched = matched_cases(run.recipe, predictor.labels, predictor.channels, dataset, test)
    for note in (*leaks, *matched.notes):
        tell(note)
    return matched


def evenly(names: Sequence[str], most: int) -> set[str]:
    """At most ``most`` names, evenly spread over their sorted order; all for 0."""
    ordered = sorted(names)
    if most <= 0 or most >= len(ordered):
        return set(ordered)
    return {ordered[round(n)] for n in np.linspace(0, len(ordered) - 1, most)}


def stress_case(
    model: Predicts, case: Case, labels: Labels, stresses: Sequence[Stress], seed: int
) -> Iterator[list[StressRow]]:
    """The rows of one case: as it is, then every level of every stress."""
    image, truth = case.read_image(), truth_of(case)
    yield list(_rows(model, Stressed(image, truth), labels, case, ("", "")))
    for stress in stresses:
        for level in stress.levels:
            random = np.random.default_rng([seed, zlib.crc32(f"{case.id} {stress.name}".encode())])
            stressed = stress.apply(image, truth, level, random)
            yield list(_rows(model, stressed, labels, case, (stress.name, stress.level_text(level))))


def _rows(
    model: Predicts, stressed: Stressed, labels: Labels, case: Case, where: tuple[str, str]
) -> Iterator[StressRow]:
    found, truth = stressed.restore(model.predict(stressed.image)).data[0], stressed.truth.data[0]
    valid = labels.valid(truth)
    for (label, mask), (_, true) in zip(labels.masks(found), labels.masks(truth), strict=True):
        pair = (mask, true) if valid is None else (mask & valid, true & valid)
        yield StressRow(*where, case.id, case.patient, label, dice_score(*pair))


def curves(rows: Sequence[StressRow], stresses: Sequence[Stress]) -> list[Curve]:
    """Mean Dice along every stress."""
    found = []
    for stress in stresses:
        levels = ["", *(stress.level_text(level) for level in stress.levels)]
        means = [_mean([r for r in rows if (r.stress, r.level) == ((stress.name if lv else ""), lv)]) for lv in levels]
        bad = [n for n, mean in enumerate(means) if means[0].value - mean.value >= FALL]
        found.append(
            Curve(stress.name, stress.title, stress.unit, ("as is", *levels[1:]), tuple(means), bad[0] if bad else None)
        )
    return found


def _mean(rows: Sequence[StressRow]) -> Estimate:
    """Mean over cases of the mean over labels."""
    cases: dict[str, list[float]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row.dice)
    patient = {row.case: row.patient for row in rows}
    values = [float(np.mean(v)) for v in cases.values()]
    low, high = mean_ci(values, [patient[case] for case in cases])
    return Estimate(float(np.mean(values)) if values else math.nan, low, high)


def to_dict(found: Sequence[Curve], rows: Sequence[StressRow]) -> dict[str, Any]:
    """JSON-able figures."""
    cases = len({row.case for row in rows})
    warnings = [f"{cases} cases are few: the curves are uncertain"] if cases < FEW else []
    return {
        "cases": cases,
        "patients": len({row.patient for row in rows}),
        "fall": FALL,
        "curves": [{**vars(c), "means": [m.to_dict() for m in c.means], "sentence": c.sentence()} for c in found],
        "warnings": warnings,
    }


def write_rows(rows: Sequence[StressRow], path: Path) -> Path:
    """``stress.csv``: one row per case, label and level."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["stress", "level", "case", "patient", "label", "dice"])
    writer.writerows([r.stress, r.level, r.case, r.patient, r.label, r.dice] for r in rows)
    write_text(path, text.getvalue())
    return path
