"""Cervical spine in MR: seven vertebrae, cord, discs, skull base, airway.

Knows the anatomy and its T2 and T1 signal. C1 has no body: its anterior and posterior arch and lateral masses are
labelled; C2 carries the dens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.phantom.canvas import Canvas, Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import MrLook
from voxloom.phantom.shapes import Array, Joined, Point, Shape, Superellipsoid, Tube, ball
from voxloom.phantom.spine import Vertebra, disc_between, paint_bone, stack
from voxloom.volume import Volume

NAME = "cervical-mr"
CHANNELS = ("MR",)
LABELS = {"background": 0, "vertebral_body": 1}

_NAMES = ("C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2")
_SIGNAL = {
    "T1": {
        "fat": 1.0,
        "marrow": 0.48,
        "muscle": 0.3,
        "disc": 0.26,
        "csf": 0.16,
        "cord": 0.4,
        "brain": 0.42,
        "bone": 0.06,
    },
    "T2": {
        "fat": 0.75,
        "marrow": 0.32,
        "muscle": 0.15,
        "disc": 0.3,
        "csf": 1.0,
        "cord": 0.36,
        "brain": 0.4,
        "bone": 0.05,
    },
}


@dataclass(frozen=True)
class Cervical:
    """One patient's cervical spine, drawn before it is painted: C2 to T2, and each disc's wear from 0 to 1."""

    spine: tuple[Vertebra, ...]
    worn: tuple[float, ...]
    fat: float

    @classmethod
    def draw(cls, rng: np.random.Generator, difficulty: float) -> Cervical:
        """A random patient."""
        size, curve = rng.normal(1, 0.07), rng.normal(1, 0.6)
        bend, phase = rng.normal(0, 2 + 3 * difficulty), rng.uniform(0, 2 * np.pi)
        sizes, discs, lordosis, scoliosis = [], [], [], []
        for n in range(len(_NAMES)):
            height = (16.0, 13.0, 12.6, 12.4, 12.8, 14.2, 16.0, 17.0)[n] + rng.normal(0, 0.4)
            sizes.append((size * (18 + 1.5 * n), size * (15.5 + 0.5 * n), size * height))
            discs.append(size * 5.0 * float(rng.uniform(0.7, 1.15)))
            lordosis.append(curve * (9.0, 8.0, 5.0, 0.0, -5.0, -11.0, -15.0, -16.0)[n] + rng.normal(0, 1))
            scoliosis.append(bend * np.sin(phase + n * 0.8))
        worn = tuple(float(w) for w in np.clip(rng.beta(1.2, 2.2, 8) + 0.3 * difficulty * rng.random(8), 0, 1))
        return cls(tuple(stack(_NAMES, sizes, discs, lordosis, scoliosis)), worn, float(rng.uniform(4, 16)))

    def canal_line(self) -> tuple[Point, ...]:
        """The middle of the canal from the brain stem to T2."""
        top = self.spine[0]
        line = [top.at(0, -top.depth / 2 - 6, 55), top.at(0, -top.depth / 2 - 7.5, 28)]
        for vertebra in self.spine:
            line.append(vertebra.at(0, -vertebra.depth / 2 - 7.5, 0))
        last = self.spine[-1]
        return (*line, last.at(0, -last.depth / 2 - 7.5, -60))


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One cervical scan."""
    person = draw_person(draws.body, 20, 80)
    anatomy = Cervical.draw(draws.body, difficulty)
    rng = draws.scan
    weighting = "T2" if rng.random() < 0.6 else "T1"
    pose = Pose.draw(rng, 2.5 + 2 * difficulty, 4.0)
    scan = _scan(rng, size)
    canvas = open_canvas(scan, pose, fine=1)
    _paint(canvas, anatomy, weighting, rng)
    echo = {"T1": (600.0, 10.0), "T2": (1500.0, 120.0)}[weighting]
    meta = {
        "modality": "MR",
        "series_description": f"{weighting} SPACE SAG",
        "repetition_time": echo[0],
        "echo_time": echo[1],
        "body_part": "CSPINE",
    }
    voxels = MrLook.draw(rng, difficulty).apply(canvas.averaged(), rng)
    label = Volume(canvas.middle_labels()[None], scan.affine, {"modality": "SEG"})
    return PhantomCase(Volume(voxels[None], scan.affine, meta), label, (), {**person, "weighting": weighting})


