"""Unnamed marks get level and side from where they lie, as in the annotation tool of Lamerigts (2017, chapter 6).

Knows marks in RAS mm and the names from head to feet; no file, no scan.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.landmarks.sides import cut_in_two
from voxloom.points import Point

#: Marks of one structure lie within so many mm of one another, seen along left-right; neighbors on the spine lie further apart.
APART_MM = 12.0
#: Marks all within so many mm along left-right do not show two sides.
LEAST_SPREAD_MM = 16.0


def name_marks(
    positions: Sequence[Sequence[float]], names: Sequence[str], *, sides: bool = True, apart: float = APART_MM
) -> tuple[Point, ...]:
    """Marks with the name and side that follow from their places.

    Left-right places are divided by 2-means. On each side, marks that lie within ``apart`` mm of one another in the sagittal plane, on
    whatever slices, are of one structure; the structures get the names from head to feet.

    Parameters
    ----------
    positions : (n, 3) RAS mm, in any order.
    names : from head to feet; every side must show all of them.
    sides : whether landmarks come in pairs.
    apart : mm between marks of one structure.

    Raises
    ------
    BadInput : the marks do not show two sides, or a side shows another number of structures than there are names.
    """
    places = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    if not len(places):
        return ()
    if sides and float(np.ptp(places[:, 0])) < LEAST_SPREAD_MM:
        what = f"its marks lie within {float(np.ptp(places[:, 0])):.0f} mm from left to right and show one side only"
        raise BadInput(what, None, "Mark both sides, or name the marks yourself")
    right = places[:, 0] > cut_in_two(places[:, 0]) if sides else np.zeros(len(places), bool)
    found: dict[int, Point] = {}
    for side, chosen in (("left", ~right), ("right", right)) if sides else (("", ~right),):
        numbers = np.flatnonzero(chosen)
        groups = structures(places[numbers], apart)
        if len(groups) != len(names):
            where = f"on the {side}" if side else "in the scan"
            what = f"{len(groups)} structures are marked {where}, and there are {len(names)} names ({', '.join(names)})"
            raise BadInput(what, None, "Mark every structure, or name the marks yourself")
        for name, group in zip(names, groups, strict=True):
            for n in numbers[group]:
                x, y, z = places[n].tolist()
                found[int(n)] = Point(name, side, (x, y, z))
    return tuple(found[n] for n in sorted(found))


def structures(places: NDArray[np.float64], apart: float) -> list[NDArray[np.intp]]:
    """Marks (n, 3) in groups whose members are linked by steps of at most ``apart`` mm in the sagittal plane, the highest first."""
    from scipy.cluster.hierarchy import fcluster, linkage

    if not len(places):
        return []
    numbers = fcluster(linkage(places[:, 1:], "single"), apart, "distance") if len(places) > 1 else np.ones(1, int)
    groups = [np.flatnonzero(numbers == number) for number in np.unique(numbers)]
    return sorted(groups, key=lambda group: -float(places[group, 2].mean()))
