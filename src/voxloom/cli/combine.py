"""``voxloom combine``: one set of landmarks from two networks."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Ending(StrEnum):
    """Formats of points."""

    CSV = ".csv"
    SLICER = ".mrk.json"
    SLICER_4 = ".fcsv"


def command(
    named: Annotated[Path, typer.Argument(help="Points whose names are trusted (MultiNet): a folder, or one table.")],
    places: Annotated[Path, typer.Argument(help="Points whose places are trusted (SingleNet), of the same scans.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for the points, one file per case.")],
    ending: Annotated[Ending, typer.Option(help="Format of the files.")] = Ending.CSV,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Give the landmarks of NAMED the sharper positions of PLACES, and fill in levels that only PLACES has seen."""
    from voxloom.cli import output
    from voxloom.cli.points import read_cases
    from voxloom.errors import BadInput
    from voxloom.files import new_folder
    from voxloom.points import write_points
    from voxloom.tasks.landmarks.join import join_cases

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput("exists already and is not an empty folder", out, "Choose a new folder with -o")
    given = read_cases(named)
    joined = join_cases(given, read_cases(places))
    with new_folder(out) as building:
        for case, points in joined.items():
            write_points(points, building / f"{case}{ending.value}", case)
    filled = {case: len(points) - len(given.get(case, ())) for case, points in joined.items()}
    output.note(f"{len(joined)} cases; {sum(filled.values())} landmarks were filled in")
    facts = {"folder": str(out), "cases": len(joined), "filled": filled}
    output.done([out], ["voxloom", "points", out, named, "--truth", "DIR"], facts if json_output else None)
