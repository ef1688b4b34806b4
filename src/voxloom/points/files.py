"""Read and write points by the ending of the file. Knows endings; the formats are in the modules beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.points.labelmap import names_file, points_of_map, read_label_names
from voxloom.points.point import Point
from voxloom.points.slicer import read_fcsv, read_markups, write_fcsv, write_markups
from voxloom.points.table import read_point_table, write_point_table

_MAPS = (".nii.gz", ".nii", ".mha", ".mhd", ".nrrd")
#: Endings of files with points.
POINT_ENDINGS = (".csv", ".mrk.json", ".fcsv", *_MAPS)


def point_ending(path: str | Path) -> str:
    """The ending by which a file of points is known, or ``""``."""
    name = Path(path).name.lower()
    return next((ending for ending in POINT_ENDINGS if name.endswith(ending) and len(name) > len(ending)), "")


def read_points(path: str | Path, case: str | None = None, *, unnamed: bool = False) -> tuple[Point, ...]:
    """Points of a ``.csv``, ``.mrk.json`` or ``.fcsv`` file, or of a fiducial label map.

    Parameters
    ----------
    case : whose rows to take from a table of several cases.
    unnamed : rows of a table need no name; such marks are called ``voxloom.points.table.UNNAMED``.

    Raises
    ------
    BadInput : the file is missing, broken, or of no known kind.
    """
    path, ending = Path(path), point_ending(path)
    if not path.is_file():
        raise BadInput("no such file of points", path)
    if ending == ".csv":
        return read_point_table(path, case, unnamed=unnamed)
    if ending == ".mrk.json":
        return read_markups(path)
    if ending == ".fcsv":
        return read_fcsv(path)
    if ending:
        from voxloom.formats import read_marks

        names = names_file(path)
        return points_of_map(read_marks(path), read_label_names(names) if names.is_file() else None)
    raise BadInput("is not a file of points", path, f"Known endings: {', '.join(POINT_ENDINGS)}")


def write_points(points: Sequence[Point], path: str | Path, case: str = "") -> Path:
    """Write ``.csv`` (with the case's name), ``.mrk.json`` or ``.fcsv``; label maps need a grid: ``write_fiducial_map``.

    Raises BadInput for another ending.
    """
    ending = point_ending(path)
    if ending == ".csv":
        return write_point_table({case: points}, path)
    if ending == ".mrk.json":
        return write_markups(points, path)
    if ending == ".fcsv":
        return write_fcsv(points, path)
    raise BadInput("points are written as .csv, .mrk.json or .fcsv", path, "Choose one of these endings")
