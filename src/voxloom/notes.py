"""Notes on what was read: what a header left open or contradicts, told once per command and never lost in between.

Knows who listens: ``collect`` gathers what readers ``tell`` while its block runs, in worker processes too (``parallel`` carries the
notes home). Without a listener a note goes nowhere; readers also keep it in ``Volume.meta["geometry_note"]``.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_SHOWN = 3
_listening: list[list[Note]] = []


@dataclass(frozen=True)
class Note:
    """One remark on one file (or case)."""

    source: str
    text: str
    is_warning: bool = False


def tell(source: object, text: str, *, warning: bool = False) -> None:
    """Tell the innermost listener of a file, once."""
    pass_on([Note(str(source), text, warning)])


def pass_on(notes: Iterable[Note]) -> None:
    """Tell the innermost listener what another one heard."""
    if _listening:
        _listening[-1] += [note for note in dict.fromkeys(notes) if note not in _listening[-1]]


@contextlib.contextmanager
def collect() -> Iterator[list[Note]]:
    """A list that fills with the notes told while the block runs."""
    heard: list[Note] = []
    _listening.append(heard)
    try:
        yield heard
    finally:
        _listening[:] = [listener for listener in _listening if listener is not heard]


def heard() -> list[Note]:
    """What the innermost listener has heard so far; nothing without one."""
    return list(_listening[-1]) if _listening else []


def without_numbers(text: str) -> str:
    """The same for texts that differ in their numbers only."""
    return re.sub(r"\d+(\.\d+)?", "#", text)


def grouped(notes: Iterable[Note]) -> list[tuple[str, list[str]]]:
    """The remarks with their sources; those that differ in their numbers only are one (the first one's numbers are shown)."""
    groups: dict[str, tuple[str, list[str]]] = {}
    for note in notes:
        groups.setdefault(without_numbers(note.text), (note.text, []))[1].append(note.source)
    return list(groups.values())


def sentence(text: str, sources: list[str]) -> str:
    """One line for a group of notes: ``TEXT (a.nii, b.nii and 3 more)``."""
    more = f" and {len(sources) - _SHOWN} more" if len(sources) > _SHOWN else ""
    return f"{text} ({', '.join(sources[:_SHOWN])}{more})"
