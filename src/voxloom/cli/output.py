"""What commands print: results to standard output, everything else to standard error.

Knows the screen; does not know what a command does. With ``--json`` standard output carries JSON only.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from voxloom.errors import BadInput, VoxloomError
from voxloom.files import plain
from voxloom.notes import grouped, heard, sentence

if TYPE_CHECKING:
    from voxloom.progress import Progress
    from voxloom.run.listener import Listener

#: Names that are listed in one sentence.
NAMED = 5


@dataclass(frozen=True)
class Page:
    """A page to look at, as the next step."""

    path: Path


def note(text: str) -> None:
    """Say something that is not the result."""
    typer.echo(text, err=True)


def table(rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table for people, with a header row and aligned columns; of one that has a title and no rows, that there are none."""
    from voxloom.report.notebook import text_lines

    if title and len(rows) == 1:
        note(f"\n{title}: none")
        return
    if title:
        note(f"\n{title}")
    for line in text_lines(rows):
        note(line)


def note_once(notes: Iterable[tuple[str, str]]) -> None:
    """Say each sentence once, with the names that it holds for: the first few and their count."""
    from voxloom.dataset.tables import name_some

    by_text: dict[str, list[str]] = {}
    for name, text in notes:
        by_text.setdefault(text, []).append(name)
    for text, names in by_text.items():
        count = f" ({len(names)})" if len(names) > NAMED else ""
        note(f"{name_some(names, NAMED)}{count}: {text}")


def not_predicted(failures: Mapping[str, VoxloomError]) -> None:
    """Say which scans were not predicted and why; a reason that many share is said once."""
    shared = Counter(_reason(error) for error in failures.values())
    note_once(
        (name, f"not predicted: {_reason(error) if shared[_reason(error)] > 1 else error}")
        for name, error in failures.items()
    )


def _reason(error: VoxloomError) -> str:
    """The error without the file that it names."""
    if not isinstance(error, BadInput):
        return str(error)
    return error.what if error.fix is None else f"{error.what}. {error.fix}"


def done(wrote: Sequence[Path], next_step: Sequence[object] | Page | None, as_json: Any = None) -> None:
    """Say what was written and the next sensible command, or print the result as JSON; in both what readers noted on files.

    Parameters
    ----------
    next_step : the words of a command line, which are quoted for the shell where they must be; or a page to look at.
    """
    told = grouped(heard())
    warnings = {found.text for found in heard() if found.is_warning}
    for text, sources in told:
        note(f"{'Warning' if text in warnings else 'Note'}: {sentence(text, sources)}")
    if as_json is not None:
        notes = {"notes": [{"note": text, "files": sources} for text, sources in told]}
        whole = {**as_json, **notes} if told and isinstance(as_json, dict) else as_json
        typer.echo(json.dumps(plain(whole), indent=2))
        return
    for path in list(wrote)[:10]:
        typer.echo(f"Wrote {path}")
    if len(wrote) > 10:
        typer.echo(f"... and {len(wrote) - 10} more")
    if isinstance(next_step, Page):
        typer.echo(f"Next: look at {next_step.path}")
    elif next_step is not None:
        typer.echo(f"Next: {command_line(next_step)}")


def command_line(words: Sequence[object]) -> str:
    """Words as one line for a shell; ``>`` and ``|`` keep their meaning."""
    return " ".join(str(word) if str(word) in (">", "|") else shlex.quote(str(word)) for word in words)


def progress_bar(text: str) -> AbstractContextManager[Progress]:
    """A bar with an estimate of the remaining time, where it can move."""
    from voxloom.run.screen import progress_bar as bar

    return bar(text)


def listener() -> Listener:
    """Tells a terminal what a verb does."""
    from voxloom.run.listener import Listener

    return Listener(stage=note, progress=progress_bar)
