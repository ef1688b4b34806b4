"""Parts of a spine that the lumbar and the cervical phantom share.

Knows vertebrae stacked along a curved line, their tilt, and how one is painted. Does not know levels' names or scans.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.phantom.canvas import Canvas, Values
from voxloom.phantom.shapes import Common, Grown, Joined, Point, Shape, Superellipsoid, Tube, rotation


@dataclass(frozen=True)
class Vertebra:
    """One vertebral body: its place, size and turn.

    Parameters
    ----------
    name : such as "L3".
    center : of the body, mm.
    width, depth, height : of the body along x, y, z, mm.
    turn : (3, 3) own axes to body axes.
    """

    name: str
    center: Point
    width: float
    depth: float
    height: float
    turn: NDArray[np.float64]

    def at(self, x: float, y: float, z: float) -> Point:
        """A point given in the vertebra's own axes (mm from the center of its body)."""
        a, b, c = np.array(self.center) + self.turn @ np.array([x, y, z])
        return (float(a), float(b), float(c))

    def body(self) -> Shape:
        """The vertebral body, with a waist."""
        half = (self.width / 2, self.depth / 2, self.height / 2)
        waist = Superellipsoid(self.center, (half[0] * 0.93, half[1] * 0.93, half[2]), 5.0, self.turn)
        plates = [
            Superellipsoid(self.at(0, 0, s * half[2] * 0.72), (half[0], half[1], half[2] * 0.28), 4.0, self.turn)
            for s in (-1, 1)
        ]
        return Joined((waist, *plates), 3.0)

    def arch(self) -> Shape:
        """Pedicles, articular processes, laminae and the spinous process."""
        w, d, h = self.width, self.depth, self.height
        parts: list[Shape] = [
            Superellipsoid(self.at(0, -d * 1.5, -h * 0.35), (2.6, d * 0.42, h * 0.36), 3.0, self.turn @ rotation(-15))
        ]
        for s in (-1, 1):
            parts.append(
                Superellipsoid(
                    self.at(s * w * 0.36, -d * 0.62, h * 0.17), (w * 0.09, d * 0.28, h * 0.24), 3.0, self.turn
                )
            )
            parts.append(
                Superellipsoid(
                    self.at(s * w * 0.36, -d * 0.98, -h * 0.2), (w * 0.13, d * 0.17, h * 0.78), 3.0, self.turn
                )
            )
            ends = (self.at(s * w * 0.33, -d * 1.0, -h * 0.15), self.at(0, -d * 1.2, -h * 0.3))
            parts.append(Tube(ends, (h * 0.2, h * 0.22)))
            tips = (self.at(s * w * 0.4, -d * 0.8, h * 0.1), self.at(s * w * 0.85, -d * 0.85, h * 0.1))
            parts.append(Tube(tips, (h * 0.16, h * 0.12)))
        return Joined(tuple(parts), 2.0)

    def behind(self) -> Point:
        """The middle of the spinal canal at this level."""
        return self.at(0, -self.depth / 2 - 8.5, 0)


def stack(
    names: Sequence[str],
    sizes: Sequence[Point],
    discs: Sequence[float],
    lordosis: Sequence[float],
    scoliosis: Sequence[float],
) -> list[Vertebra]:
    """Vertebrae from the head down, on a line that bends.

    Parameters
    ----------
    sizes : (width, depth, height) of each body.
    discs : height of the disc below each body.
    lordosis, scoliosis : turn of each body about x (positive: its top leans back) and about y, degrees.

    The middle vertebra's center is the origin.
    """
    place, found = np.zeros(3), []
    for n, name in enumerate(names):
        turn = rotation(lordosis[n], scoliosis[n])
        place = place - turn @ np.array([0, 0, sizes[n][2] / 2])
        found.append((name, place.copy(), sizes[n], turn))
        below = lordosis[min(n + 1, len(names) - 1)], scoliosis[min(n + 1, len(names) - 1)]
        between = rotation((lordosis[n] + below[0]) / 2, (scoliosis[n] + below[1]) / 2)
        place = place - turn @ np.array([0, 0, sizes[n][2] / 2]) - between @ np.array([0, 0, discs[n]])
    origin = found[len(found) // 2][1]
    result = []
    for name, at, (w, d, h), turn in found:
        x, y, z = (float(v) for v in at - origin)
        result.append(Vertebra(name, (x, y, z), w, d, h, turn))
    return result


def disc_between(above: Vertebra, below: Vertebra, bulge: float) -> Superellipsoid:
    """The disc of two neighbors; ``bulge`` mm of it reach backward."""
    top, bottom = np.array(above.at(0, 0, -above.height / 2)), np.array(below.at(0, 0, below.height / 2))
    tilt = above.turn @ rotation(float(_tilt(below) - _tilt(above)) / 2)
    x, y, z = (top + bottom) / 2 + tilt @ np.array([0, -bulge / 2, 0])
    height = float(np.linalg.norm(top - bottom)) / 2 + 0.4
    width = (above.width + below.width) / 4
    depth = (above.depth + below.depth) / 4 + bulge / 2
    return Superellipsoid((float(x), float(y), float(z)), (width, depth, height), 3.5, tilt)


def _tilt(vertebra: Vertebra) -> float:
    return float(np.rad2deg(np.arctan2(vertebra.turn[2, 1], vertebra.turn[1, 1])))


def paint_bone(
    canvas: Canvas, shape: Shape, marrow: float | Values, cortex: float, rim: float, label: int | None
) -> None:
    """Marrow inside a thin dark cortex of ``rim`` mm; the label covers both."""
    canvas.paint(shape, cortex, label)
    canvas.paint(Grown(shape, -rim), marrow)


def within(shape: Shape, other: Shape) -> Common:
    """The part of ``shape`` inside ``other``."""
    return Common((shape, other))
