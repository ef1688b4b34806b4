"""From maps to named points: threshold, components, sides, ordering; and the checks that may leave a point out.

After Lamerigts (2017), sections 7.4.4 and 7.5.3. A landmark without a candidate is missing from the result, never invented.
Does not know files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from voxloom.landmarks.candidates import Candidate, find_candidates
from voxloom.landmarks.layout import Layout
from voxloom.landmarks.settings import LandmarkSettings
from voxloom.landmarks.sides import split_sides
from voxloom.points import Key, Point


def locate(
    maps: NDArray[np.floating],
    affine: NDArray[np.float64],
    layout: Layout,
    settings: LandmarkSettings | None = None,
    *,
    mark_voxels: float | None = None,
) -> tuple[Point, ...]:
    """The points in the maps of one scan, from head to feet, each with a raw confidence.

    One map: on each side the largest candidates, as many as there are levels, named from head to feet; so a landmark that
    is missed shifts the names of those below it. A map per level: the largest candidate on each side. A map per landmark:
    the largest candidate.

    Parameters
    ----------
    maps : (layout.count, I, J, K) probabilities.
    affine : (4, 4) voxel index to RAS mm.
    mark_voxels : voxels that the target of one mark has, for the confidence; None rates by probability alone.
    """
    s = settings or LandmarkSettings()
    found = find_candidates(maps, affine, threshold=s.threshold, position=s.position)
    groups = _by_side(found, maps.shape[1:], affine, layout)
    if layout.maps == "one":
        points = _named_by_order(groups, layout)
    elif s.order == "joint":
        points = _named_jointly(groups, layout, s.radius, mark_voxels)
    else:
        points = _named_by_map(groups, layout)
    located = [
        Point(key.name, key.side, c.position, _confidence(c, mark_voxels))
        for key in layout.keys
        if (c := points.get(key)) is not None
    ]
    return anatomical(located, layout.names) if s.order == "drop" else tuple(located)


def _confidence(candidate: Candidate, mark_voxels: float | None) -> float:
    """Mean probability, lowered where the candidate is smaller than the target of one mark."""
    share = 1.0 if mark_voxels is None else min(1.0, candidate.size / max(mark_voxels, 1.0))
    return candidate.mean * share


def _by_side(
    found: Sequence[Candidate], shape: Sequence[int], affine: NDArray[np.float64], layout: Layout
) -> dict[str, list[Candidate]]:
    """Candidates of each side; largest first."""
    groups: dict[str, list[Candidate]] = {side: [] for side in layout.sides}
    if not layout.sided or layout.maps == "landmark":
        for side in groups:
            groups[side] = list(found)
        return groups
    axis = int(np.argmax(np.abs(affine[0, :3])))
    rightwards = bool(affine[0, axis] > 0)
    for candidate, far in zip(found, split_sides([c.voxel[axis] for c in found], shape[axis]), strict=True):
        groups["right" if bool(far) == rightwards else "left"].append(candidate)
    return groups


def _named_by_order(groups: Mapping[str, Sequence[Candidate]], layout: Layout) -> dict[Key, Candidate]:
    """The largest candidates of a side, named from head to feet."""
    named = {}
    for side, candidates in groups.items():
        largest = sorted(candidates, key=lambda c: (-c.size, -c.peak))[: len(layout.names)]
        downwards = sorted(largest, key=lambda c: -c.position[2])
        named.update({Key(name, side): c for name, c in zip(layout.names, downwards, strict=False)})
    return named


def _named_by_map(groups: Mapping[str, Sequence[Candidate]], layout: Layout) -> dict[Key, Candidate]:
    """The largest candidate of every map, on each side."""
    named: dict[Key, Candidate] = {}
    for key in layout.keys:
        own = [c for c in groups[key.side] if c.map == layout.map_of(key)]
        if own:
            named[key] = max(own, key=lambda c: (c.size, c.peak))
    return named


def _named_jointly(
    groups: Mapping[str, Sequence[Candidate]], layout: Layout, apart: float, mark_voxels: float | None
) -> dict[Key, Candidate]:
    """On each side the descending choice, at most one candidate per level, with the largest sum of confidences."""
    named: dict[Key, Candidate] = {}
    for side, candidates in groups.items():
        steps = [
            (level, c)
            for level, name in enumerate(layout.names)
            for c in candidates
            if c.map == layout.map_of(Key(name, side))
        ]
        chosen = _heaviest_descent(
            [level for level, _ in steps],
            [c.position[2] for _, c in steps],
            [_confidence(c, mark_voxels) for _, c in steps],
            apart,
        )
        named.update({Key(layout.names[steps[n][0]], side): steps[n][1] for n in chosen})
    return named


def anatomical(points: Sequence[Point], names: Sequence[str]) -> tuple[Point, ...]:
    """The points that keep the order from head to feet on each side: of all such choices the one of most confidence.

    Points without a confidence count 1. The order of the result is that of ``points``.
    """
    kept: set[int] = set()
    for side in {point.side for point in points}:
        own = sorted((n for n, p in enumerate(points) if p.side == side), key=lambda n: names.index(points[n].name))
        weights = [1.0 if (sure := points[n].confidence) is None else sure for n in own]
        levels, heights = [names.index(points[n].name) for n in own], [points[n].position[2] for n in own]
        kept |= {own[n] for n in _heaviest_descent(levels, heights, weights)}
    return tuple(point for n, point in enumerate(points) if n in kept)


def _heaviest_descent(
    levels: Sequence[int], heights: Sequence[float], weights: Sequence[float], apart: float = 0.0
) -> list[int]:
    """Indices of the largest sum of weights whose levels rise while heights fall by more than ``apart`` from one to the next.

    Parameters
    ----------
    levels : in ascending order.
    """
    best: list[tuple[float, list[int]]] = []
    for n, (level, height, weight) in enumerate(zip(levels, heights, weights, strict=True)):
        before = [best[m] for m in range(n) if levels[m] < level and heights[m] - height > apart]
        total, chain = max(before, key=lambda item: item[0], default=(0.0, []))
        best.append((total + max(weight, 1e-9), [*chain, n]))
    return max(best, key=lambda item: item[0], default=(0.0, []))[1]


def abstained(points: Iterable[Point], least: float) -> tuple[Point, ...]:
    """The points that are sure enough; for the author a wrong point was worse than none."""
    return tuple(point for point in points if point.confidence is None or point.confidence >= least)
