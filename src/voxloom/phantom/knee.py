"""A growing knee in MR: femur, tibia and fibula with growth plates that close with age.

Knows the anatomy and how the growth plates look at an age: thick gray cartilage in a child, a thin dark scar
in an adult. Two scans (coronal, then sagittal) belong to one patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.phantom.canvas import Canvas, Plane, Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import MrLook
from voxloom.phantom.shapes import (
    Array,
    Box,
    Common,
    Cut,
    Grown,
    Joined,
    Point,
    Shape,
    Slab,
    Superellipsoid,
    Tube,
    ball,
)
from voxloom.volume import Volume

NAME = "knee-mr"
CHANNELS = ("MR",)
LABELS = {"background": 0, "femur": 1, "tibia": 2, "fibula": 3}

_SIGNAL = {"fat": 0.9, "marrow": 0.78, "muscle": 0.3, "cartilage": 0.62, "meniscus": 0.07, "fluid": 0.4, "bone": 0.05}


@dataclass(frozen=True)
class Knee:
    """One patient's knee, drawn before it is painted.

    Parameters
    ----------
    size : scale of all lengths, 1 for an adult.
    plate_mm, plate_signal : thickness and brightness of the open growth plates (0 mm: closed).
    scar : darkness of the line that a closed plate leaves, 0 to 1.
    side : 1 right, -1 left (the fibula lies on that side).
    """

    size: float
    plate_mm: float
    plate_signal: float
    scar: float
    side: int
    wide: float
    bow: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age: float, sex: str, difficulty: float) -> Knee:
        """A random knee of that age; girls' plates close about two years earlier."""
        maturity = age + (1.0 if sex == "F" else -1.0) + rng.normal(0, 0.3 + 0.6 * difficulty)
        open_share = float(np.clip((18.5 - maturity) / 8.5, 0, 1))
        return cls(
            size=float(np.clip(0.80 + 0.2 * (age - 9) / 8, 0.78, 1.0) * rng.normal(1, 0.045)),
            plate_mm=4.2 * open_share,
            plate_signal=0.26 + 0.24 * open_share,
            scar=float(np.clip((22 - maturity) / 6, 0.15, 1)),
            side=int(rng.choice([-1, 1])),
            wide=float(rng.normal(1, 0.04)),
            bow=float(rng.normal(0, 2.5)),
        )

    def place(self, x: float, y: float, z: float) -> Point:
        """A point of the standard right knee (mm) in this knee."""
        return (self.side * x * self.size * self.wide, y * self.size, z * self.size)

    def long(self, mm: float) -> float:
        """A length of the standard knee in this knee."""
        return mm * self.size

    def femur(self) -> Shape:
        """Shaft and condyles."""
        bow = self.bow
        shaft = Tube(
            (self.place(bow, 4, 150), self.place(0, 2, 75), self.place(0, 0, 40), self.place(0, 0, 24)),
            tuple(self.long(r) for r in (13, 14, 20, 26)),
        )
        medial = self._ellipsoid((-21, -8, 20), (17, 28, 20))
        lateral = self._ellipsoid((22, -7, 21), (17, 27, 19))
        front = self._ellipsoid((0, 12, 28), (30, 16, 16))
        notch = self._ellipsoid((0, -24, 6), (8, 22, 16))
        return Cut(Joined((shaft, medial, lateral, front), self.long(10)), notch)

    def tibia(self) -> Shape:
        """Plateau and shaft."""
        plateau = Superellipsoid(self.place(0, -4, -14), (self.long(38 * self.wide), self.long(25), self.long(13)), 3.2)
        shaft = Tube(
            (self.place(0, -2, -18), self.place(0, -2, -42), self.place(0, 0, -80), self.place(self.bow, 0, -150)),
            tuple(self.long(r) for r in (24, 20, 14, 12.5)),
        )
        return Joined((plateau, shaft), self.long(8))

    def fibula(self) -> Shape:
        """Head and shaft."""
        return Tube(
            (self.place(38, -22, -24), self.place(39, -22, -36), self.place(37, -18, -70), self.place(34, -16, -150)),
            tuple(self.long(r) for r in (8.0, 9.0, 5.8, 5.5)),
        )

    def plate(self, z: float, y: float) -> Slab:
        """The (flat) middle of a growth plate."""
        return Slab(self.place(0, y, z), (0.0, 0.0, 1.0), max(self.plate_mm * self.size, 1.0))

    def _ellipsoid(self, center: Point, radii: Point) -> Superellipsoid:
        a, b, c = (self.long(r) for r in radii)
        return Superellipsoid(self.place(*center), (a, b, c), 2.3)


