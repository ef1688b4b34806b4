"""Implicit shapes in millimetres: superellipsoids, tubes, slabs, and how they are joined and cut.

Each shape knows an approximate signed distance to its surface (negative inside, mm) and a box around itself. Does
not know voxels or grey values. Coordinates are RAS+ mm of the body: x to the right, y to the front, z to the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[NDArray[np.float64], NDArray[np.float64]]


class Shape(Protocol):
    """What a canvas can paint."""

    def bounds(self) -> Box:
        """Corners (low, high), each (3,), of a box that holds the shape."""

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance in mm at points given by arrays that broadcast together."""


def rotation(x_deg: float = 0.0, y_deg: float = 0.0, z_deg: float = 0.0) -> NDArray[np.float64]:
    """Rotation matrix (3, 3): about z, then y, then x, right-handed."""
    a, b, c = np.deg2rad([x_deg, y_deg, z_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    about_y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    about_z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


@dataclass(frozen=True)
class Superellipsoid:
    """|x/a|^n + |y/b|^n + |z/c|^n = 1, turned: an ellipsoid for n = 2, close to a rounded box for n = 6.

    turn : (3, 3) rotation from the shape's own axes to the body's, None for none.
    """

    center: Point
    radii: Point
    power: float = 2.0
    turn: NDArray[np.float64] | None = None

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        turn = np.eye(3) if self.turn is None else self.turn
        reach = np.abs(turn) @ np.array(self.radii)
        return np.array(self.center) - reach, np.array(self.center) + reach

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance along the ray from the center."""
        moved = [axis - np.float32(at) for axis, at in zip((x, y, z), self.center, strict=True)]
        own = moved
        if self.turn is not None:
            turn = self.turn.astype(np.float32)
            own = [turn[0, n] * moved[0] + turn[1, n] * moved[1] + turn[2, n] * moved[2] for n in range(3)]
        scaled = [axis / np.float32(radius) for axis, radius in zip(own, self.radii, strict=True)]
        if self.power == 2.0:
            level = np.sqrt(scaled[0] ** 2 + scaled[1] ** 2 + scaled[2] ** 2)
        else:
            power = np.float32(self.power)
            level = (np.abs(scaled[0]) ** power + np.abs(scaled[1]) ** power + np.abs(scaled[2]) ** power) ** (
                1 / power
            )
        length = np.sqrt(moved[0] ** 2 + moved[1] ** 2 + moved[2] ** 2)
        found: Array = length * (1 - 1 / np.maximum(level, np.float32(1e-3)))
        return found


@dataclass(frozen=True)
class Tube:
    """A tube through points, with a radius at each; ``flatten`` > 1 makes it narrower along y by that factor."""

    points: tuple[Point, ...]
    radii: tuple[float, ...]
    flatten: float = 1.0

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        points, reach = np.array(self.points), max(self.radii)
        return points.min(axis=0) - reach, points.max(axis=0) + reach

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the nearest segment less its radius there."""
        points = np.array(self.points, dtype=np.float32)
        stretch = np.array([1, self.flatten, 1], np.float32)
        best: Array | None = None
        for a, b, r, s in zip(points, points[1:], self.radii, self.radii[1:], strict=False):
            along = (b - a) * stretch
            fx, fy, fz = x - a[0], (y - a[1]) * stretch[1], z - a[2]
            part = np.clip((fx * along[0] + fy * along[1] + fz * along[2]) / (along @ along), 0, 1)
            apart = (fx - part * along[0]) ** 2 + (fy - part * along[1]) ** 2 + (fz - part * along[2]) ** 2
            found = np.sqrt(apart) - (np.float32(r) + part * np.float32(s - r))
            best = found if best is None else np.minimum(best, found)
        assert best is not None, "a tube needs two points"
        return best


@dataclass(frozen=True)
class Slab:
    """All points within ``thickness`` / 2 of a plane through ``center`` with unit ``normal``."""

    center: Point
    normal: Point
    thickness: float

    def bounds(self) -> Box:
        """Everywhere; a slab is meant to be cut by other shapes."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Exact distance."""
        a, b, c = (np.float32(v) for v in self.normal)
        offset = np.float32(np.dot(self.normal, self.center))
        found: Array = np.abs(a * x + b * y + c * z - offset) - np.float32(self.thickness / 2)
        return found


@dataclass(frozen=True)
class Joined:
    """Shapes melted together over ``blend`` mm (0: their plain union)."""

    shapes: tuple[Shape, ...]
    blend: float = 0.0

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        boxes = [shape.bounds() for shape in self.shapes]
        low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
        return low - self.blend / 4, high + self.blend / 4

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Polynomial smooth minimum of the distances."""
        best = self.shapes[0].distance(x, y, z)
        for shape in self.shapes[1:]:
            other = shape.distance(x, y, z)
            near = np.maximum(np.float32(self.blend) - np.abs(best - other), 0)
            best = np.minimum(best, other)
            if self.blend > 0:
                best = best - near * near / np.float32(4 * self.blend)
        return best


@dataclass(frozen=True)
class Common:
    """What all shapes share."""

    shapes: tuple[Shape, ...]

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        boxes = [shape.bounds() for shape in self.shapes]
        return np.max([b[0] for b in boxes], axis=0), np.min([b[1] for b in boxes], axis=0)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The largest distance."""
        best = self.shapes[0].distance(x, y, z)
        for shape in self.shapes[1:]:
            best = np.maximum(best, shape.distance(x, y, z))
        return best


@dataclass(frozen=True)
class Cut:
    """``body`` without ``hole``."""

    body: Shape
    hole: Shape

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        return self.body.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The larger of the distance to the body and the depth in the hole."""
        found: Array = np.maximum(self.body.distance(x, y, z), -self.hole.distance(x, y, z))
        return found


@dataclass(frozen=True)
class Grown:
    """``shape`` grown by ``by`` mm on all sides (shrunk where negative)."""

    shape: Shape
    by: float

    def bounds(self) -> Box:
        """See :class:`Shape`."""
        low, high = self.shape.bounds()
        return low - self.by, high + self.by

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """The shape's distance less ``by``."""
        found: Array = self.shape.distance(x, y, z) - np.float32(self.by)
        return found


def ball(center: Sequence[float], radius: float) -> Superellipsoid:
    """A sphere."""
    x, y, z = center
    return Superellipsoid((float(x), float(y), float(z)), (radius, radius, radius))
