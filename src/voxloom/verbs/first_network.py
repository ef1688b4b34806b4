"""Cases in the features of a run's first network, beside those that it was trained on and those that it held out.

Knows where these come from: the file that a run keeps, or its cases predicted once more. What distances mean is in
``voxloom.evaluation``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset import Case
from voxloom.ensemble.predictor import read_description
from voxloom.errors import VoxloomError
from voxloom.evaluation.shift import EmbeddingShift, embedding_shift
from voxloom.run.features import KnownFeatures
from voxloom.run.run import Run
from voxloom.runfiles import folds_named
from voxloom.tasks.study import open_study
from voxloom.tasks.task import task_of
from voxloom.tasks.values import Features
from voxloom.tasks.wish import Wish
from voxloom.verbs.known_features import some_cases
from voxloom.volume import Volume

Row = NDArray[np.float32]


@dataclass(frozen=True)
class FirstNetwork:
    """What a run's first network makes of scans.

    Parameters
    ----------
    features : of any scan.
    known : those of the run's own cases.
    """

    features: Features
    known: KnownFeatures

    @classmethod
    def of(cls, run: Run, device: str) -> FirstNetwork | str:
        """By the file that the run keeps, or by some of its cases predicted once more; or why there is none to compare by."""
        task = task_of(run)
        features = task.features(task.open(run, Wish(device=device)))
        if features is None:
            return "the networks of the run look at slabs, and have no features of a scan"
        if not features.of_whole_scans:
            return "the run looks at a crop, and a scan alone does not say where"
        known = KnownFeatures.of(run.folds[0], run.patients) or _predicted(run, features)
        return known if isinstance(known, str) else cls(features, known)

    def compared(self, rows: Mapping[str, Row], patients: Mapping[str, str], own: Mapping[str, str]) -> EmbeddingShift:
        """Distances of cases from the training cases.

        Parameters
        ----------
        rows : case -> features.
        patients, own : case -> patient, of these cases and of the run's.
        """
        held_out = [own.get(case, case) for case in self.known.held_out]
        ours, theirs = (np.array(list(side.values())) for side in (self.known.training, self.known.held_out))
        return embedding_shift(ours, theirs, held_out, rows, patients)


def known_to_ensemble(folder: Path) -> tuple[KnownFeatures | None, int | None]:
    """The features that the run of a member keeps, and the number of the member; the first whose first network made them.

    None twice where none is such: a single fold other than a run's first has no features of its own.
    """
    for number, member in enumerate(read_description(folder)["members"]):
        run = Run((folder / member["run"]).resolve())
        own, first = folds_named(run.folder, member["folds"]), run.folds[0]
        if own and own[0].folder == first.folder and (known := KnownFeatures.of(first, run.patients)) is not None:
            return known, number
    return None, None


def _predicted(run: Run, features: Features) -> KnownFeatures | str:
    """Those of training and held-out cases of the first fold, or why there are none."""
    try:
        study = open_study(run)
    except VoxloomError as error:
        return f"the training cases cannot be read ({error})"
    fold = study.folds[0]
    if len(fold.train) < 2 or not fold.val:
        return "the first fold held out no case to compare with"
    training, held_out = (
        {name: features.of_scan(study.dataset[name].read_image()) for name in some_cases(names)}
        for names in (fold.train, fold.val)
    )
    return KnownFeatures(training, held_out, run.patients)


@dataclass
class Look:
    """Takes the features of cases while their images are read for something else.

    Parameters
    ----------
    rows : case -> features.
    failed : the first error; whoever reads the images goes on, and knows only errors of reading.
    """

    features: Features
    rows: dict[str, Row] = field(default_factory=dict)
    failed: Exception | None = None

    def __call__(self, case: Case, image: Volume) -> None:
        """Look at one case."""
        if self.failed is not None:
            return
        try:
            self.rows[case.id] = self.features.of_scan(image)
        except Exception as error:  # whoever reads would take it for a fault of the file
            self.failed = error

    def raise_what_failed(self) -> None:
        """Raise the first error, where there was one."""
        if self.failed is not None:
            raise self.failed
