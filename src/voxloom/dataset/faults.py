"""Faults of several cases in one line: those that differ in their numbers only, since every file counts its own, are one.

Knows cases and sentences; reads no file.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from voxloom.dataset.tables import name_some
from voxloom.errors import BadInput, VoxloomError
from voxloom.notes import without_numbers

R = TypeVar("R")


@dataclass(frozen=True)
class Fault:
    """What is wrong with a case, told without its file, and what to do about it."""

    case: str
    what: str
    fix: str = ""


@dataclass(frozen=True)
class Alike:
    """Faults of one kind, of one case or of several."""

    faults: tuple[Fault, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Their cases."""
        return tuple(fault.case for fault in self.faults)

    @property
    def what(self) -> str:
        """What is wrong, in the words of the first; of several cases also which they are."""
        first = self.faults[0]
        if len(self.faults) == 1:
            return first.what
        such = "" if {fault.what for fault in self.faults} == {first.what} else f", such as {first.case}"
        return f"in {len(self.faults)} cases ({name_some(self.cases)}){such}: {first.what}"

    @property
    def fix(self) -> str:
        """What to do about them."""
        return self.faults[0].fix


def alike(faults: Iterable[Fault]) -> list[Alike]:
    """Faults by kind, in the order in which the kinds come up."""
    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[without_numbers(fault.what), fault.fix].append(fault)
    return [Alike(tuple(group)) for group in kinds.values()]


def together(refused: Sequence[tuple[str, VoxloomError]]) -> VoxloomError:
    """One error for cases (id, error) that cannot be used: all that are of the first one's kind, and how many are not."""
    first = refused[0][1]
    if len(refused) == 1:
        return first
    if not isinstance(first, BadInput):
        return VoxloomError(f"{first}; {len(refused) - 1} more cases cannot be used")
    faults = [Fault(name, error.what, error.fix or "") for name, error in refused if isinstance(error, BadInput)]
    kind = alike(faults)[0]
    others = len(refused) - len(kind.faults)
    more = f"; {others} more cannot be used for other reasons" if others else ""
    return BadInput(f"{kind.what}{more}", first.where if len(kind.faults) == 1 else None, first.fix)


def all_or_told(outcomes: Iterable[tuple[str, R | VoxloomError]]) -> list[tuple[str, R]]:
    """What every case (id, what came of it) gave. Raises one error for all that cannot be used, once each has been tried."""
    found, refused = [], []
    for name, outcome in outcomes:
        if isinstance(outcome, VoxloomError):
            refused.append((name, outcome))
        else:
            found.append((name, outcome))
    if refused:
        raise together(refused)
    return found
