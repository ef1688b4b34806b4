"""``shift``: is a data set like the cases that a run was trained on?

Knows the run's fingerprint and its networks' features. The comparison is in ``voxloom.evaluation.shift``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset import Case, Dataset
from voxloom.dataset.inspect import CaseFacts, fingerprint
from voxloom.dataset.join import with_channels
from voxloom.errors import BadInput, VoxloomError
from voxloom.evaluation.shift import EmbeddingShift, Shift, compare_sides, embedding_shift
from voxloom.evaluation.statistics import p_text
from voxloom.progress import Progress
from voxloom.run.run import Run
from voxloom.run.scan_check import TrainedOn
from voxloom.run.shift_facts import side_of
from voxloom.tasks.study import open_study
from voxloom.tasks.task import Task, task_of
from voxloom.tasks.wish import Wish

#: Training, and held-out, cases whose features are compared: at most so many, from all over the data set.
MOST_TRAINING = 60
#: A test case is told that so small a share of the held-out cases is as far from the training cases as.
RARE = 0.05


@dataclass(frozen=True)
class ShiftReport:
    """What differs.

    Parameters
    ----------
    name : of the data set.
    cases, patients : of the data set; ``training`` the same of the run.
    shifts : fact by fact, the most unlike first.
    embedding : distances in the features of the run's network; None where they were not measured, and ``why`` says why.
    told : case -> what the check at ``predict`` says of it.
    """

    name: str
    cases: int
    patients: int
    training: tuple[int, int]
    shifts: tuple[Shift, ...]
    embedding: EmbeddingShift | None
    why: str
    told: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        shifts = [shift.to_dict() for shift in self.shifts]
        embedding = None if self.embedding is None else self.embedding.to_dict()
        return {**vars(self), "shifts": shifts, "embedding": embedding, "conclusion": self.conclusion()}

    @property
    def rare(self) -> list[str]:
        """Cases that lie farther from the training cases than nearly all held-out ones, the farthest first."""
        if self.embedding is None:
            return []
        least = max(RARE, 1 / (self.embedding.held_out + 1))
        found = [case for case, share in self.embedding.rarer.items() if share <= least]
        return sorted(found, key=lambda case: -self.embedding.distances[case] if self.embedding else 0.0)

    def conclusion(self) -> str:
        """What differs, in a sentence."""
        found = [s.name for s in self.shifts if s.p_holm < 0.05]
        outside = [s.name for s in self.shifts if s.outside > 0 and s.name not in found]
        told = [f"{', '.join(found[:6])} differ (Holm-corrected p < .05)" if found else "No difference was shown"]
        if outside:
            told.append(f"beyond all that was trained on in some patients: {', '.join(outside[:6])}")
        if self.embedding is not None:
            rare, count = self.rare, len(self.embedding.rarer)
            told.append(
                f"{len(rare)} of {count} cases lie farther from the training cases than {100 * (1 - RARE):.0f} % of the "
                f"{self.embedding.held_out} held-out ones by the network's features ({p_text(self.embedding.p)} for all)"
            )
        return f"{'; '.join(told)}."


def shift_report(
    folder: Path,
    data: str | Path | Dataset,
    *,
    features: bool = True,
    device: str = "auto",
    workers: int | None = None,
    progress: Progress | None = None,
) -> ShiftReport:
    """Compare a data set with the training cases of a run.

    Parameters
    ----------
    folder : of the run.
    data : its test split where it has one, else all of it; labels are not needed.
    features : whether to look at both through the run's first network, which takes as long as predicting them.
    workers, progress : of ``fingerprint``.

    Raises
    ------
    BadInput : the run did not measure its cases, or no case of the data set can be read.
    """
    run = Run(folder)
    task, known = task_of(run), TrainedOn.of(run.data)
    if known is None:
        raise BadInput("the run keeps no fingerprint of its training cases", folder, "Train it again")
    whole = data if isinstance(data, Dataset) else Dataset(data)
    whole = whole.with_series(run.recipe.data.series)
    cases = with_channels(whole.test if len(whole.test) else whole, known.channels)
    chosen = whole.subset([case.id for case in cases])
    found = fingerprint(chosen, workers=workers, progress=progress)
    if len(known.channels) == 1:  # a single channel may have any name
        found = replace(found, cases=tuple(_renamed(case, known.channels[0]) for case in found.cases))
    if not found.readable:
        raise BadInput("no case of it can be read", whole.root, "See what is wrong: voxloom inspect")
    who = {record["id"]: str(record.get("patient", record["id"])) for record in run.data["cases"]}
    theirs = {case.id: case.patient for case in chosen}
    labels = [name for name in run.data["dataset"]["labels"] or {} if name not in ("background", "ignore")]
    trained = [case for case in known.cases if case.split != "test"]
    ours, other = (side_of(c, p, known.channels, labels) for c, p in ((trained, who), (found.readable, theirs)))
    embedding, why = (
        _embedded(run, task, [case for case in cases if case.id in theirs], device)
        if features
        else (None, "not asked for")
    )
    counts = len(found.readable), len({theirs[case.id] for case in found.readable})
    return ShiftReport(
        whole.name,
        *counts,
        (len(trained), len(set(ours.patients))),
        tuple(compare_sides(ours, other)),
        embedding,
        why,
        remarks_of(known, cases),
    )


def remarks_of(known: TrainedOn, cases: Iterable[Case]) -> dict[str, str]:
    """Case -> what the check at ``predict`` says of it, or why it cannot be read; nothing of the others."""
    told: dict[str, str] = {}
    for case in cases:
        try:
            sentence = known.compare(case.read_image())
        except VoxloomError as error:
            sentence = str(error)
        told |= {case.id: sentence} if sentence else {}
    return told


def _renamed(case: CaseFacts, channel: str) -> CaseFacts:
    return replace(case, channels=dict(zip((channel,), case.channels.values(), strict=False)))


def _embedded(run: Run, task: Task, cases: Sequence[Case], device: str) -> tuple[EmbeddingShift | None, str]:
    """Distances in the features of the network of the first fold, or why there are none."""
    try:
        study = open_study(run)
    except VoxloomError as error:
        return None, f"the training cases cannot be read ({error})"
    fold = study.folds[0]
    if len(fold.train) < 2 or not fold.val:
        return None, "the first fold held out no case to compare with"
    sides = [[study.dataset[name] for name in _spread(names)] for names in (fold.train, fold.val)]
    predictor = task.open(run, Wish(device=device))
    looked: list[Any] = []
    for case in (*sides[0], *sides[1], *cases):
        found = task.features(predictor, case.read_image())
        if found is None:
            return None, f"the networks of a run on {task.trained_on} have no features to compare by"
        looked.append(found)
    first, second = len(sides[0]), len(sides[0]) + len(sides[1])
    new = dict(zip((case.id for case in cases), looked[second:], strict=True))
    who = {case.id: case.patient for case in cases}
    held_out = [case.patient for case in sides[1]]
    return embedding_shift(looked[:first], looked[first:second], held_out, new, who), ""


def _spread(names: Sequence[str]) -> list[str]:
    """At most ``MOST_TRAINING`` of some cases, from all over them."""
    places = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_TRAINING)).round().astype(int))
    return [names[n] for n in places]
