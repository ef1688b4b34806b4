"""From a column to classes: names, rules over scores, several raters, findings. Every case that is left out is counted and told.

Knows columns and settings. Does not know networks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from voxloom.dataset import Case, Dataset
from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput
from voxloom.tasks.whole_case.material import Vector, columns_of, number_of, value_of
from voxloom.tasks.whole_case.settings import ClassificationSettings

#: More classes than this are an id column by mistake.
MOST = 200
_RULE = re.compile(r"^\s*(<=|>=|<|>|=|==)?\s*(-?\d+(?:\.\d+)?)\s*$")
Kind = Literal["single", "ordinal", "findings"]


@dataclass(frozen=True)
class Meaning:
    """What answers stand for; JSON-able.

    Parameters
    ----------
    kind : one class per case, one of ordered classes, or several findings.
    classes : names; of findings the columns.
    columns : that were read; ``None`` is the data set's own target.
    rules : class -> rule over a number, where there are any.
    raters : what is made of several columns.
    """

    kind: Kind
    classes: tuple[str, ...]
    columns: tuple[str | None, ...]
    rules: Mapping[str, str] | None = None
    raters: str = "median"

    @property
    def outputs(self) -> int:
        """Answers of the network."""
        return len(self.classes) - 1 if self.kind == "ordinal" else len(self.classes)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Meaning:
        """The inverse of ``to_dict``."""
        return cls(
            values["kind"], tuple(values["classes"]), tuple(values["columns"]), values["rules"], values["raters"]
        )

    def target(self, case: Case) -> Vector | None:
        """Shares of the classes (K,), or 0, 1 and NaN per finding; None where the case has no target, or no rule takes it."""
        values = [value_of(case, column) for column in self.columns]
        if self.kind == "findings":
            numbers = [
                np.nan if v is None else number_of(v, case.id, c, None)
                for v, c in zip(values, self.columns, strict=True)
            ]
            return None if all(np.isnan(numbers)) else np.array(numbers, dtype=np.float32)
        given = [v for v in values if v is not None]
        if not given:
            return None
        names = self._names(given, case)
        if not names:
            return None
        shares = Counter(names)
        vector = np.array([shares[name] for name in self.classes], dtype=np.float32)
        return vector / vector.sum()

    def ratings(self, case: Case) -> list[tuple[float | str | None, str | None]]:
        """What every rater's column says of a case, as given (numbers where rules read them), and the class that it means."""
        found: list[tuple[float | str | None, str | None]] = []
        for column in self.columns:
            value = value_of(case, column)
            if value is None:
                found.append((None, None))
            elif self.rules is None:
                name = text_of(value)
                found.append((float(value) if isinstance(value, (int, float)) else name, name))
            else:
                number = number_of(value, case.id, column, None)
                found.append((number, ruled(number, self.rules)))
        return found

    def words(self, target: Vector) -> str:
        """A target for people: the class, the shares of several, or the findings that are there."""
        if self.kind == "findings":
            return ", ".join(n for n, t in zip(self.classes, target, strict=True) if t > 0.5) or "none of the findings"
        told = [(n, float(t)) for n, t in zip(self.classes, target, strict=True) if t > 0.005]
        return told[0][0] if len(told) == 1 else ", ".join(f"{n} {t:.2f}" for n, t in told)

    def check_part(self, train: Sequence[Vector], val: Sequence[Vector], name: str, where: Any) -> list[str]:
        """Notes on the classes of a part's held-out cases.

        Raises
        ------
        BadInput : a class has no case to train on.
        """
        shares = np.array(train, dtype=float)
        counts = np.nansum(shares > 0, axis=0)
        if lost := [c for c, n in zip(self.classes, counts, strict=True) if not n]:
            what = f"{name} has no case of the class {name_some(lost)} to train on"
            raise BadInput(what, where, "Hold out less (folds.hold_out, folds.count), or add cases")
        if not len(val):
            return []
        held = np.nansum(np.array(val, dtype=float) > 0, axis=0)
        absent = [c for c, n in zip(self.classes, held, strict=True) if not n]
        told = f"{name} holds out no case of the class {name_some(absent)}: its AUC there is not defined; stratify or hold out more"
        return [told] if absent else []

    def _names(self, given: Sequence[Any], case: Case) -> list[str]:
        """The class, or the class of every rater."""
        if self.rules is None:
            names = [text_of(value) for value in given]
            return names if self.raters == "distribution" else [majority(names, self.classes)]
        numbers = [number_of(value, case.id, None, None) for value in given]
        if self.raters == "median":
            numbers = [float(np.median(numbers))]
        found = [name for number in numbers for name in [ruled(number, self.rules)] if name is not None]
        if self.raters == "majority" and found:
            return [majority(found, self.classes)]
        return found


