"""Which landmark belongs to which map of a network. Knows names and sides; does not know voxels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from voxloom.errors import BadInput
from voxloom.points import Key, Point, marks_by_key


@dataclass(frozen=True)
class Layout:
    """The landmarks of a set and the maps that show them.

    Parameters
    ----------
    maps : "one" map for all, one per "level" (name), or one per "landmark" (name and side).
    names : from head to feet.
    sides : ("left", "right") where landmarks are paired, ("",) where they lie in the middle.
    """

    maps: Literal["one", "level", "landmark"]
    names: tuple[str, ...]
    sides: tuple[str, ...]

    @classmethod
    def of(
        cls,
        cases: Iterable[Sequence[Point]],
        maps: Literal["one", "level", "landmark"],
        names: Sequence[str] | None = None,
    ) -> Layout:
        """The layout of training points; without ``names`` they are ordered by their mean height.

        Raises BadInput when there is no point, a name is not among ``names``, or some names are paired and others not.
        """
        everything = [point for points in cases for point in points]
        if not everything:
            raise BadInput("there is no point to train on", None, "Add points/<case>.csv to the data set")
        heights: dict[str, list[float]] = {}
        for point in everything:
            heights.setdefault(point.name, []).append(point.position[2])
        ordered = names or sorted(heights, key=lambda name: -float(np.mean(heights[name])))
        if unknown := sorted(set(heights) - set(ordered)):
            raise BadInput(f"points are named {', '.join(unknown)}", "landmarks.names", f"Known: {', '.join(ordered)}")
        sides = {point.side for point in everything}
        if "" in sides and len(sides) > 1:
            raise BadInput("some points have a side and others have none", None, "Give every point a side, or none")
        return cls(maps, tuple(ordered), ("",) if sides == {""} else ("left", "right"))

    @property
    def sided(self) -> bool:
        """Whether landmarks come in pairs."""
        return self.sides != ("",)

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every landmark, from head to feet, left before right."""
        return tuple(Key(name, side) for name in self.names for side in self.sides)

    @property
    def count(self) -> int:
        """Number of maps."""
        return {"one": 1, "level": len(self.names), "landmark": len(self.keys)}[self.maps]

    def map_of(self, key: Key) -> int:
        """The map on which a landmark is painted."""
        return {"one": 0, "level": self.names.index(key.name)}.get(
            self.maps, self.keys.index(key) if key in self.keys else 0
        )

    def by_map(self, points: Iterable[Point]) -> list[list[tuple[float, float, float]]]:
        """Positions of the marks on every map."""
        found: list[list[tuple[float, float, float]]] = [[] for _ in range(self.count)]
        for point in points:
            found[self.map_of(point.key)].append(point.position)
        return found

    def counts(self, cases: Iterable[Sequence[Point]]) -> list[int]:
        """Number of marks on every map over all cases."""
        total = np.zeros(self.count, int)
        for points in cases:
            total += [len(marks) for marks in self.by_map(points)]
        return [int(n) for n in total]

    def known(self, points: Iterable[Point]) -> tuple[Point, ...]:
        """The points whose landmark the layout has."""
        return tuple(p for key, marks in marks_by_key(points).items() if key in self.keys for p in marks)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Layout:
        """The inverse of ``to_dict``."""
        return cls(values["maps"], tuple(values["names"]), tuple(values["sides"]))
