"""What commands print: results to standard output, everything else to standard error.

Knows the screen; does not know what a command does. With ``--json`` standard output carries JSON only.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from voxloom.files import plain

if TYPE_CHECKING:
    from rich.console import Console

    from voxloom.progress import Progress
    from voxloom.study.scans import Scan


@cache
def screen() -> Console:
    """The console for people (standard error)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def note(text: str) -> None:
    """Say something that is not the result."""
    typer.echo(text, err=True)


def table(rows: Sequence[Sequence[str]], title: str | None = None) -> None:
    """Print a table for people, with a header row and aligned columns."""
    widths = [max(len(str(row[n])) for row in rows) for n in range(len(rows[0]))]
    if title:
        note(f"\n{title}")
    for number, row in enumerate(rows):
        note("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if number == 0:
            note("  ".join("-" * width for width in widths))


def filled_channels(scans: Sequence[Scan], channels: Sequence[str]) -> dict[str, list[str]]:
    """The channels that scans lack, by the scan's name; said for each."""
    filled = {scan.name: [channels[n] for n in scan.missing] for scan in scans if scan.missing}
    for name, lost in filled.items():
        note(f"{name}: no file of {', '.join(lost)}; filled as in training, where channels were left out at random")
    return filled


def done(wrote: Sequence[Path], next_step: str | None, as_json: Any = None) -> None:
    """Say what was written and the next sensible command, or print the result as JSON."""
    if as_json is not None:
        typer.echo(json.dumps(plain(as_json), indent=2))
        return
    for path in list(wrote)[:10]:
        typer.echo(f"Wrote {path}")
    if len(wrote) > 10:
        typer.echo(f"... and {len(wrote) - 10} more")
    if next_step:
        typer.echo(f"Next: {next_step}")


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Progress]:
    """A bar with an estimate of the remaining time, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import Progress as Bar

    with Bar(console=screen(), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