@dataclass(frozen=True)
class Wavy:
    """``slab`` bent by ``height`` mm in waves of ``length`` mm, as growth plates are."""

    slab: Slab
    height: float
    length: float

    def bounds(self) -> Box:
        """See ``Shape``."""
        return self.slab.bounds()

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """Distance to the slab at the height that it has there."""
        per = np.float32(2 * np.pi / self.length)
        return self.slab.distance(x, y, z - np.float32(self.height) * (np.cos(per * x) + np.cos(per * y)))


def make(draws: Draws, size: ScanSize, difficulty: float, view: Plane) -> PhantomCase:
    """One knee scan, ``view`` "coronal" or "sagittal"."""
    person = draw_person(draws.body, 9, 22)
    anatomy = Knee.draw(draws.body, person["age"], person["sex"], difficulty)
    rng = draws.scan
    pose = Pose.draw(rng, 4.0, 5.0)
    scan = _scan(rng, size, view, anatomy.size)
    canvas = open_canvas(scan, pose, fine=3)
    _paint(canvas, anatomy, rng)
    meta = {
        "modality": "MR",
        "series_description": f"T1 TSE {view[:3].upper()}",
        "repetition_time": 620.0,
        "echo_time": 12.0,
        "body_part": "KNEE",
    }
    voxels = MrLook.draw(rng, difficulty).apply(canvas.averaged(), rng)
    side = "right" if anatomy.side > 0 else "left"
    return PhantomCase(
        Volume(voxels[None], scan.affine, meta),
        Volume(canvas.middle_labels()[None], scan.affine, {"modality": "SEG"}),
        (),
        {**person, "view": view, "side": side, "plate_mm": round(anatomy.plate_mm * anatomy.size, 2)},
    )


def _scan(rng: np.random.Generator, size: ScanSize, view: Plane, scale: float) -> Scan:
    field = float(rng.uniform(150, 170)) * max(scale, 0.9)
    slices, step = (int(rng.integers(22, 29)), float(rng.choice([3.5, 4.0]))) if view == "coronal" else (24, 4.0)
    matrix = 112 if size == "small" else (800 if view == "coronal" else 512)
    if size == "full":
        slices, step = (41, 2.5) if view == "coronal" else (24, 4.0)
    center = (float(rng.normal(0, 3)), float(rng.normal(-4, 3)), float(rng.normal(4, 6)))
    return Scan(view, (matrix, matrix, slices), field / matrix, step, center, draw_tilt(rng, 0.4, 8.0))


def _paint(canvas: Canvas, anatomy: Knee, rng: np.random.Generator) -> None:
    signal = {name: value * float(rng.uniform(0.9, 1.1)) for name, value in _SIGNAL.items()}
    fine, coarse = canvas.texture(rng, 2.5), canvas.texture(rng, 12.0)
    _paint_soft(canvas, anatomy, signal, fine, coarse)
    femur, tibia, fibula = anatomy.femur(), anatomy.tibia(), anatomy.fibula()
    joint = Slab(anatomy.place(0, -4, 1), (0.0, 0.0, 1.0), anatomy.long(30))
    canvas.paint(Common((Grown(femur, anatomy.long(2.2)), joint)), signal["cartilage"])
    canvas.paint(Common((Grown(tibia, anatomy.long(2.0)), joint)), signal["cartilage"])
    marrow = signal["marrow"] * (1 + 0.05 * fine + 0.05 * coarse)
    plates = {1: ((femur, 37.0, 0.0),), 2: ((tibia, -21.0, -4.0),), 3: ((fibula, -36.0, -22.0),)}
    for label, shape in ((1, femur), (2, tibia), (3, fibula)):
        canvas.paint(shape, signal["bone"], label)
        canvas.paint(Grown(shape, -anatomy.long(1.1)), marrow)
        for bone, z, y in plates[label]:
            _paint_plate(canvas, anatomy, bone, z, y, signal)


