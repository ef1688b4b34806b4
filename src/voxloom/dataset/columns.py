"""What the columns of a table say about cases, told by their names: who was scanned, where, in which part, what to predict.

Knows the usual names in any case and with any separators (``patient_id``, ``PatientID``, ``participant_id``), and that a name
that could be meant twice is asked for. Does not know columns of files (``layouts.table_columns``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset.written import is_empty
from voxloom.errors import BadInput

#: Names of the columns, without case and separators; the first ones are taken before the others.
CASE = ("case", "caseid", "casename", "id", "scanid", "imageid")
FILE = ("file", "filename", "filepath")
PATIENT = (
    "patient", "patientid", "patientno", "patientnr", "patientnumber", "patientname", "patientcode", "patid", "pid",
    "subject", "subjectid", "subjectno", "subjectnr", "subjectnumber", "subjectname", "subjectcode", "subjectlabel",
    "subj", "subjid", "sub", "subid", "participant", "participantid", "participantno", "participantnumber",
    "person", "personid", "proband", "probandid", "volunteer", "volunteerid", "mrn", "hospitalno", "hospitalnumber", "nhsnumber",
    "medicalrecordnumber", "pseudonym", "pseudoid", "pseudonymid", "anonid", "anonymizedid", "anonymisedid", "studysubject",
    "studysubjectid", "usubjid",
)  # fmt: skip
GROUP = ("group",)
SPLIT = ("split", "datasplit", "set", "subset", "partition", "trainvaltest", "usage")
TARGET = ("target",)
SPLITS = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev"), "val"),
    **dict.fromkeys(("test", "testing", "ts", "te", "holdout", "hold-out", "held-out"), "test"),
}
#: Names of patients that may stand for an unknown one.
_NOBODY = ("na", "nan", "none", "null", "unknown", "?", "-")
#: What a column of fold numbers is taken for.
FOLD = "number of the fold that validates it"
#: Column -> what it was taken for, in words, in the order of the table.
Meanings = tuple[tuple[str, str], ...]


def plain(name: str) -> str:
    """A column's name without case, spaces and separators."""
    return "".join(c for c in name.casefold() if c.isalnum())


def holds_names(column: str) -> bool:
    """Whether the cells of a column are names by its own name: they stay as they were written, whatever they look like."""
    return plain(column) in {*CASE, *FILE, *PATIENT, *GROUP, *SPLIT}


def called(columns: Iterable[str], names: Sequence[str]) -> list[str]:
    """The columns with one of these names, in the order of the names."""
    found = [column for column in columns if plain(column) in names]
    return sorted(found, key=lambda column: (column != names[0], names.index(plain(column))))


class Rows(list[dict[str, Any]]):
    """Rows of a table, and ``empty``: its named columns without a filled cell, which no row can show."""

    def __init__(self, rows: Iterable[dict[str, Any]], columns: Iterable[str]) -> None:
        super().__init__(rows)
        filled = {name for row in self for name in row}
        self.empty: tuple[str, ...] = tuple(name for name in columns if name not in filled)


@dataclass(frozen=True)
class Roles:
    """The columns that have a meaning, None where there is none; ``notes`` say what a reader should know."""

    patient: str | None = None
    group: str | None = None
    split: str | None = None
    target: str | None = None
    fold: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def meanings(self) -> dict[str, str]:
        """What each of these columns was taken for."""
        pairs = ((self.patient, "patient"), (self.group, "group"), (self.split, "split"), (self.target, "target"))
        named = {column: meaning for column, meaning in pairs if column is not None}
        return named if self.fold is None else {**named, self.fold: FOLD}


def find_roles(rows: Sequence[Mapping[str, Any]], where: Path | None, taken: Collection[str] = ()) -> Roles:
    """Which column names the patient, the group, the split and the target.

    Parameters
    ----------
    rows : of the table.
    where : the table's file, for errors.
    taken : columns that are used up already.

    Raises
    ------
    BadInput : two columns could be meant and say different things.
    """
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in taken]
    notes: list[str] = []
    patient = _only(rows, called(columns, PATIENT), "patient", where, notes)
    group = _only(rows, called(columns, GROUP), "group", where, notes)
    splits = [c for c in called(columns, SPLIT) if plain(c) == "split" or _all_splits(rows, c)]
    split = _only(rows, splits, "split", where, notes)
    target = _only(rows, called(columns, TARGET), "target", where, notes)
    fold = next(iter(called(columns, ("fold",))), None)
    notes += [
        f"the column {column} looks like a split and is not used as one; name it `split` if it is"
        for column in columns
        if column not in splits and _all_splits(rows, column)
    ]
    told = (*notes, *_patient_notes(rows, patient), *_odd_ids(rows, columns), *_empty_notes(rows))
    told = (*told, *_choosing_notes(rows, columns))
    return Roles(patient, group, split, target, fold, told)


