"""A whole head in MR: brain with folded cortex, ventricles, skull, scalp, eyes and face.

Knows the anatomy and its T1 and T2 signal; ventricles and sulci widen with age. The label is the brain (cerebrum,
cerebellum, brain stem, with the ventricles).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.phantom.canvas import Canvas, Plane, Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import MrLook
from voxloom.phantom.shapes import Array, Box, Grown, Joined, Point, Shape, Superellipsoid, Tube, ball
from voxloom.volume import Volume

NAME = "head-mr"
CHANNELS = ("MR",)
LABELS = {"background": 0, "brain": 1}

_SIGNAL = {
    "T1": {
        "fat": 1.0,
        "white": 0.72,
        "gray": 0.5,
        "csf": 0.14,
        "muscle": 0.36,
        "bone": 0.04,
        "marrow": 0.5,
        "eye": 0.2,
    },
    "T2": {
        "fat": 0.62,
        "white": 0.3,
        "gray": 0.45,
        "csf": 1.0,
        "muscle": 0.16,
        "bone": 0.03,
        "marrow": 0.3,
        "eye": 0.95,
    },
}


@dataclass(frozen=True)
class Head:
    """One head, drawn before it is painted.

    Parameters
    ----------
    radii : of the cranial cavity, mm.
    atrophy : 0 (young) to 1: width of sulci and ventricles.
    skull, scalp : thickness, mm.
    """

    radii: Point
    atrophy: float
    skull: float
    scalp: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age: float, sex: str) -> Head:
        """A random head of that age."""
        size = (0.97 if sex == "F" else 1.02) * rng.normal(1, 0.03)
        radii = [float(size * r * rng.normal(1, 0.025)) for r in (67.0, 83.0, 66.0)]
        atrophy = float(np.clip((age - 20) / 70 + rng.normal(0, 0.12), 0, 1))
        return cls((radii[0], radii[1], radii[2]), atrophy, float(rng.uniform(5.5, 9)), float(rng.uniform(4.5, 9)))

    def place(self, x: float, y: float, z: float) -> Point:
        """A point given in shares of the cavity's radii."""
        return (x * self.radii[0], y * self.radii[1], z * self.radii[2])

    def part(self, center: Point, radii: Point, power: float = 2.2) -> Superellipsoid:
        """An ellipsoid given in shares of the cavity's radii."""
        return Superellipsoid(self.place(*center), self.place(*radii), power)

    def cavity(self) -> Shape:
        """The inside of the skull."""
        return Joined((self.part((0, 0, 0), (1, 1, 1)), self.part((0, -0.38, -0.62), (0.72, 0.5, 0.45))), 14.0)

    def cerebrum(self) -> Shape:
        """Both hemispheres."""
        whole = self.part((0, 0.0, 0.08), (0.95, 0.955, 0.85), 2.25)
        lobes = [self.part((s * 0.62, 0.18, -0.42), (0.26, 0.5, 0.28)) for s in (-1, 1)]
        return Joined((whole, *lobes), 9.0)

    def hindbrain(self) -> Shape:
        """Cerebellum and brain stem."""
        halves = [self.part((s * 0.3, -0.5, -0.68), (0.38, 0.36, 0.28)) for s in (-1, 1)]
        stem = Tube(
            (self.place(0, -0.08, -0.3), self.place(0, -0.1, -0.72), self.place(0, -0.24, -1.15)), (11.0, 14.0, 7.5)
        )
        return Joined((*halves, stem), 5.0)


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One head scan."""
    person = draw_person(draws.body, 18, 90)
    anatomy = Head.draw(draws.body, person["age"], person["sex"])
    rng = draws.scan
    weighting = "T1" if rng.random() < 0.75 else "T2"
    scan = _scan(rng, size)
    canvas = open_canvas(scan, Pose.draw(rng, 4.0 + 3 * difficulty, 4.0), fine=1)
    _paint(canvas, anatomy, weighting, rng)
    echo = {"T1": (2300.0, 2.9), "T2": (3200.0, 410.0)}[weighting]
    meta = {
        "modality": "MR",
        "series_description": f"{weighting} 3D {scan.plane[:3].upper()}",
        "repetition_time": echo[0],
        "echo_time": echo[1],
        "body_part": "HEAD",
    }
    voxels = MrLook.draw(rng, difficulty).apply(canvas.averaged(), rng)
    label = Volume(canvas.middle_labels()[None], scan.affine, {"modality": "SEG"})
    return PhantomCase(Volume(voxels[None], scan.affine, meta), label, (), {**person, "weighting": weighting})


def _scan(rng: np.random.Generator, size: ScanSize) -> Scan:
    planes: tuple[Plane, Plane] = ("axial", "sagittal")
    plane = planes[int(rng.random() < 0.4)]
    pixel = float(rng.uniform(2.1, 2.5) if size == "small" else rng.uniform(0.95, 1.1))
    step = 2.5 if size == "small" else 1.0
    deep = 190 if plane == "axial" else 175
    center = (float(rng.normal(0, 3)), float(rng.normal(4, 3)), float(rng.normal(-14, 4)))
    matrix = 8 * int(np.ceil(226 / pixel / 8))
    return Scan(plane, (matrix, matrix, round(deep / step)), pixel, step, center, draw_tilt(rng, 0.4, 8.0))


def _paint(canvas: Canvas, anatomy: Head, weighting: str, rng: np.random.Generator) -> None:
    signal = {name: value * float(rng.uniform(0.92, 1.08)) for name, value in _SIGNAL[weighting].items()}
    fine, coarse = canvas.texture(rng, 4.0), canvas.texture(rng, 16.0)
    _paint_face(canvas, anatomy, signal, fine, coarse)
    _paint_skull(canvas, anatomy, signal, fine)
    _paint_cerebrum(canvas, anatomy, signal, canvas.texture(rng, 8.0), fine)
    _paint_hindbrain(canvas, anatomy, signal, fine)
    _paint_ventricles(canvas, anatomy, signal)


def _paint_face(canvas: Canvas, anatomy: Head, signal: dict[str, float], fine: Array, coarse: Array) -> None:
    place, out = anatomy.place, anatomy.skull + anatomy.scalp
    canvas.fill(0.0)
    skin = Joined(
        (
            Grown(anatomy.cavity(), out),
            Tube((place(0, -0.15, -0.8), place(0, -0.25, -2.4)), (62.0, 60.0)),
            Superellipsoid(place(0, 0.55, -0.95), place(0.86, 0.6, 0.95), 2.4),
            Tube((place(0, 1.1, -0.45), place(0, 1.32, -0.8)), (7.0, 11.0)),
        ),
        20.0,
    )
    canvas.paint(skin, signal["fat"] * (0.9 + 0.04 * coarse))
    muscle = signal["muscle"] * (1 + 0.12 * fine) + 0.25 * signal["fat"] * np.clip(coarse + 0.6 * fine - 0.9, 0, 1)
    deep = Joined(
        (
            Tube((place(0, -0.2, -0.75), place(0, -0.28, -2.4)), (54.0, 50.0)),
            Superellipsoid(place(0, 0.5, -0.95), place(0.76, 0.52, 0.85), 2.4),
        ),
        18.0,
    )
    canvas.paint(deep, muscle, edge=3.0)
    for s in (-1, 1):
        canvas.paint(Superellipsoid(place(s * 1.02, 0.3, -0.35), (7, 30, 30), 2.3), signal["muscle"] * (1 + 0.1 * fine))
        canvas.paint(Superellipsoid(place(s * 0.47, 0.84, -0.5), (19, 24, 18), 2.3), signal["fat"] * 0.95)
        canvas.paint(ball(place(s * 0.48, 0.98, -0.5), 12.2), signal["eye"])
        canvas.paint(Superellipsoid(place(s * 0.48, 1.1, -0.5), (4.5, 2.5, 4.5)), signal["muscle"])
        canvas.paint(
            Tube((place(s * 0.46, 0.82, -0.5), place(s * 0.15, 0.35, -0.42)), (2.4, 2.4)), signal["white"] * 0.8
        )
        canvas.paint(Superellipsoid(place(s * 0.36, 0.72, -0.95), (14, 16, 16), 2.6), 0.0)
        canvas.paint(Superellipsoid(place(s * 0.13, 0.86, -0.8), (5, 28, 20), 2.6), 0.04 + 0.2 * signal["muscle"])
        canvas.paint(Superellipsoid(place(s * 0.78, -0.22, -0.72), (11, 12, 14), 2.4), 0.02)
    canvas.paint(Tube((place(0, 0.3, -0.95), place(0, 0.12, -1.4), place(0, 0.05, -2.4)), (9.0, 7.0, 8.0)), 0.0)
    canvas.paint(Superellipsoid(place(0, 0.62, -1.52), (24, 32, 14), 2.4), signal["muscle"] * 1.3 + 0.08 * fine)
    teeth = Tube((place(-0.45, 0.6, -1.36), place(0, 1.0, -1.36), place(0.45, 0.6, -1.36)), (5.5, 5.5, 5.5))
    canvas.paint(teeth, signal["bone"])


def _paint_skull(canvas: Canvas, anatomy: Head, signal: dict[str, float], fine: Array) -> None:
    cavity = anatomy.cavity()
    canvas.paint(Grown(cavity, anatomy.skull), signal["bone"])
    if anatomy.skull > 6.5:
        canvas.paint(Grown(cavity, anatomy.skull * 0.68), signal["marrow"] * (0.8 + 0.2 * fine), edge=3.0)
        canvas.paint(Grown(cavity, anatomy.skull * 0.36), signal["bone"])
    canvas.paint(ball(anatomy.place(0, 1.02, -0.28), 9.0), 0.0)
    canvas.paint(cavity, signal["csf"])


def _paint_cerebrum(canvas: Canvas, anatomy: Head, signal: dict[str, float], folds: Array, fine: Array) -> None:
    shape = anatomy.cerebrum()
    distance = canvas.distance(shape)
    fissure = np.abs(canvas.distance(_Midline())) - np.float32(0.8 + anatomy.atrophy)
    fissure = np.maximum(fissure, -canvas.distance(anatomy.part((0, 0, -0.25), (0.3, 0.7, 0.45))))
    sulci = (np.abs(folds) - np.float32(0.13 + 0.2 * anatomy.atrophy)) * 7
    sulci = np.where(distance > -np.float32(20 + 3 * anatomy.atrophy), sulci, np.float32(5))
    surface = np.maximum(distance, -np.minimum(sulci, fissure))
    edge = np.float32(canvas.edge)
    brain = np.clip(0.5 - surface / edge, 0, 1)
    ribbon = np.clip(0.5 - (surface + 4.0) / edge, 0, 1)
    gray = signal["gray"] * (1 + 0.04 * fine)
    tissue = gray + ribbon * (signal["white"] * (1 + 0.02 * fine) - gray)
    canvas.values += brain * (tissue - canvas.values)
    canvas.labels[(distance < -0.5) & (fissure > -1.5)] = 1
    for s in (-1, 1):
        nucleus = anatomy.part((s * 0.2, -0.08, -0.02), (0.13, 0.17, 0.15))
        caudate = anatomy.part((s * 0.32, 0.14, 0.0), (0.11, 0.24, 0.19))
        for shape in (nucleus, caudate):
            canvas.paint(shape, 0.8 * signal["gray"] + 0.2 * signal["white"], edge=3.0)


class _Midline:
    """The plane between the hemispheres; its distance is signed."""

    def bounds(self) -> Box:
        """Everywhere."""
        return np.full(3, -np.inf), np.full(3, np.inf)

    def distance(self, x: Array, y: Array, z: Array) -> Array:
        """How far to the right."""
        return x + 0 * y + 0 * z


def _paint_hindbrain(canvas: Canvas, anatomy: Head, signal: dict[str, float], fine: Array) -> None:
    shape = anatomy.hindbrain()
    canvas.paint(shape, signal["white"] * (0.95 + 0.02 * fine), 1)
    for s in (-1, 1):
        half = anatomy.part((s * 0.3, -0.5, -0.68), (0.37, 0.35, 0.27))
        leaves = (
            signal["gray"] * 0.75 + signal["white"] * 0.2 + 0.05 * np.sin(canvas.distance(half) * 1.1) + 0.03 * fine
        )
        canvas.paint(half, leaves.astype(np.float32))
        canvas.paint(anatomy.part((s * 0.24, -0.44, -0.66), (0.16, 0.18, 0.12)), signal["white"], edge=4.0)


def _paint_ventricles(canvas: Canvas, anatomy: Head, signal: dict[str, float]) -> None:
    wide = 2.6 + 5.5 * anatomy.atrophy
    for s in (-1, 1):
        line = (
            anatomy.place(s * 0.11, 0.36, 0.06),
            anatomy.place(s * 0.13, 0.1, 0.2),
            anatomy.place(s * 0.2, -0.25, 0.2),
            anatomy.place(s * 0.34, -0.42, 0.02),
            anatomy.place(s * 0.44, -0.12, -0.34),
        )
        canvas.paint(Tube(line, (wide, wide * 1.1, wide * 1.1, wide * 1.2, wide * 0.45)), signal["csf"])
    canvas.paint(Superellipsoid(anatomy.place(0, -0.02, -0.04), (0.5 * wide, 13, 9)), signal["csf"])
    canvas.paint(ball(anatomy.place(0, -0.3, -0.62), 3.5 + 2 * anatomy.atrophy), signal["csf"])
