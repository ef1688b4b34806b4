"""``voxloom translate``: landmarks from one format to another."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

if TYPE_CHECKING:
    from voxloom.dataset import Dataset
    from voxloom.points import Point


class Ending(StrEnum):
    """Formats of points."""

    CSV = ".csv"
    SLICER = ".mrk.json"
    SLICER_4 = ".fcsv"
    MAP = ".nii.gz"


def command(
    points: Annotated[Path, typer.Argument(help="Folder of points, one file per case, or one table of all cases.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="New folder for the points, one file per case.")],
    to: Annotated[
        Ending,
        typer.Option(help=".mrk.json: 3D Slicer 5; .fcsv: 3D Slicer 4; .nii.gz: label map of ITK-SNAP; .csv: our own."),
    ] = Ending.SLICER,
    scans: Annotated[
        Optional[Path], typer.Option("--scans", help="Data set of the scans: a label map needs their grids.")
    ] = None,
    names: Annotated[
        Optional[str],
        typer.Option(
            help="Names from head to feet, e.g. L1,L2,L3,L4,L5: marks get level and side from where they lie."
        ),
    ] = None,
    one_side: Annotated[
        bool, typer.Option("--one-side", help="With --names: landmarks lie in the middle and come in no pairs.")
    ] = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write the landmarks of every case in another format, for the program in which they shall be seen or corrected."""
    from voxloom.cli import output
    from voxloom.cli.points import read_cases
    from voxloom.dataset import Dataset
    from voxloom.errors import BadInput
    from voxloom.files import new_folder

    if (to is Ending.MAP) != (scans is not None):
        raise BadInput("a label map needs the scans, and only a label map", None, "--to .nii.gz --scans DATASET")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput("exists already and is not an empty folder", out, "Choose a new folder with -o")
    if one_side and names is None:
        raise BadInput("--one-side goes with --names", None, "Add --names L1,L2,...")
    given = read_cases(points, unnamed=names is not None)
    if names is not None:
        given = {case: named(marks, names, not one_side, case, points) for case, marks in given.items()}
    dataset = None if scans is None else Dataset(scans)
    if dataset is not None and (absent := sorted(set(given) - {case.id for case in dataset})):
        raise BadInput(f"no scan for the points of {', '.join(absent[:5])}", scans, "Give the data set of these scans")
    with new_folder(out) as building:
        for case, marks in given.items():
            write_case(marks, building / f"{case}{to.value}", case, dataset)
    facts = {"folder": str(out), "cases": len(given), "points": sum(map(len, given.values()))}
    output.note(f"{facts['points']} points of {len(given)} cases")
    output.done([out], ["voxloom", "points", points, out, "--truth", "DIR"], facts if json_output else None)


def named(marks: tuple[Point, ...], names: str, sides: bool, case: str, where: Path) -> tuple[Point, ...]:
    """The marks of one case with the names and sides that follow from their places; BadInput names the case."""
    from voxloom.errors import BadInput
    from voxloom.landmarks.naming import name_marks

    try:
        return name_marks([mark.position for mark in marks], [name.strip() for name in names.split(",")], sides=sides)
    except BadInput as error:
        raise BadInput(f"{case}: {error.what}", where, error.fix) from error


def write_case(marks: tuple[Point, ...], path: Path, case: str, dataset: Dataset | None) -> None:
    """The points of one case; on the grid of its scan as a label map where there is a data set."""
    from voxloom.points import write_fiducial_map, write_points

    if dataset is None:
        write_points(marks, path, case)
    else:
        write_fiducial_map(marks, dataset[case].read_image(), path)