#: Columns that people make to leave cases out, which Voxloom does by ``data.exclude`` alone.
_CHOOSING = (
    "exclude", "excluded", "exclusion", "include", "included", "inclusion", "use", "usable", "useable", "keep", "drop", "skip",
    "ignore", "qc", "qcpass", "qcpassed", "passqc", "qualitycontrol", "valid", "invalid", "outlier", "reject", "rejected",
)  # fmt: skip


def _choosing_notes(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> list[str]:
    """A note on columns that look like a choice of cases: an attribute leaves nobody out."""
    odd = [c for c in called(columns, _CHOOSING) if len({str(row[c]) for row in rows if c in row}) > 1]
    fix = "list the cases that are to be left out in data.exclude"
    return [f"the column {c} is an attribute and leaves no case out; {fix}" for c in odd]


def _empty_notes(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A note on the columns of a table that hold nothing; among them one may be meant to say who was scanned."""
    empty = rows.empty if isinstance(rows, Rows) else ()
    if not empty:
        return []
    one = f"the column {empty[0]} is empty, and not used"
    return [one if len(empty) == 1 else f"{len(empty)} columns are empty, and not used: {', '.join(empty)}"]


def _only(
    rows: Sequence[Mapping[str, Any]], found: list[str], name: str, where: Path | None, notes: list[str]
) -> str | None:
    """The column that is meant; one of exactly this name goes before others."""
    if not found:
        return None
    chosen, *others = found
    differing = [other for other in others if not _same_division(rows, chosen, other)]
    if differing and chosen != name:
        raise BadInput(
            f"the columns {chosen} and {', '.join(differing)} could both be the {name}, and they differ",
            where,
            f"Rename the right one `{name}`",
        )
    if differing:
        notes.append(f"the {name} is the column {name}; {', '.join(differing)}, which differs, is an attribute")
    return chosen


def _same_division(rows: Sequence[Mapping[str, Any]], one: str, other: str) -> bool:
    """Whether two columns put the same rows together."""
    pairs = {(str(row.get(one, "")), str(row.get(other, ""))) for row in rows}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def _all_splits(rows: Sequence[Mapping[str, Any]], column: str) -> bool:
    values = {str(row[column]).lower() for row in rows if column in row and not is_empty(row[column])}
    return len(values) > 1 and values <= set(SPLITS)


def _patient_notes(rows: Sequence[Mapping[str, Any]], column: str | None) -> list[str]:
    """Rows without a patient, patients that may be nobody, and names that differ by their spelling alone."""
    if column is None:
        return []
    told = []
    names = [str(row[column]) for row in rows if column in row]
    if len(names) < len(rows):
        told.append(f"{len(rows) - len(names)} rows name no patient (column {column}): each counts as one of its own")
    counts = Counter(names)
    doubtful = [name for name, n in counts.items() if n > 1 and name.lower() in _NOBODY]
    told += [
        f"{counts[name]} rows are of the patient {name!r}; empty the cells if it means unknown" for name in doubtful
    ]
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(_spelling(name), []).append(name)
    told += [
        f"{' and '.join(map(repr, twins))} are different patients, as they are written; write one person's name alike"
        for twins in alike.values()
        if len(twins) > 1
    ]
    return told


def _odd_ids(rows: Sequence[Mapping[str, Any]], columns: list[str]) -> list[str]:
    """An ``id`` that repeats beside another name of the case may be the patient's."""
    if called(columns, PATIENT):
        return []
    odd = []
    for column in called(columns, CASE):
        values = [str(row[column]) for row in rows if column in row]
        if len(set(values)) < len(values):
            odd.append(f"the column {column} names rows more than once; if it is the patient's, rename it `patient`")
    return odd


def _spelling(name: str) -> str:
    """What is left of a name without case, spaces and the ways to write a number."""
    text = "".join(name.casefold().split())
    try:
        return repr(float(text))
    except ValueError:
        return text


def meanings_of(columns: Iterable[str], known: Mapping[str, str]) -> Meanings:
    """What every column was taken for; those that are not ``known`` are attributes."""
    return tuple((column, known.get(column, "attribute")) for column in columns)
