"""Who was scanned, as far as the ids tell: ids that look like several scans of one person, where nobody named the patients.

Knows the usual ways to number scans (``P1_a`` and ``P1_b``, ``SCD0001-IM-0003``, ``sub-01_ses-2``, ``12_pre``). A suspicion, never
a statement: two people may have such ids too.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from voxloom.dataset.case import Case

_SEPARATOR = re.compile(r"[_\-. ]+")
#: A part of an id from which on it counts scans, not people.
_SCAN = re.compile(
    r"(im|img|image|ses|sess|session|scan|visit|frame|slice|run|series|se|ser|acq|rep|time|timepoint|tp|month|week|day|year|"
    r"pre|post|baseline|bl|followup|fu|left|right|l|r|lt|rt|t|v|m|y|ed|es|test|retest|prior|current|first|second)\d*",
    re.IGNORECASE,
)
#: Ids that begin alike and only end in another number are rather those of a site where there are more of them than this.
_MOST_SCANS = 12
_LETTER_AT_END = re.compile(r"^(.*\d)[A-Za-z]$")


def suspected_patients(cases: Iterable[Case]) -> dict[str, list[str]]:
    """Ids by the person they seem to be of, for persons with several; only of cases whose patient nobody named."""
    return alike_ids([case.id for case in cases if case.patient == case.id])


def alike_ids(ids: Sequence[str]) -> dict[str, list[str]]:
    """Ids by what they begin with, where that has a number in it, several ids share it, and others begin differently."""
    ways = (_before_scan, _without_letter, _without_last)
    for way in ways:
        groups: dict[str, list[str]] = defaultdict(list)
        for name in ids:
            start = way(name)
            if start and any(c.isdigit() for c in start):
                groups[start].append(name)
        several = {start: names for start, names in groups.items() if len(names) > 1}
        counted = way is _without_last and sum(map(len, groups.values())) > _MOST_SCANS * len(
            groups
        )  # by site, not person
        if several and not counted and (len(groups) > 1 or len(ids) > len(next(iter(several.values())))):
            return several
    return {}


def _before_scan(name: str) -> str:
    """``SCD0001`` of ``SCD0001-IM-0003``: what stands before the first part that counts scans; "" without one."""
    parts = [(m.start(), m.end()) for m in re.finditer(r"[^_\-. ]+", name)]
    for start, end in parts[1:]:
        if _SCAN.fullmatch(name[start:end]):
            return _SEPARATOR.sub("-", name[:start]).rstrip("-")
    return ""


def _without_letter(name: str) -> str:
    """``P1`` of ``P1a`` and ``P1_a``; "" of others."""
    match = _LETTER_AT_END.match(name) or re.match(r"^(.*\d)[_\-. ]+[A-Za-z]$", name)
    return match[1] if match else ""


def _without_last(name: str) -> str:
    """``P1`` of ``P1_2``; "" where there is one part alone."""
    *parts, last = _SEPARATOR.split(name)
    return "-".join(parts) if parts and len(last) <= 8 else ""


def suspicion(groups: Mapping[str, Sequence[str]]) -> str:
    """The suspicion in words, with an example; "" for none."""
    if not groups:
        return ""
    example = next(iter(groups.values()))
    return (
        f"no patients are named, but ids look like several scans of one person ({example[0]} and {example[1]}; "
        f"{len(groups)} such {'group' if len(groups) == 1 else 'groups'} of ids)"
    )
