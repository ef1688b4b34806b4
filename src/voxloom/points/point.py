"""The Point: one mark of a named landmark.

Knows names, sides and that one landmark may be marked several times. Does not know any file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voxloom.errors import BadInput

Position = tuple[float, float, float]
_SIDES = {"left": "left", "l": "left", "right": "right", "r": "right", "": ""}


class Key(NamedTuple):
    """Which landmark a mark belongs to: its name and side (``""`` where the landmark has none)."""

    name: str
    side: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.side}".strip()


@dataclass(frozen=True, slots=True)
class Point:
    """One mark of a landmark. Several marks may share name and side: the structure is seen on several slices.

    Parameters
    ----------
    name : of the landmark, e.g. ``"L1"``.
    side : ``"left"``, ``"right"`` or ``""`` (the patient's sides).
    position : RAS+ millimetres in the space of the scan.
    confidence : of a predicted point, 0 to 1; None for a mark made by a person.

    Raises
    ------
    BadInput : an empty name, an unknown side, or a position that is not three finite numbers.
    """

    name: str
    side: str
    position: Position
    confidence: float | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise BadInput("a point has no name", None, "Name every landmark")
        object.__setattr__(self, "side", side_of(self.side))
        x, y, z = (float(v) for v in self.position)
        if not all(math.isfinite(v) for v in (x, y, z)):
            raise BadInput(f"point {self.name} lies at {self.position}", None, "Give finite millimetres")
        object.__setattr__(self, "position", (x, y, z))

    @property
    def key(self) -> Key:
        """Name and side."""
        return Key(self.name, self.side)


def side_of(text: str) -> str:
    """``"left"``, ``"right"`` or ``""`` from a word or its first letter (BadInput for anything else)."""
    side = _SIDES.get(text.strip().lower())
    if side is None:
        raise BadInput(f"side {text!r} is neither left, right nor empty", None, "Write left, right, or leave it empty")
    return side


def marks_by_key(points: Iterable[Point]) -> dict[Key, list[Point]]:
    """The marks of every landmark, in the order in which landmarks first occur."""
    found: dict[Key, list[Point]] = {}
    for point in points:
        found.setdefault(point.key, []).append(point)
    return found


def centers(points: Iterable[Point]) -> dict[Key, Point]:
    """One point per landmark: the mean position of its marks, and the mean confidence where all have one."""
    found = {}
    for key, marks in marks_by_key(points).items():
        x, y, z = (float(v) for v in np.mean([mark.position for mark in marks], axis=0))
        sure = [mark.confidence for mark in marks if mark.confidence is not None]
        found[key] = Point(key.name, key.side, (x, y, z), sum(sure) / len(sure) if len(sure) == len(marks) else None)
    return found
