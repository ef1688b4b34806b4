"""What a phantom is made of and made from: the case, the settings, the patient.

Knows the values that travel between the kinds and the writer. Does not know any anatomy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.phantom.canvas import Canvas, Scan
from voxloom.phantom.shapes import Point, rotation
from voxloom.volume import Volume

ScanSize = Literal["small", "full"]


@dataclass(frozen=True)
class KnownPoint:
    """A landmark whose true place is known: RAS+ mm in the scan's space."""

    name: str
    side: str
    position: Point


@dataclass(frozen=True)
class PhantomCase:
    """One simulated scan with its truth.

    Parameters
    ----------
    image : (C, I, J, K) int16, one channel but for "pelvis-mr"; ``meta`` holds what a DICOM header needs.
    label : (1, I, J, K) uint8 on the same grid.
    points : landmarks, empty where the kind has none.
    attributes : what the patient table says (patient, age, sex, ...).
    """

    image: Volume
    label: Volume
    points: tuple[KnownPoint, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Draws:
    """The random sources of one case: of the patient's body and of the scan.

    Two scans of one patient share the state of ``body``.
    """

    body: np.random.Generator
    scan: np.random.Generator
    patient: int


@dataclass(frozen=True)
class Pose:
    """How the patient lies in the scanner: turned (degrees about x, y, z), then moved (mm)."""

    turn: Point
    move: Point

    @classmethod
    def draw(cls, rng: np.random.Generator, degrees: float, mm: float) -> Pose:
        """A random pose; each number is normal with the SD given, at most twice it."""
        turn = np.clip(rng.normal(0, degrees, 3), -2 * degrees, 2 * degrees)
        move = np.clip(rng.normal(0, mm, 3), -2 * mm, 2 * mm)
        return cls((float(turn[0]), float(turn[1]), float(turn[2])), (float(move[0]), float(move[1]), float(move[2])))

    def matrix(self) -> NDArray[np.float64]:
        """(4, 4) body mm to scanner RAS mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(*self.turn)
        matrix[:3, 3] = self.move
        return matrix

    def to_scanner(self, point: Point) -> Point:
        """A body point in scanner RAS mm."""
        x, y, z = (self.matrix() @ np.array([*point, 1.0]))[:3]
        return (float(x), float(y), float(z))


def open_canvas(scan: Scan, pose: Pose, fine: int) -> Canvas:
    """A canvas in body mm on the grid of a scan."""
    return Canvas(np.linalg.inv(pose.matrix()) @ scan.affine, scan.shape, fine=fine)


def draw_tilt(rng: np.random.Generator, chance: float, degrees: float) -> Point:
    """Turn of an oblique scan, or none."""
    if rng.random() >= chance:
        return (0.0, 0.0, 0.0)
    x, y, z = rng.uniform(-degrees, degrees, 3)
    return (float(x), float(y), float(z))


def draw_person(rng: np.random.Generator, youngest: float, oldest: float) -> dict[str, Any]:
    """Age in years (one decimal) and sex."""
    return {"age": round(float(rng.uniform(youngest, oldest)), 1), "sex": "F" if rng.random() < 0.5 else "M"}
