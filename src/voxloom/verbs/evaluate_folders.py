"""``evaluate --pred DIR --truth DIR``: one folder of label maps against another.

Knows which figures there are of two folders, and the files that hold them: ``metrics.csv``, ``statistics.json``, nnU-Net's
``summary.json``, ``structures.csv``, ``slices.csv``. How a case is scored is in ``voxloom.evaluation``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxloom.dataset import Labels
from voxloom.dataset.sources import source_files
from voxloom.errors import VoxloomError
from voxloom.evaluation import Evaluation, evaluate_folders
from voxloom.evaluation.folders import Truth, find_labels, label_files
from voxloom.evaluation.instances import several_of
from voxloom.evaluation.measures import USUAL, Measures
from voxloom.evaluation.probes import CANDIDATES, RELIABILITY
from voxloom.evaluation.slice_folders import slice_folders
from voxloom.evaluation.slice_table import Plane, SliceTable
from voxloom.evaluation.structure_folders import match_folders
from voxloom.evaluation.structure_table import StructureTable
from voxloom.evaluation.truths import Truths, find_truths, refuse_other_labels
from voxloom.files import plain, write_json
from voxloom.run.listener import SILENT, Listener
from voxloom.runfiles import STATISTICS, SUMMARY, TABLE


@dataclass(frozen=True)
class FolderOptions:
    """How two folders are scored.

    Parameters
    ----------
    labels : what the values mean; None takes those of the data set, else every value as a label of its own.
    table : with the columns case and patient, for the intervals.
    measures : further metrics, and the conventions.
    maps : folder of probability maps, for metrics that need them.
    instances : labels that hold several structures each, or "auto"; None scores no single structures.
    plane : whose slices are scored too; None scores none.
    workers : processes; None chooses.
    """

    labels: Labels | None = None
    table: Path | None = None
    measures: Measures = USUAL
    maps: Path | None = None
    instances: Sequence[str] | str | None = None
    plane: Plane | None = None
    workers: int | None = None


@dataclass(frozen=True)
class FolderScores:
    """The figures of two folders.

    Parameters
    ----------
    failures : of cases that could not be scored; the figures are of the others.
    structures, slices : None where they were not asked for.
    """

    pred: Path
    truths: Truths
    labels: Labels
    evaluation: Evaluation
    failures: Sequence[VoxloomError]
    structures: StructureTable | None = None
    slices: SliceTable | None = None
    plane: Plane | None = None

    def summary(self) -> dict[str, Any]:
        """The figures of label maps and slices; those of single structures stand apart."""
        cut = {} if self.slices is None else {"slices": {"planes": [self.plane], **self.slices.summary()}}
        return {**self.evaluation.summary(), **cut}

    def write(self, out: Path) -> list[Path]:
        """The tables and figures, into a folder."""
        write_json(out / STATISTICS, plain(self.evaluation.summary()))
        written = [
            self.evaluation.write_csv(out / TABLE),
            *tables_beside(out),
            self._write_nnunet(out / SUMMARY),
            out / STATISTICS,
        ]
        for table, name in ((self.structures, "structures.csv"), (self.slices, "slices.csv")):
            written += [] if table is None else [table.write_csv(out / name)]
        return written

    def _write_nnunet(self, path: Path) -> Path:
        """nnU-Net's summary, which names the files of every case."""
        found = label_files(self.pred)
        cases = {
            name: (truth_file(self.truths.cases[name]), str(found.get(name, ""))) for name in self.evaluation.cases
        }
        values = {
            label.name: str(label.values[0] if len(label.values) == 1 else label.values)
            for label in self.labels.foreground
        }
        return self.evaluation.write_nnunet_summary(path, cases, values)


def score_folders(
    pred: Path, truth: Path, options: FolderOptions = FolderOptions(), listener: Listener = SILENT
) -> FolderScores:
    """Score the label maps of a folder against true ones: those of another folder, or of a data set.

    Raises
    ------
    BadInput : folders, labels, table or metrics do not go together; or no case at all could be scored.
    VoxloomError : the first reason, where no case could be scored.
    """
    truths = find_truths(truth, options.table)
    labels = options.labels or truths.labels or find_labels(truths.cases)
    refuse_other_labels(pred, labels)
    for note in truths.notes:
        listener.stage(note)
    failures: list[VoxloomError] = []
    with listener.progress("Evaluating") as progress:
        evaluation = evaluate_folders(
            pred,
            truths.cases,
            labels,
            patients=truths.patients,
            measures=options.measures,
            maps=options.maps,
            workers=options.workers,
            progress=progress,
            failed=lambda case, error: failures.append(error),
        )
    if len(failures) == len(truths.cases):
        raise failures[0]
    found = FolderScores(pred, truths, labels, evaluation, failures, plane=options.plane)
    return replace(found, structures=_structures(found, options, listener), slices=_slices(found))


def _structures(found: FolderScores, options: FolderOptions, listener: Listener) -> StructureTable | None:
    """Single structures matched, where that is asked for."""
    if options.instances is None:
        return None
    several = several_of(options.instances, found.labels)
    with listener.progress("Matching structures") as progress:
        return match_folders(
            found.pred,
            found.truths.cases,
            found.labels,
            several,
            cases=found.evaluation.cases,
            patients=found.truths.patients,
            workers=options.workers,
            progress=progress,
        )


def _slices(found: FolderScores) -> SliceTable | None:
    """Dice of every slice, where that is asked for."""
    if found.plane is None:
        return None
    cases, patients = found.evaluation.cases, found.truths.patients
    return slice_folders(found.pred, found.truths.cases, found.labels, found.plane, cases=cases, patients=patients)


def tables_beside(folder: Path) -> list[Path]:
    """The tables of probabilities that lie beside ``metrics.csv``."""
    return [folder / name for name in (RELIABILITY, CANDIDATES) if (folder / name).is_file()]


def truth_file(truth: Truth) -> str:
    """The file of a true label map, for people."""
    if isinstance(truth, Path):
        return str(truth)
    return "" if truth.label is None else str(source_files(truth.label)[0])
