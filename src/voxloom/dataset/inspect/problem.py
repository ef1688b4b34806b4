"""One problem of a data set, and how several cases are told in one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from voxloom.dataset.tables import name_some

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """Something a user should know before training.

    Parameters
    ----------
    severity : "error" stops or spoils training, "warning" probably costs accuracy, "note" is good to know.
    case : the case it is about, or None for the whole set or several cases.
    what, fix : the finding in one sentence, and what to do about it.
    cases : all cases it is about, where it is about cases.
    """

    severity: Severity
    case: str | None
    what: str
    fix: str
    cases: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f"{self.case}: " if self.case else ""
        return f"{self.severity}: {where}{self.what}. {self.fix}."


def about(severity: Severity, cases: Sequence[str], what: str, fix: str) -> Problem:
    """A problem of one or several cases; ``: {cases}`` at the end of ``what`` becomes the names of several."""
    if len(cases) == 1:
        return Problem(severity, cases[0], what.replace(": {cases}", ""), fix, tuple(cases))
    return Problem(severity, None, what.replace("{cases}", name_some(cases)), fix, tuple(cases))


def counted(count: int, noun: str = "case") -> str:
    """``1 case``, ``3 cases``."""
    return f"{count} {noun}" + ("" if count == 1 else "s")