def _scan(rng: np.random.Generator, size: ScanSize) -> Scan:
    field = float(rng.uniform(165, 185))
    center = (float(rng.normal(0, 2)), float(rng.normal(-14, 4)), float(rng.normal(24, 5)))
    tilt = draw_tilt(rng, 0.3, 6.0)
    if size == "small":
        return Scan("sagittal", (112, 112, int(rng.integers(32, 41))), field / 112, 2.0, center, tilt)
    return Scan("sagittal", (512, 512, int(rng.integers(90, 121))), field / 512, 0.7, center, tilt)


def _paint(canvas: Canvas, anatomy: Cervical, weighting: str, rng: np.random.Generator) -> None:
    signal = {name: value * float(rng.uniform(0.9, 1.1)) for name, value in _SIGNAL[weighting].items()}
    fine, coarse = canvas.texture(rng, 3.0), canvas.texture(rng, 12.0)
    _paint_neck(canvas, anatomy, signal, fine, coarse)
    _paint_head(canvas, anatomy, signal, fine, coarse)
    _paint_canal(canvas, anatomy, signal)
    marrow = signal["marrow"] * (1 + 0.06 * fine + 0.08 * coarse)
    for n, vertebra in enumerate(anatomy.spine):
        paint_bone(canvas, vertebra.arch(), marrow, signal["bone"], 0.8, None)
        if n + 1 < len(anatomy.spine):
            worn = anatomy.worn[n]
            disc = disc_between(vertebra, anatomy.spine[n + 1], 2.5 * worn)
            canvas.paint(disc, signal["disc"] * (1 - 0.6 * worn))
    _paint_canal(canvas, anatomy, signal)
    for n, vertebra in enumerate(anatomy.spine):
        body: Shape = vertebra.body() if n else Joined((vertebra.body(), _dens(vertebra)), 3.0)
        own = marrow * float(rng.uniform(0.93, 1.07))
        paint_bone(canvas, body, own, signal["bone"], 0.8, 1 if n < 6 else None)
    paint_bone(canvas, _atlas(anatomy.spine[0]), marrow, signal["bone"], 0.8, 1)


def _dens(axis: Vertebra) -> Tube:
    h = axis.height
    return Tube((axis.at(0, 0.5, h * 0.3), axis.at(0, 0, h * 0.95), axis.at(0, -1.0, h * 1.35)), (5.5, 4.8, 3.6))


def _atlas(axis: Vertebra) -> Joined:
    z = axis.height * 1.1
    front = axis.depth / 2 + 3.5
    behind = -axis.depth / 2 - 17
    parts: list[Shape] = [Superellipsoid(axis.at(0, front, z), (7, 2.8, 5.0), 2.5, axis.turn)]
    parts.append(Superellipsoid(axis.at(0, behind, z - 1), (5, 3.0, 4.0), 2.5, axis.turn))
    for s in (-1, 1):
        mass = axis.at(s * 17, -3, z)
        parts.append(Superellipsoid(mass, (6.5, 8, 6.5), 2.5, axis.turn))
        parts.append(Tube((axis.at(s * 5, front, z), axis.at(s * 13, 2, z)), (2.6, 3.2)))
        parts.append(
            Tube(
                (axis.at(s * 15, -9, z), axis.at(s * 12, behind + 5, z - 1), axis.at(s * 3, behind, z - 1)),
                (2.8, 2.4, 2.6),
            )
        )
    return Joined(tuple(parts), 2.0)


