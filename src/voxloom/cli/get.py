"""``voxloom get``: a public data set by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset.fetch import PublicSet


def command(
    name: Annotated[
        Optional[str], typer.Argument(help="Name of the data set; without it the names are listed.")
    ] = None,
    out: Annotated[
        Optional[Path], typer.Option("-o", "--out", help="Folder to make. [default: the name, in this folder]")
    ] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="I have read the licence and accept it.")
    ] = False,
    url: Annotated[Optional[str], typer.Option(help="Take the file from this address, such as a mirror.")] = None,
    sha256: Annotated[Optional[str], typer.Option(help="Checksum that the downloaded file must have.")] = None,
    list_sets: Annotated[bool, typer.Option("--list", help="List the known data sets.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Download a public data set: licence shown, resumable, checksum checked, unpacked safely, ready to train on."""
    from voxloom.cli import output
    from voxloom.dataset import Dataset
    from voxloom.dataset.fetch import PUBLIC_SETS, find_set, get

    if name is None or list_sets:
        rows = [["name", "cases", "what", "licence"]]
        rows += [[s.name, str(s.cases), s.title, s.licence.partition(" (")[0]] for s in PUBLIC_SETS]
        facts = [{"name": s.name, "cases": s.cases, "title": s.title, "licence": s.licence} for s in PUBLIC_SETS]
        if not json_output:
            output.table(rows, title="Public data sets")
        output.done([], ["voxloom", "get", "NAME"], {"sets": facts} if json_output else None)
        return
    entry, target = find_set(name), out or Path(find_set(name).name)
    if not json_output:
        for line in _about(entry):
            output.note(line)
    accepted = accept_licence or _ask(target)
    with output.progress_bar("Downloading") as progress:
        folder = get(entry, target, accept_licence=accepted, url=url, sha256=sha256, progress=progress)
    found = Dataset(folder)
    if len(found) != entry.cases:
        output.note(f"{len(found)} cases were found, {entry.cases} are published")
    facts_one = {"name": entry.name, "folder": str(folder), "cases": len(found), "licence": entry.licence}
    output.done([folder], ["voxloom", "inspect", folder], facts_one if json_output else None)


def _about(entry: PublicSet) -> list[str]:
    checksum = "published checksum" if entry.checked else "no published checksum; the first download's is recorded"
    lines = [f"{entry.name}: {entry.title}", f"Licence: {entry.licence}, see {entry.home}", f"Cite: {entry.citation}"]
    return [*lines, f"Checked by: {checksum}", *(f"Note: {note}" for note in entry.notes)]


def _ask(target: Path) -> bool:
    """Ask at a terminal; elsewhere the flag is needed. A set that is there already needs no answer."""
    import sys

    if target.exists() or not sys.stdin.isatty():
        return False
    return typer.confirm("Do you accept this licence?", default=False)
