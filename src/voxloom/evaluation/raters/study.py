"""Several raters, and a model, on the same cases: every pair is measured once and kept.

Knows folders of label maps matched by case id. What the figures mean together is in ``figures.py`` beside it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import numpy as np

from voxloom.dataset.faults import all_or_told
from voxloom.dataset.labels import Labels
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.evaluation.case import check_grids
from voxloom.evaluation.evaluation import COLUMNS, Evaluation
from voxloom.evaluation.folders import label_files, nothing_like
from voxloom.evaluation.metrics import METRICS, MaskMetrics, mask_metrics
from voxloom.evaluation.raters.consensus import METHODS, Method, consensus
from voxloom.evaluation.units import common, named
from voxloom.files import write_text
from voxloom.formats import read_label, write_volume
from voxloom.parallel import map_outcomes
from voxloom.progress import Progress
from voxloom.volume import Volume

Pair = tuple[str, str]


@dataclass
class RaterStudy:
    """Metrics of every pair of readers.

    Parameters
    ----------
    labels : names, in order.
    raters : names of the people.
    model : name of the model, which is measured against every rater; None without one.
    consensus : name of the consensus of the raters, "" without one.
    pairs : (first, second) -> rows; ``volume_ml_prediction`` is the first's volume, ``volume_ml_truth`` the second's.
    unrated : rater -> cases that others rated and this one did not; a gap, not an empty mask.
    failed : cases without a prediction of the model; they count as a prediction of nothing.
    """

    labels: tuple[str, ...]
    raters: tuple[str, ...]
    model: str | None
    consensus: str
    pairs: dict[Pair, Evaluation]
    unrated: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def readers(self) -> tuple[str, ...]:
        """The model, where there is one, and the raters."""
        return self.raters if self.model is None else (self.model, *self.raters)

    @property
    def cases(self) -> list[str]:
        """Ids of all cases that two readers read."""
        return sorted({case for e in self.pairs.values() for case in e.cases})

    def patients(self) -> dict[str, str]:
        """Case -> patient."""
        return {row.case: row.patient for e in self.pairs.values() for row in e.rows}

    def metrics(self, pair: Pair, label: str) -> dict[str, MaskMetrics]:
        """Case -> metrics of a pair, in either order of its names."""
        evaluation = self.pairs.get(pair) or self.pairs[pair[::-1]]
        return {row.case: row.metrics for row in evaluation.rows if row.label == label}

    @property
    def unit(self) -> str:
        """Of distances, as ``Evaluation.unit``."""
        return common(evaluation.unit for evaluation in self.pairs.values())

    def volumes(self, label: str) -> dict[str, dict[str, float]]:
        """Case -> reader -> volume in ml."""
        found: dict[str, dict[str, float]] = {}
        for (first, second), evaluation in self.pairs.items():
            for row in evaluation.rows:
                if row.label == label:
                    entry = found.setdefault(row.case, {})
                    entry[first], entry[second] = row.metrics.volume_ml_prediction, row.metrics.volume_ml_truth
        return found

    def write_csv(self, path: str | Path) -> Path:
        """One row per pair, case and label, whole or not at all."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["first", "second", *(named(column, self.unit) for column in COLUMNS)])
        for (first, second), evaluation in self.pairs.items():
            for row in evaluation.rows:
                numbers = [row.metrics.value(name) for name in METRICS]
                told = [row.metrics.kind, row.metrics.unit]
                writer.writerow([first, second, row.case, row.patient, row.label, *numbers, *told])
        write_text(path, text.getvalue())
        return Path(path)


@dataclass(frozen=True)
class _Reader:
    """Measures all pairs of one case; picklable for worker processes."""

    labels: Labels
    model: str | None
    method: Method | None
    out: Path | None

    def __call__(self, files: tuple[str, Mapping[str, Path | None]]) -> dict[Pair, dict[str, MaskMetrics]]:
        case, paths = files
        volumes = {name: read_label(path) for name, path in paths.items() if path is not None}
        raters = [volume for name, volume in volumes.items() if name != self.model]
        if self.model is not None and self.model not in volumes:
            volumes = {self.model: nothing_like(raters[0], self.labels), **volumes}
        if self.method is not None and len(raters) > 1:
            agreed = consensus(raters, self.labels, self.method).volume
            volumes[self.method] = agreed
            if self.out is not None:
                write_volume(agreed, self.out / f"{case}.nii.gz")
        return {pair: _compare(volumes[pair[0]], volumes[pair[1]], self.labels) for pair in combinations(volumes, 2)}


