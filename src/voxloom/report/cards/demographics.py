"""Who the patients of every partition are, from the patient table, and whether partitions differ (CLAIM item 34).

Knows the records of cases in a run's files. One case per patient counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from voxloom.evaluation.statistics import holm, mann_whitney, p_text, same_shares
from voxloom.report.cards.facts import RunFacts
from voxloom.report.cards.words import listed

Records = Sequence[Mapping[str, Any]]
#: Columns that say nothing of the patient.
_NOT_TOLD = {"case", "patient", "group", "dataset", "pseudo", "split", "fold"}
#: A column of words with more kinds than this is a name or a remark.
_MOST_KINDS = 8


def demographics(facts: RunFacts) -> str:
    """Sentences with every column of every partition, and the tests between the first partition and the others; "" without any."""
    parts = {name: people for name, records in partitions(facts) if (people := _people(records))}
    columns = [c for c in dict.fromkeys(k for p in parts.values() for one in p for k in one) if c not in _NOT_TOLD]
    told = {c: kind for c in columns if (kind := _kind([one.get(c) for p in parts.values() for one in p]))}
    if not told:
        return ""
    unit = "patients" if facts.names_patients else "cases, patients not named"
    sentences = [
        f"{name} ({len(people)} {unit}): {'; '.join(_figures(c, told[c], people) for c in told)}."
        for name, people in parts.items()
    ]
    return " ".join([*sentences, _differences(parts, told)]).strip()


def partitions(facts: RunFacts) -> Iterator[tuple[str, Records]]:
    """Name and records of every partition; all cases of a cross-validation are one."""
    folds = {case.get("fold") for case in facts.cases} - {None}
    if len(folds) == 1:
        yield "Training", [case for case in facts.cases if case.get("fold") is None]
        yield "Held out", [case for case in facts.cases if case.get("fold") is not None]
    else:
        yield "Cases of the run", facts.cases
    for name in facts.external:
        yield f"External set {name}", facts.outside(name)
    yield "Test", facts.test_cases


def _people(records: Records) -> list[Mapping[str, Any]]:
    """Attributes of the first case of every patient."""
    first = {str(record.get("patient", record["id"])): record for record in reversed(records)}
    return [dict(record.get("attributes") or {}) for record in first.values()]


def _kind(values: Sequence[Any]) -> str:
    """ "number", "category", or "" for a column that says nothing."""
    known = [v for v in values if v is not None]
    if known and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in known):
        return "number" if len(set(known)) > 1 else ""
    return "category" if known and len({str(v) for v in known}) <= _MOST_KINDS else ""


def _figures(column: str, kind: str, people: Sequence[Mapping[str, Any]]) -> str:
    known = [one[column] for one in people if one.get(column) is not None]
    gaps = f", {len(people) - len(known)} not known" if len(known) < len(people) else ""
    if not known:
        return f"{column} not known"
    if kind == "category":
        counts = sorted(Counter(str(v) for v in known).items())
        return f"{column} {', '.join(f'{value} {n}' for value, n in counts)}{gaps}"
    spread = float(np.std(known, ddof=1)) if len(known) > 1 else 0.0
    return f"{column} {np.mean(known):.4g} ± {spread:.3g} ({min(known):g} to {max(known):g}){gaps}"


def _differences(parts: Mapping[str, Sequence[Mapping[str, Any]]], told: Mapping[str, str]) -> str:
    """Tests between the first partition and each other one, corrected together."""
    (first, reference), *others = parts.items()
    names, values = [], []
    for other, people in others:
        for column, kind in told.items():
            a, b = ([one[column] for one in group if one.get(column) is not None] for group in (reference, people))
            if a and b:
                found = (
                    mann_whitney(a, b) if kind == "number" else same_shares([str(v) for v in a], [str(v) for v in b])
                )
                names.append(f"{column}, {other[0].lower()}{other[1:]} ({found.test}")
                values.append(found.p)
    if not names:
        return ""
    told_p = [f"{name}, {p_text(p)})" for name, p in zip(names, holm(values), strict=True)]
    return f"Against {first[0].lower()}{first[1:]}, Holm-corrected: {listed(told_p)}."
