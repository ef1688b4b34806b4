"""Folds: which cases train a model and which validate it, never with one patient on both sides.

Knows k-fold and hold-out splits, grouped by patient, stratified by an attribute or by label volume, and nnU-Net's
``splits_final.json``. The same data set and seed give the same folds, whatever the order of the cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset.case import Case
from voxloom.dataset.dataset import Dataset
from voxloom.dataset.faults import all_or_told
from voxloom.dataset.labels import Labels
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.files import read_json, write_json
from voxloom.parallel import map_outcomes

_BINS = 5
#: A numeric column with more different values than this is cut into quantile bins.
_LARGEST_CATEGORICAL = 10


@dataclass(frozen=True)
class Fold:
    """Case ids that train and case ids that validate."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def make_folds(dataset: Dataset, k: int = 5, *, seed: int = 0, stratify: str | None = None) -> list[Fold]:
    """k folds; every case validates once, and all cases of a patient together.

    Parameters
    ----------
    dataset : the cases to divide.
    k : number of folds, at least 2 and at most the number of patients.
    seed : draws the order of the patients.
    stratify : "label_volume" (quantiles of the labeled volume in mm3, reads every label), "group", "target", or an
        attribute; patients of a stratum are spread evenly over the folds. Numbers are cut into quantiles.

    Raises
    ------
    BadInput : k does not fit the number of patients, or no case has the column.
    """
    patients = by_patient(dataset)
    if not 2 <= k <= len(patients):
        fix = "Give every case its patient, or take fewer folds" if k > 1 else "Use hold_out for a single split"
        raise BadInput(f"{k} folds of {len(patients)} patients cannot be made", dataset.root, fix)
    folds: list[list[str]] = [[] for _ in range(k)]
    for stratum in _strata(dataset, patients, seed, stratify, k):
        here = [0] * k
        for patient in sorted(stratum, key=lambda p: -len(patients[p])):
            n = min(range(k), key=lambda i: (here[i], len(folds[i]), i))
            here[n] += len(patients[patient])
            folds[n] += [case.id for case in patients[patient]]
    return [fold_with(dataset, val) for val in folds]


def hold_out(
    dataset: Dataset, fraction: float, *, seed: int = 0, stratify: str | Sequence[str] | None = None, fewest: int = 1
) -> Fold:
    """One split with about ``fraction`` of the cases for validation; patients and ``stratify`` as in ``make_folds``.

    Several columns make a stratum of every combination of their values.

    ``fewest`` patients at least are held out, but always one less than there are.

    Raises BadInput when the fraction is not between 0 and 1 or there are fewer than two patients.
    """
    patients = by_patient(dataset)
    if not 0 < fraction < 1 or len(patients) < 2:
        raise BadInput(
            f"{fraction:g} of {len(patients)} patients cannot be held out",
            dataset.root,
            "Use two patients or more, 0 < fraction < 1",
        )
    val: list[str] = []
    due = 0.0
    for stratum in _strata(dataset, patients, seed, stratify, round(1 / fraction)):
        due += fraction * sum(len(patients[p]) for p in stratum)
        for patient in stratum:
            if len(val) + len(patients[patient]) / 2 <= due:
                val += [case.id for case in patients[patient]]
    order = [p for stratum in _strata(dataset, patients, seed, None, 2) for p in stratum]
    held = {dataset[name].patient for name in val}
    rest = sorted((p for p in order if p not in held), key=lambda p: len(patients[p]))
    for patient in rest[: max(0, min(max(1, fewest), len(patients) - 1) - len(held))]:
        val += [case.id for case in patients[patient]]
    if len(val) == len(dataset):
        kept = {case.id for case in min((patients[p] for p in order), key=len)}
        val = [name for name in val if name not in kept]
    return fold_with(dataset, val)


def read_splits(path: str | Path, dataset: Dataset) -> list[Fold]:
    """Folds of a ``splits_final.json``.

    Raises BadInput when the file is not a list of {train, val}, names unknown cases, names a case twice in a fold, or
    puts a patient on both sides.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, list) or not content:
        raise BadInput("is not a list of folds", path, "Write [{train: [...], val: [...]}, ...]")
    folds = [_parse(entry, number, path) for number, entry in enumerate(content)]
    for number, fold in enumerate(folds):
        _check(fold, number, path, dataset)
    return folds


def write_splits(folds: Iterable[Fold], path: str | Path) -> Path:
    """Write the folds as nnU-Net's ``splits_final.json``, whole or not at all."""
    write_json(path, [{"train": list(fold.train), "val": list(fold.val)} for fold in folds])
    return Path(path)


def declared_folds(dataset: Dataset) -> list[Fold] | None:
    """The folds that the data set itself declares (MONAI's ``fold`` per case, or a validation split), else None.

    Raises BadInput when they put a patient on both sides.
    """
    cases = [case for case in dataset if case.split != "test"]
    numbers = sorted({case.attributes["fold"] for case in cases if "fold" in case.attributes}, key=str)
    if len(numbers) > 1 and all("fold" in case.attributes for case in cases):
        folds = [_fold_of(cases, {c.id for c in cases if c.attributes["fold"] == n}) for n in numbers]
    elif any(case.split == "val" for case in cases):
        folds = [_fold_of(cases, {case.id for case in cases if case.split == "val"})]
    else:
        return None
    for number, fold in enumerate(folds):
        _check(fold, number, dataset.root, dataset)
    return folds