def _compare(first: Volume, second: Volume, labels: Labels) -> dict[str, MaskMetrics]:
    """Metrics per label; voxels that either reader ignores count nowhere."""
    check_grids(first, second)
    parts = [v for v in (labels.valid(first.data[0]), labels.valid(second.data[0])) if v is not None]
    valid = np.logical_and.reduce(parts) if parts else None
    pairs = zip(labels.masks(first.data[0]), labels.masks(second.data[0]), strict=True)
    return {name: mask_metrics(a, b, second.spacing, valid, unit=second.unit) for (name, a), (_, b) in pairs}


def study_raters(
    raters: Mapping[str, str | Path],
    labels: Labels,
    *,
    model: tuple[str, str | Path] | None = None,
    method: Method | None = None,
    out: str | Path | None = None,
    patients: Mapping[str, str] | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> RaterStudy:
    """Measure every pair of raters, and the model against each, on the cases that two of them read.

    Parameters
    ----------
    raters : name -> folder of label maps; files match by their name without the ending. A rater may lack cases.
    labels : what is measured.
    model : name and folder of predictions. A case that a rater read and the model lacks counts as a prediction of nothing.
    method : also build the raters' consensus where two of them read a case, and measure everyone against it.
    out : folder where the consensus is written as NIfTI; None keeps none.
    patients : case -> patient, of every case; None takes every case as a patient.
    workers, progress : of ``map_outcomes``.

    Raises
    ------
    BadInput : a folder is missing or empty, two readers share a name, no case was read twice, or grids differ.
    """
    folders = {name: label_files(Path(folder)) for name, folder in raters.items()}
    name = None if model is None else model[0]
    _refuse_names(folders, name)
    found = {} if model is None else label_files(Path(model[1]))
    jobs = list(_jobs(folders, name, found))
    _refuse_cases([case for case, _ in jobs], raters, patients)
    reader = _Reader(labels, name, method, Path(out) if out is not None else None)
    measured = all_or_told(map_outcomes(reader, jobs, step="comparing", workers=workers, progress=progress))
    pairs = _by_pair(measured, labels, patients or {})
    cases = [case for case, _ in jobs]
    return RaterStudy(
        labels.names,
        tuple(folders),
        name,
        method or "",
        dict(sorted(pairs.items(), key=_order(name, folders))),
        unrated={r: [c for c in cases if c not in files] for r, files in folders.items()},
        failed=[] if model is None else [c for c in cases if c not in found],
    )


def _refuse_names(raters: Collection[str], model: str | None) -> None:
    """Refuse names that would stand for two readers."""
    if model in raters or (model or "") in METHODS or set(raters) & set(METHODS):
        raise BadInput(
            "two readers share a name, or one has the name of a consensus method",
            None,
            "Write NAME=DIR with other names",
        )


def _refuse_cases(cases: Sequence[str], raters: Mapping[str, str | Path], patients: Mapping[str, str] | None) -> None:
    """Refuse a study of no case, and cases whose patient is not known where patients are given."""
    if not cases:
        raise BadInput(
            "no case was read by two readers", next(iter(raters.values()), None), "Files match by their name"
        )
    if patients is not None and (unknown := [case for case in cases if case not in patients]):
        raise BadInput(f"no patient of {name_some(unknown)}", None, "Give every case a row with case and patient")


def _by_pair(
    measured: Iterable[tuple[str, Mapping[Pair, dict[str, MaskMetrics]]]], labels: Labels, patients: Mapping[str, str]
) -> dict[Pair, Evaluation]:
    """The rows of every pair of readers, from the pairs of every case."""
    pairs: dict[Pair, Evaluation] = {}
    for case, found in measured:
        for pair, metrics in found.items():
            pairs.setdefault(pair, Evaluation(labels.names)).add(case, metrics, patient=patients.get(case))
    return pairs


def _jobs(
    folders: Mapping[str, Mapping[str, Path]], model: str | None, found: Mapping[str, Path]
) -> Iterator[tuple[str, tuple[str, dict[str, Path | None]]]]:
    """For each case that two readers read: its name and the files of its readers, the model first."""
    for case in sorted({case for files in folders.values() for case in files}):
        paths: dict[str, Path | None] = {} if model is None else {model: found.get(case)}
        paths.update({rater: files[case] for rater, files in folders.items() if case in files})
        if len(paths) > 1:
            yield case, (case, paths)


def _order(model: str | None, raters: Mapping[str, object]) -> Callable[[tuple[Pair, Evaluation]], tuple[int, int]]:
    """Sorts pairs as readers are given: the model's first, the consensus last."""
    names = [*([] if model is None else [model]), *raters, *METHODS]
    return lambda item: (names.index(item[0][0]), names.index(item[0][1]))
