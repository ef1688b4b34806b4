"""Two networks' points made one: names of the one that knows levels, places of the one that sees every landmark.

Knows points by case. The rule is ``voxloom.landmarks.combine``. Does not know files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from voxloom.landmarks import Candidate, Layout, combine
from voxloom.points import Point

Cases = Mapping[str, Sequence[Point]]


def join_cases(named: Cases, places: Cases) -> dict[str, tuple[Point, ...]]:
    """The points of every case that either has.

    Parameters
    ----------
    named : points whose names are trusted (MultiNet); the levels are ordered by their mean height over all cases.
    places : points whose places are trusted and whose names do not matter (SingleNet).

    Raises
    ------
    BadInput : neither has a point, or some points have a side and others have none.
    """
    layout = Layout.of([*named.values(), *places.values()], "level")
    return {
        case: combine(named.get(case, ()), [as_candidate(point) for point in places.get(case, ())], layout)
        for case in dict.fromkeys([*named, *places])
    }


def as_candidate(point: Point) -> Candidate:
    """A candidate at the place of a point; one without a confidence counts as sure."""
    sure = 1.0 if point.confidence is None else point.confidence
    return Candidate(0, (math.nan, math.nan, math.nan), point.position, 0, sure, sure)