def by_patient(dataset: Dataset) -> dict[str, list[Case]]:
    """The cases of every patient; patients and cases in the order of their names."""
    patients: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(dataset, key=lambda case: case.id):
        patients[case.patient].append(case)
    return dict(sorted(patients.items()))


def fold_with(dataset: Dataset, val: Iterable[str]) -> Fold:
    """The fold that validates on these cases and trains on all others."""
    return _fold_of(sorted(dataset, key=lambda case: case.id), set(val))


def _fold_of(cases: Sequence[Case], val: set[str]) -> Fold:
    return Fold(
        tuple(case.id for case in cases if case.id not in val), tuple(case.id for case in cases if case.id in val)
    )


def _strata(
    dataset: Dataset, patients: dict[str, list[Case]], seed: int, stratify: str | Sequence[str] | None, parts: int
) -> list[list[str]]:
    """Patients by stratum, each in a seeded order."""
    names = list(patients)
    shuffled = [names[i] for i in np.random.default_rng(seed).permutation(len(names))]
    if not stratify:
        return [shuffled]
    count = max(2, min(_BINS, len(patients) // max(parts, 1)))
    columns = [stratify] if isinstance(stratify, str) else stratify
    bins = [_bin(column_values(dataset, patients, column), count) for column in columns]
    strata: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for patient in shuffled:
        strata[tuple(of_column[patient] for of_column in bins)].append(patient)
    return [strata[key] for key in sorted(strata)]


def column_values(dataset: Dataset, patients: dict[str, list[Case]], column: str) -> dict[str, Any]:
    """One value of a column per patient: the mean of the cases' numbers, or the first text; None where there is none."""
    by_case = _label_volumes(dataset) if column == "label_volume" else {c.id: column_value(c, column) for c in dataset}
    if all(v is None for v in by_case.values()):
        known = sorted({name for case in dataset for name in case.attributes} | {"label_volume"})
        raise BadInput(
            f"no case has the column {column!r} to divide by", dataset.root, f"Columns are {', '.join(known)}"
        )
    values: dict[str, Any] = {}
    for patient, cases in patients.items():
        known_here: list[Any] = [by_case[case.id] for case in cases if by_case[case.id] is not None]
        numeric = known_here and all(isinstance(v, (int, float)) for v in known_here)
        values[patient] = float(np.mean(known_here)) if numeric else next(iter(known_here), None)
    return values


def column_value(case: Case, name: str) -> Any:
    """What a case says in a column: ``group``, ``target``, ``dataset`` (where it was read from) or an attribute; None if nothing."""
    own = {"group": case.group, "target": case.target, "dataset": case.origin}
    return own[name] if own.get(name) is not None else case.attributes.get(name)


def _bin(values: dict[str, Any], bins: int) -> dict[str, str]:
    numbers = np.array([v for v in values.values() if isinstance(v, float)])
    if len(set(numbers)) <= _LARGEST_CATEGORICAL and not _many(numbers, bins):
        return {patient: str(v) for patient, v in values.items()}
    edges = np.quantile(numbers, np.linspace(0, 1, bins + 1)[1:-1])
    return {p: f"bin {np.searchsorted(edges, v)}" if isinstance(v, float) else str(v) for p, v in values.items()}


def _many(numbers: np.ndarray[Any, Any], bins: int) -> bool:
    """Whether numbers are measurements (hardly any repeats) rather than codes."""
    return len(numbers) > bins and len(set(numbers)) > 0.5 * len(numbers)


def _label_volumes(dataset: Dataset) -> dict[str, float | None]:
    labels = dataset.labels
    if labels is None:
        return {case.id: None for case in dataset}
    items = [(case.id, (case, labels)) for case in dataset if case.label is not None]
    workers = 0 if len(items) < 400 else None
    volumes = dict(all_or_told(map_outcomes(_label_volume, items, step="measuring label volumes", workers=workers)))
    return {case.id: volumes.get(case.id) for case in dataset}


def _label_volume(item: tuple[Case, Labels]) -> float:
    """Labeled volume of a case in mm3."""
    case, labels = item
    label = case.read_label()
    if label is None:
        return 0.0
    inner = labels.encode(label.data, label.meta.get("source"))
    foreground = np.count_nonzero((inner > 0) & (inner != (labels.ignore_index or 0)))
    return float(foreground) * label.voxel_size


def _parse(entry: Any, number: int, path: Path) -> Fold:
    if not isinstance(entry, dict) or not all(isinstance(entry.get(side), list) for side in ("train", "val")):
        raise BadInput(f"fold {number} is not {{train: [...], val: [...]}}", path, "Write both lists")
    return Fold(tuple(str(name) for name in entry["train"]), tuple(str(name) for name in entry["val"]))


def _check(fold: Fold, number: int, where: Path, dataset: Dataset) -> None:
    names = [*fold.train, *fold.val]
    if unknown := sorted(name for name in set(names) if name not in dataset):
        raise BadInput(
            f"fold {number} names cases that are not in {dataset.name}: {name_some(unknown)}",
            where,
            "Use the ids of the data set",
        )
    if not fold.train:
        raise BadInput(f"fold {number} has no training case", where, "Name the cases to train on")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise BadInput(f"fold {number} names cases twice: {name_some(twice)}", where, "Name each case once per fold")
    both = {dataset[n].patient for n in fold.train} & {dataset[n].patient for n in fold.val}
    if both:
        raise BadInput(
            f"fold {number} trains and validates on the same patients: {name_some(sorted(both))}",
            where,
            "Keep all cases of a patient on one side; make_folds does it",
        )
