"""Single structures of two folders of label maps against each other, matched by case id."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset.labels import Labels
from voxloom.errors import VoxloomError
from voxloom.evaluation.folders import Truth, label_files, read_pair
from voxloom.evaluation.instances import Match, match_label_maps
from voxloom.evaluation.structure_table import StructureTable
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress


@dataclass(frozen=True)
class StructureScorer:
    """Matches the structures of one (prediction, truth) pair of files; picklable for worker processes."""

    labels: Labels
    several: tuple[str, ...]

    def __call__(self, pair: tuple[Path | None, Truth]) -> list[Match]:
        found, truth = read_pair(pair[0], pair[1], self.labels)
        return match_label_maps(found, truth, self.labels, self.several)


def match_folders(
    predictions: str | Path,
    truths: str | Path | Mapping[str, Truth],
    labels: Labels,
    several: Collection[str] = (),
    *,
    cases: Collection[str],
    patients: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> StructureTable:
    """Match the structures of every true label map with the predicted ones.

    Parameters
    ----------
    predictions, truths : folders; files match by their name without the ending. A missing prediction found nothing. Truths may
        also be given by case.
    labels, several : see :func:`voxloom.evaluation.instances.find_structures`.
    cases : which to match.
    patients : case -> patient, for the intervals; None takes every case as a patient of its own.
    workers, progress : of ``map_outcomes``.

    Raises
    ------
    BadInput : ``several`` names a label that is not declared, or a file cannot be read.
    """
    found = label_files(Path(predictions))
    true: Mapping[str, Truth] = truths if isinstance(truths, Mapping) else {**label_files(Path(truths))}
    pairs = [(case, (found.get(case), true[case])) for case in cases]
    scorer = StructureScorer(labels, tuple(several))
    table = StructureTable()
    for case, outcome in map_outcomes(scorer, pairs, step="matching", workers=workers, progress=progress):
        if isinstance(outcome, VoxloomError):
            raise outcome
        table.add(case, outcome, patient=(patients or {}).get(case))
    return table