def _paint_plate(canvas: Canvas, anatomy: Knee, bone: Shape, z: float, y: float, signal: dict[str, float]) -> None:
    slab = anatomy.plate(z, y)
    wavy = Wavy(slab, anatomy.long(1.3), anatomy.long(34))
    inside = Grown(bone, -anatomy.long(0.8))
    rim = Common((inside, Grown(wavy, 0.9)))
    if anatomy.plate_mm < 0.3:
        canvas.paint(Common((inside, wavy)), signal["marrow"] * (1 - 0.7 * anatomy.scar))
        return
    canvas.paint(rim, signal["bone"] + 0.15)
    canvas.paint(Common((inside, wavy)), anatomy.plate_signal)


def _paint_soft(canvas: Canvas, anatomy: Knee, signal: dict[str, float], fine: Array, coarse: Array) -> None:
    place, long = anatomy.place, anatomy.long
    canvas.fill(0.0)
    leg = Tube((place(0, -8, 160), place(0, -6, 0), place(0, -14, -160)), (long(74), long(60), long(60)))
    canvas.paint(leg, signal["fat"] * (1 + 0.03 * coarse))
    muscle = signal["muscle"] * (1 + 0.1 * fine) + 0.2 * signal["fat"] * np.clip(coarse + 0.5 * fine - 1.2, 0, 1)
    for x, y, r in ((-32, 8, 24), (32, 8, 24), (-24, -32, 20), (24, -32, 20), (0, 26, 22)):
        ends = (place(x, y, 160), place(x, y * 1.02, 80), place(x * 0.95, y * 1.1, 34))
        canvas.paint(Tube(ends, (long(r), long(r * 0.9), long(r * 0.25))), muscle)
    for x, y, r in ((-22, -34, 22), (22, -34, 22), (32, 4, 16), (0, -24, 20)):
        ends = (place(x * 0.8, y, 6), place(x, y, -40), place(x, y, -160))
        canvas.paint(Tube(ends, (long(r * 0.3), long(r), long(r))), muscle)
    canvas.paint(Tube((place(4, -40, 160), place(2, -36, 0), place(2, -34, -160)), (long(4.5),) * 3), 0.08)
    capsule = Superellipsoid(place(0, -2, 1), (long(42), long(32), long(13)), 2.6)
    canvas.paint(capsule, signal["fluid"], edge=3.0)
    canvas.paint(Superellipsoid(place(0, 26, 4), (long(18), long(13), long(16)), 2.3), signal["fat"])
    patella = Superellipsoid(place(0, 45, 26), (long(21), long(9), long(20)), 2.4)
    canvas.paint(Tube((place(0, 40, 110), place(0, 48, 44)), (long(4), long(4.5))), signal["bone"])
    canvas.paint(Tube((place(0, 50, 8), place(0, 34, -34)), (long(3.4), long(3.4))), signal["bone"])
    canvas.paint(patella, signal["bone"])
    canvas.paint(Grown(patella, -long(1.2)), signal["marrow"] * (1 + 0.05 * fine))
    for side in (-1, 1):
        ring = Superellipsoid(place(side * 22, -4, 0), (long(19), long(22), long(4.0)), 2.5)
        hole = ball(place(side * 20, -4, 6), long(13))
        canvas.paint(Cut(ring, hole), signal["meniscus"])
        ligament = (place(side * 43, -4, 24), place(side * 41, -4, -2), place(side * 38, -4, -30))
        canvas.paint(Tube(ligament, (long(1.6),) * 3), signal["meniscus"])
    canvas.paint(Tube((place(8, -18, 20), place(-2, 8, -4)), (long(3.2), long(3.6))), signal["meniscus"] * 2)
    canvas.paint(Tube((place(-8, -4, 14), place(2, -26, -8)), (long(3.6), long(3.6))), signal["meniscus"])
