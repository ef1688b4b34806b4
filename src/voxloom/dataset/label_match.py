"""The labels of one data set in the terms of another's: matched by name, so that values may differ.

Knows declared names and values, and the table that turns one set's values into the other's. Reads no file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Label, Labels
from voxloom.dataset.sources import RecodedLabel
from voxloom.dataset.values import LabelScan
from voxloom.errors import BadInput

#: What a value is called where nobody named it (``Labels.from_values``).
_UNNAMED = re.compile(r"label_\d+")


@dataclass(frozen=True)
class LabelMatch:
    """How the label files of a data set are read in the terms of other labels.

    Parameters
    ----------
    labels : those other labels, with an ignore value where the data set has one.
    table : (value in the files, value among ``labels``) of every value that differs.
    notes : what a reader must know.
    """

    labels: Labels
    table: tuple[tuple[int, int], ...] = ()
    notes: tuple[str, ...] = ()

    def applied(self, case: Case) -> Case:
        """The case with its label map in the other values."""
        if case.label is None or not self.table:
            return case
        return replace(case, label=RecodedLabel(case.label, self.table))


def match_labels(ours: Labels, theirs: Labels | LabelScan | None, where: str | Path) -> LabelMatch:
    """Read a data set's labels as others: by name where both have names, by value where one has none.

    Names are compared without case, spaces, dashes and underscores. A label of the data set that ``ours`` does not have becomes
    background, with a note.

    Parameters
    ----------
    ours : what the values shall mean.
    theirs : what the data set declares.
    where : the data set, for messages.

    Raises
    ------
    BadInput : no name is common, a label of ``ours`` is not declared, or labels overlap in another way.
    """
    if not isinstance(theirs, Labels) or is_unnamed(theirs) or is_unnamed(ours) or theirs == ours:
        return LabelMatch(_with_ignore(ours, theirs if isinstance(theirs, Labels) else None))
    named = _by_name(ours, theirs)
    missing = [label.name for label in ours.foreground if label.name not in named]
    if missing:
        raise BadInput(
            f"label {missing[0]} ({values_text(ours, missing[0])}) is not declared here; declared are {labels_text(theirs)}",
            where,
            f"Give the labels the names {', '.join(ours.names)} in both places",
        )
    labels = _with_ignore(ours, theirs)
    table = {theirs.background: ours.background}
    if theirs.ignore is not None and labels.ignore is not None:
        table[theirs.ignore] = labels.ignore
    for value in theirs.atoms:
        table[value] = _partner(value, named, ours, where)
    extra = [label.name for label in theirs.foreground if all(named[name] is not label for name in named)]
    notes = (f"{', '.join(extra)} of the data set: not among the labels {', '.join(ours.names)}; taken as background",)
    return LabelMatch(labels, tuple((a, b) for a, b in table.items() if a != b), notes if extra else ())


def is_unnamed(labels: Labels) -> bool:
    """Whether all labels are called after their values, as those that were found in files."""
    return all(_UNNAMED.fullmatch(label.name) for label in labels.foreground)


def _by_name(ours: Labels, theirs: Labels) -> dict[str, Label]:
    """Name among ours -> their label: of that name, or of that value where theirs has no name."""
    known = {_plain(label.name): label for label in theirs.foreground}
    unnamed = {label.values: label for label in theirs.foreground if _UNNAMED.fullmatch(label.name)}
    found = {label.name: known.get(_plain(label.name)) or unnamed.get(label.values) for label in ours.foreground}
    return {name: label for name, label in found.items() if label is not None}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _partner(value: int, named: dict[str, Label], ours: Labels, where: str | Path) -> int:
    """Our value for one of theirs: it belongs to the same labels; the same value where that will do."""
    member = {name for name, label in named.items() if value in label.values}
    if not member:
        return ours.background
    alike = [v for v in ours.atoms if {label.name for label in ours.foreground if v in label.values} == member]
    if not alike:
        raise BadInput(
            f"value {value} is {' and '.join(sorted(member))} here; there is no such value among {labels_text(ours)}",
            where,
            "Declare the labels alike in both places",
        )
    return value if value in alike else alike[0]


def _with_ignore(ours: Labels, theirs: Labels | None) -> Labels:
    """Our labels, with an ignore value where the data set has one and we have none."""
    if theirs is None or theirs.ignore is None or ours.ignore is not None:
        return ours
    free = theirs.ignore if theirs.ignore not in ours.declared else max(ours.declared) + 1
    return replace(ours, ignore=free)


def check_same_labels(options: Sequence[Labels | None], theirs: Labels | LabelScan | None, where: Path) -> None:
    """Refuse a data set whose label files cannot be used as they are beside others.

    Parameters
    ----------
    options : what the values may mean; one of them must fit without changing a value. Nothing is checked where one is None.

    Raises
    ------
    BadInput : of the first option, naming the labels.
    """
    faults = []
    for ours in options:
        if ours is None:
            return
        try:
            match = match_labels(ours, theirs, where)
        except BadInput as error:
            faults.append(error)
            continue
        if not match.table:
            return
        assert isinstance(theirs, Labels), "labels that are not declared keep their values"
        told = f"the labels are {labels_text(theirs)} here and {labels_text(ours)} in the other data set"
        faults.append(BadInput(told, where, "Use the same names and values in both"))
    raise faults[0]


def labels_text(labels: Labels) -> str:
    """``1 liver, 2 tumor``."""
    return ", ".join(f"{values_text(labels, label.name)} {label.name}" for label in labels.foreground)


def values_text(labels: Labels, name: str) -> str:
    """The values of a label, joined by plus signs."""
    return "+".join(str(value) for label in labels.foreground if label.name == name for value in label.values)
