"""SingleNet and MultiNet together: the one sees every foramen sharply, the other knows which level it is.

The thesis proposes the union ("where MultiNet expects a foramen but does not recognize one, the output of SingleNet might be of
aid") and leaves the way open; this is ours. Does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from voxloom.landmarks.candidates import Candidate
from voxloom.landmarks.layout import Layout
from voxloom.points import Key, Point

#: A candidate this close to a labelled point is the same foramen, in mm.
SAME_MM = 10.0


def combine(labelled: Sequence[Point], candidates: Sequence[Candidate], layout: Layout) -> tuple[Point, ...]:
    """MultiNet's names with SingleNet's places.

    A labelled point with a SingleNet candidate within 10 mm takes the candidate's (sharper) position. A level that MultiNet missed
    takes the candidate nearest to where the found levels of its side put it (between its neighbors, or one step beyond
    them), if one lies within half a step and belongs to no other point; its confidence is halved. Without two found levels on a
    side nothing is added.

    Parameters
    ----------
    labelled : of MultiNet, one point per landmark at most.
    candidates : of SingleNet's map, in RAS mm.
    """
    found = {point.key: point for point in labelled}
    free = list(candidates)
    for key, point in found.items():
        nearest = min(free, key=lambda c: _distance(c.position, point.position), default=None)
        if nearest is not None and _distance(nearest.position, point.position) <= SAME_MM:
            found[key] = replace(point, position=nearest.position)
            free.remove(nearest)
    for side in layout.sides:
        _fill(found, free, layout.names, side)
    return tuple(found[key] for key in layout.keys if key in found)


def _fill(found: dict[Key, Point], free: list[Candidate], names: Sequence[str], side: str) -> None:
    """Give the missing levels of one side the free candidates that lie where they are expected."""
    known = {n: np.array(found[Key(name, side)].position) for n, name in enumerate(names) if Key(name, side) in found}
    if len(known) < 2:
        return
    steps = [(known[b] - known[a]) / (b - a) for a, b in pairwise(sorted(known))]
    half_step = float(np.median([np.linalg.norm(step) for step in steps])) / 2
    for n, name in enumerate(names):
        if n in known or not free:
            continue
        expected = expected_place(known, n)
        nearest = min(free, key=lambda c: _distance(c.position, expected))
        if _distance(nearest.position, expected) <= half_step:
            found[Key(name, side)] = Point(name, side, nearest.position, nearest.mean / 2)
            free.remove(nearest)


def expected_place(known: dict[int, np.ndarray], level: int) -> np.ndarray:
    """Where a level lies by the others of its side: between its neighbors, or as far beyond as the last two are apart."""
    numbers = sorted(known)
    below, above = [n for n in numbers if n < level], [n for n in numbers if n > level]
    a, b = (below[-1], above[0]) if below and above else (numbers[:2] if above else numbers[-2:])
    return np.asarray(known[a] + (known[b] - known[a]) * (level - a) / (b - a))


def _distance(a: Sequence[float] | np.ndarray, b: Sequence[float] | np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(a) - np.asarray(b)))