def find_meaning(dataset: Dataset, settings: ClassificationSettings) -> Meaning:
    """The classes of a data set as the recipe wants them.

    Raises
    ------
    BadInput : one class only, classes that differ by case or spaces, far too many, or columns that hold no classes.
    """
    columns = columns_of(dataset, settings.target)
    if settings.multi_label:
        if len(columns) < 2:
            fix = "Name the columns of the findings: classification.target=[a, b]"
            raise BadInput("`multi_label` needs several columns", dataset.root, fix)
        check_findings(dataset, columns)
        return Meaning("findings", tuple(str(c) for c in columns), columns)
    kind: Kind = "ordinal" if settings.ordinal else "single"
    if isinstance(settings.classes, dict):
        return Meaning(kind, tuple(settings.classes), columns, check_rules(settings.classes), settings.raters)
    values = [v for case in dataset for c in columns if (v := value_of(case, c)) is not None]
    found = Counter(text_of(value) for value in values)
    check_classes(found, dataset, columns)
    if settings.classes is None:
        ordered = sorted(found, key=natural)
    else:
        ordered = [text_of(name) for name in settings.classes]
        if unknown := sorted(set(found) - set(ordered)):
            what = f"cases have the class {name_some(unknown)}, which `classification.classes` does not name"
            raise BadInput(what, dataset.root, f"Add it, or correct the column: {name_some(ordered)} are named")
        if absent := [name for name in ordered if name not in found]:
            raise BadInput(f"no case has the class {name_some(absent)}", dataset.root, f"There are {name_some(found)}")
    raters = settings.raters if len(columns) > 1 else "majority"
    if raters == "median":
        raters = "majority"  # names have no median
    return Meaning(kind, tuple(ordered), columns, None, raters)


def check_findings(dataset: Dataset, columns: Sequence[str | None]) -> None:
    """Refuse columns that hold anything but 0 and 1, or one of them only."""
    for column in columns:
        given = [
            (case, number_of(v, case.id, column, dataset.root))
            for case in dataset
            if (v := value_of(case, column)) is not None
        ]
        if odd := next(((case, n) for case, n in given if n not in (0, 1)), None):
            what = f"case {odd[0].id}: finding {column} is {odd[1]:g}, not 0 or 1"
            raise BadInput(what, dataset.root, "Write 1 for present, 0 for absent, nothing for unknown")
        if len({n for _, n in given}) < 2:
            told = "unknown" if not given else "present" if given[0][1] else "absent"
            fix = "There is nothing to tell apart; leave it out of classification.target"
            raise BadInput(f"finding {column} is {told} in all cases", dataset.root, fix)


def check_classes(found: Mapping[str, int], dataset: Dataset, columns: Sequence[str | None]) -> None:
    """Refuse what cannot be classes."""
    column = columns[0] or "target"
    if len(found) < 2:
        only = next(iter(found), "none")
        raise BadInput(f"column {column} has one class only ({only})", dataset.root, "There is nothing to tell apart")
    if len(found) > MOST or (len(found) > 20 and max(found.values()) == 1):
        fix = "Is it a column of ids? Name the right one with classification.target"
        raise BadInput(f"column {column} has {len(found)} different values", dataset.root, fix)
    alike: dict[str, list[str]] = {}
    for name in found:
        alike.setdefault(" ".join(name.split()).casefold(), []).append(name)
    if twins := next((names for names in alike.values() if len(names) > 1), None):
        told = " and ".join(repr(name) for name in twins)
        raise BadInput(f"classes {told} differ by case or spaces only", dataset.root, "Write them alike in the table")


def text_of(value: Any) -> str:
    """A class as text; whole numbers without a decimal point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def natural(name: str) -> tuple[int, float, str]:
    """Numbers by their size, then texts."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def majority(names: Sequence[str], order: Sequence[str]) -> str:
    """The most frequent name; of equals the one that comes later in ``order`` (the graver one)."""
    counts = Counter(names)
    most = max(counts.values())
    return max((name for name in counts if counts[name] == most), key=lambda n: order.index(n) if n in order else -1)


def check_rules(rules: Mapping[str, str]) -> dict[str, str]:
    """Rules that can be read (BadInput otherwise)."""
    for name, rule in rules.items():
        if not _RULE.match(str(rule)):
            raise BadInput(f"rule {rule!r} of class {name}", "classification.classes", 'Write "<3", ">=3" or "3"')
    return {name: str(rule) for name, rule in rules.items()}


def ruled(number: float, rules: Mapping[str, str]) -> str | None:
    """The first class whose rule takes a number."""
    for name, rule in rules.items():
        match = _RULE.match(rule)
        assert match is not None, "rules are checked before"
        sign, limit = match.group(1) or "=", float(match.group(2))
        holds = {
            "<": number < limit,
            "<=": number <= limit,
            ">": number > limit,
            ">=": number >= limit,
            "=": number == limit,
            "==": number == limit,
        }
        if holds[sign]:
            return name
    return None
