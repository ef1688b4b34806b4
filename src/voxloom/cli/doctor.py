"""``voxloom doctor``: whether this machine is ready, and what to do where it is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

_MARKS = {"ok": "ok", "note": "note", "fault": "FAULT"}


def command(
    folder: Annotated[Path, typer.Argument(help="Where runs and caches are to go.")] = Path("."),
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Look at machine, folders, packages and optional parts, and try a training step; exit code 2 where something is in the way."""
    from voxloom.cli import output
    from voxloom.verbs.doctor import Report, examine

    if not folder.is_dir():
        from voxloom.errors import BadInput

        raise BadInput("is not a folder", folder, "Make it, or name another")
    report: Report = examine(folder, output.listener())
    rows = [["", "what", "found"]]
    for found in report.findings:
        rows.append([_MARKS[found.state], found.name, found.text])
        if found.fix:
            rows.append(["", "", f"-> {found.fix}"])
    if not json_output:
        output.table(rows)
    for fault in report.faults:
        output.note(f"Error: {fault.name}: {fault.text}" + (f". {fault.fix}" if fault.fix else ""))
    if not report.faults:
        output.note("\nThis machine is ready.")
    output.done([], None if report.faults else ["voxloom", "demo"], report.to_dict() if json_output else None)
    if report.faults:
        raise typer.Exit(2)
