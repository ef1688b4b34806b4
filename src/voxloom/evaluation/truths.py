"""What two folders of label maps are measured against: a folder of true label maps, or a data set, and whose cases they are.

Knows folders, data sets and tables of patients. Measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.columns import CASE, FILE, called, find_roles
from voxloom.dataset.label_match import check_same_labels
from voxloom.dataset.layouts import is_dataset
from voxloom.dataset.patients import alike_ids, suspicion
from voxloom.dataset.tables import columns_of, name_some, read_table
from voxloom.errors import BadInput
from voxloom.evaluation.folders import Truth, label_files
from voxloom.files import read_json


@dataclass(frozen=True)
class Truths:
    """True label maps by case.

    Parameters
    ----------
    cases : case -> file, or case of a data set.
    patients : case -> patient, where they are known.
    labels : what a data set says of the values; None for a folder.
    notes : what a reader of the figures must know.
    """

    cases: Mapping[str, Truth]
    patients: Mapping[str, str]
    labels: Labels | None = None
    notes: tuple[str, ...] = ()


def find_truths(path: Path, table: Path | None = None) -> Truths:
    """The truths at a path: the label maps of a folder, or the labelled cases of a data set (its test split where it has one).

    Parameters
    ----------
    table : with the columns case and patient; names the patients, also in the place of a data set's own.

    Raises
    ------
    BadInput : there is no label map, or the table does not name the patient of every case.
    """
    if not is_dataset(path):
        files: Mapping[str, Truth] = {**label_files(path)}
        patients, notes = ({}, _suspected(files)) if table is None else read_patients(table, files)
        return Truths(files, patients, None, notes)
    dataset = Dataset(path)
    split = "test split" if len(dataset.test) else "data set"
    cases = {c.id: c for c in (dataset.test if len(dataset.test) else dataset) if c.label is not None}
    if not cases:
        raise BadInput(
            f"no case of its {split} has a label", path, "Give a folder of label maps or a labelled data set"
        )
    patients, notes = read_patients(table, cases) if table is not None else ({c: cases[c].patient for c in cases}, ())
    told = f"Truth: {len(cases)} labelled cases of the {split} {dataset.name}"
    return Truths({**cases}, patients, dataset.labels, (told, *notes))


def _suspected(files: Iterable[str]) -> tuple[str, ...]:
    """A note where names look like several scans of one person, since nobody names the patients."""
    groups = alike_ids(list(files))
    return (f"{suspicion(groups)}: name them with --table FILE (columns case and patient)",) if groups else ()


def read_patients(table: Path, cases: Iterable[str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Case -> patient from a table, by the usual names of its columns (``voxloom.dataset.columns``), and notes.

    Raises
    ------
    BadInput : no column of cases or patients, two rows for one case, or a case without a patient.
    """
    rows, wanted = read_table(table), list(cases)
    key = _case_column(rows, wanted, table)
    roles = find_roles(rows, table, (key,))
    if roles.patient is None:
        raise BadInput("has no column `patient`", table, f"There are {', '.join(columns_of(rows))}")
    listed = [str(row[key]) for row in rows if key in row]
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise BadInput(f"two rows for {name_some(twice)}", table, "Keep one row per case")
    known = {str(row[key]): str(row[roles.patient]) for row in rows if key in row and roles.patient in row}
    if missing := [name for name in wanted if name not in known]:
        raise BadInput(f"no patient of {name_some(missing)}", table, "Add a row with case and patient for every case")
    unused = sorted(set(listed) - set(wanted))
    notes = (f"{table.name} names no case here: {name_some(unused)}",) if unused else ()
    return {name: known[name] for name in wanted}, (*notes, *roles.notes)


def _case_column(rows: list[dict[str, object]], cases: list[str], table: Path) -> str:
    """The column of case ids: of those with a usual name the one that names most of the cases."""
    wanted = set(cases)
    usual = called(columns_of(rows), (*CASE, *FILE, "participantid"))
    if not usual:
        raise BadInput("has no column `case`", table, f"There are {', '.join(columns_of(rows))}")
    return max(usual, key=lambda column: sum(str(row.get(column, "")) in wanted for row in rows))


def labels_beside(folder: Path) -> Labels | None:
    """The labels that a ``dataset.json`` in a folder declares, as nnU-Net writes one beside its predictions; None without."""
    path = folder / "dataset.json"
    return declared_in(path) if path.is_file() else None


def declared_in(path: Path) -> Labels | None:
    """The labels of a ``dataset.json``; None where it declares none."""
    content = read_json(path)
    declared = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(declared, dict):
        return None
    # the Decathlon writes {"1": "name"}
    swapped = {v: int(k) for k, v in declared.items() if isinstance(v, str) and k.isdecimal()}
    return Labels.from_nnunet(swapped or declared)


def refuse_other_labels(predictions: Path, labels: Labels) -> None:
    """Refuse predictions whose ``dataset.json`` gives the values other names than those they are measured by (BadInput)."""
    beside = labels_beside(predictions)
    if beside is not None:
        check_same_labels([labels], beside, predictions)
