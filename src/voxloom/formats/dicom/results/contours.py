"""Masks of one plane as closed contours, and back, exactly: a pixel is inside where its center is.

Knows holes (joined to their rim by a cut without width, the keyhole of DICOM PS3.3 C.8.8.6.3) and the even-odd rule. Coordinates are
pixels. Does not know where planes lie.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]


def outlines(mask: NDArray[np.bool_]) -> list[Points]:
    """A closed contour (n, 2) of i and j around every piece of a mask (I, J); the last point is not the first again."""
    return [_keyhole(piece[0], piece[1:]) for piece in rings(mask)]


def rings(mask: NDArray[np.bool_]) -> list[list[Points]]:
    """The rim of every piece of a mask (I, J), and the rims of its holes."""
    if not mask.any():
        return []
    import contourpy

    # a rim of one pixel closes what touches the border
    padded = np.pad(mask, 1).astype(np.float64)
    generator = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    filled_areas: Any = generator.filled(0.5, np.inf)
    pieces, offsets = filled_areas
    found = []
    for points, ends in zip(pieces, offsets, strict=True):
        # contourpy's x runs along the second axis
        found.append([points[a : b - 1, ::-1] - 1.0 for a, b in pairwise(ends.tolist())])
    return found


def _keyhole(outer: Points, holes: list[Points]) -> Points:
    """One contour of a rim and its holes: each is joined to the nearest ring that already is (Prim's spanning tree)."""
    if not holes:
        return outer
    from scipy.spatial import cKDTree

    every = [outer, *holes]
    points, owner = np.concatenate(holes), np.repeat(np.arange(1, len(every)), [len(hole) for hole in holes])
    local = np.concatenate([np.arange(len(hole)) for hole in holes])
    distance, partner = cKDTree(outer).query(points)
    parent = np.zeros(len(points), int)
    left = np.ones(len(points), bool)
    joins: list[tuple[int, int, int, int]] = []
    while left.any():
        n = int(np.where(left, distance, np.inf).argmin())
        ring = int(owner[n])
        joins.append((int(parent[n]), int(partner[n]), ring, int(local[n])))
        left &= owner != ring
        if left.any():
            others = np.flatnonzero(left)
            found, at = cKDTree(every[ring]).query(points[others])
            closer = found < distance[others]
            distance[others[closer]], partner[others[closer]] = found[closer], at[closer]
            parent[others[closer]] = ring
    return _joined(every, joins)


def _joined(every: list[Points], joins: list[tuple[int, int, int, int]]) -> Points:
    """The rim with its holes put in: joins are (ring, its point, hole, the hole's point), rings before what is joined to them."""
    inserts: dict[int, list[tuple[int, Points]]] = {}
    for ring, at, hole, start in reversed(joins):
        whole = _with(every[hole], inserts.get(hole, []), start)
        inserts.setdefault(ring, []).append((at, whole))
    return _with(every[0], inserts.get(0, []), None)


def _with(ring: Points, inserts: list[tuple[int, Points]], start: int | None) -> Points:
    """A ring with closed ways out of its points put in; from ``start`` on and closed there, where it is one itself."""
    count = len(ring)
    first = start or 0
    pieces, at = [], 0
    for place, way in sorted(((at - first) % count, n) for n, (at, _) in enumerate(inserts)):
        index = (np.arange(at, place + 1) + first) % count
        pieces += [ring[index], inserts[way][1]]
        at = place
    last = count + (start is not None)
    pieces.append(ring[(np.arange(at, last) + first) % count])
    return np.concatenate(pieces)


def filled(contours: Iterable[Points], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (I, J) of pixels whose centers lie inside an odd number of contours (n, 2) of i and j; each is closed."""
    toggles = np.zeros((shape[0] + 1, shape[1]), np.int32)
    for points in contours:
        begin, end = points, np.roll(points, -1, axis=0)
        low, high = np.minimum(begin[:, 1], end[:, 1]), np.maximum(begin[:, 1], end[:, 1])
        # the rows j of an edge: from its lower end up to, but not at, its upper end, so that corners count once
        first, stop = np.ceil(low).astype(int), np.ceil(high).astype(int)
        first, stop = np.clip(first, 0, shape[1]), np.clip(stop, 0, shape[1])
        counts = np.maximum(stop - first, 0)
        edge = np.repeat(np.arange(len(points)), counts)
        row = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[edge]
        share = (row - begin[edge, 1]) / (end[edge, 1] - begin[edge, 1])
        cross = begin[edge, 0] + share * (end[edge, 0] - begin[edge, 0])
        np.add.at(toggles, (np.clip(np.ceil(cross), 0, shape[0]).astype(int), row), 1)
    inside: NDArray[np.bool_] = np.cumsum(toggles[:-1], axis=0) % 2 == 1
    return inside