def _paint_neck(canvas: Canvas, anatomy: Cervical, signal: dict[str, float], fine: Array, coarse: Array) -> None:
    canvas.fill(0.0)
    fat, top = anatomy.fat, anatomy.spine[0]
    outline = Joined(
        (
            Tube(((0, -12, 130), (0, -12, 10), (0, -14, -30)), (66.0, 58.0, 62.0)),
            Superellipsoid((0, -14, -130), (190, 88 + fat, 90), 2.6),
        ),
        40.0,
    )
    canvas.paint(outline, signal["fat"] * (1 + 0.03 * coarse))
    muscle = signal["muscle"] * (1 + 0.12 * fine)
    deep = Joined(
        (Tube(((0, -14, 130), (0, -14, -30)), (56.0, 60.0 - fat)), Superellipsoid((0, -16, -130), (170, 80, 90), 2.6)),
        30.0,
    )
    canvas.paint(deep, muscle + 0.3 * signal["fat"] * np.clip(coarse + 0.5 * fine - 0.8, 0, 1), edge=3.0)
    for side in (-1, 1):
        for gap in (16, 30):
            line = tuple(v.at(side * gap * 0.7, -v.depth / 2 - 18 - gap * 0.6, 0) for v in anatomy.spine)
            canvas.paint(Tube(line, (1.4,) * len(line)), signal["fat"] * 0.8, edge=3.0)
        vessel = tuple(v.at(side * 27, v.depth / 2 + 12, 0) for v in anatomy.spine[:6])
        canvas.paint(Tube(vessel, (3.6,) * 6), 0.04)
        artery = tuple(v.at(side * (v.width / 2 + 4.5), -1, 0) for v in anatomy.spine[:6])
        canvas.paint(Tube(artery, (1.9,) * 6), 0.04)
    nuchal = tuple(v.at(0, -v.depth / 2 - 42, 0) for v in anatomy.spine)
    canvas.paint(Tube(nuchal, (2.5,) * len(nuchal)), signal["fat"] * 0.9, edge=3.0)
    airway = (top.at(0, top.depth / 2 + 16, 45), *(v.at(0, v.depth / 2 + 12, 0) for v in anatomy.spine))
    canvas.paint(Tube(airway, (8.0, 6.5, 5.5, 5.5, 6.0, 7.5, 8.5, 8.5, 8.5)), 0.0)
    canvas.paint(
        Superellipsoid(top.at(0, 56, 14), (26, 26, 20), 2.4), signal["muscle"] * 1.3 + 0.1 * coarse * signal["fat"]
    )
    mouth = Superellipsoid(top.at(0, 54, 37), (20, 24, 2.5), 2.4)
    canvas.paint(mouth, 0.0)
    jaw = Tube((top.at(-26, 45, -6), top.at(0, 78, -12), top.at(26, 45, -6)), (6.0, 7.0, 6.0))
    paint_bone(canvas, jaw, signal["fat"] * 0.75, signal["bone"], 1.6, None)


def _paint_head(canvas: Canvas, anatomy: Cervical, signal: dict[str, float], fine: Array, coarse: Array) -> None:
    top = anatomy.spine[0]
    skull = Superellipsoid(top.at(0, -18, 98), (66, 84, 64), 2.2)
    canvas.paint(skull, signal["bone"])
    canvas.paint(Superellipsoid(top.at(0, -18, 98), (60, 78, 58.5), 2.2), signal["csf"] * 0.9)
    canvas.paint(
        Superellipsoid(top.at(0, -14, 108), (56, 74, 48), 2.2), signal["brain"] * (1 + 0.08 * fine + 0.05 * coarse)
    )
    ripple = signal["brain"] * (1 + 0.2 * fine)
    for side in (-1, 1):
        canvas.paint(Superellipsoid(top.at(side * 20, -46, 62), (24, 20, 16), 2.3), ripple)
    clivus = Tube((top.at(0, 2, 38), top.at(0, 18, 68)), (4.0, 6.0))
    paint_bone(canvas, clivus, signal["fat"] * 0.7, signal["bone"], 1.2, None)
    canvas.paint(Tube((top.at(0, -12, 44), top.at(0, -2, 70)), (8.0, 14.0)), signal["brain"] * (1 + 0.03 * fine))
    canvas.paint(ball(top.at(0, -24, 62), 5.0), signal["csf"])


def _paint_canal(canvas: Canvas, anatomy: Cervical, signal: dict[str, float]) -> None:
    line = anatomy.canal_line()
    count = len(line)
    canvas.paint(Tube(line, (11.0, 9.0, *(7.6,) * (count - 2)), 1.2), signal["csf"])
    canvas.paint(Tube(line, (7.0, 5.6, *np.linspace(5.4, 4.3, count - 2)), 1.3), signal["cord"])
