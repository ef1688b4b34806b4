"""Lumbar spine in sagittal MR: T9 to the sacrum, discs, canal, and ten foramina whose centers are known.

Knows the anatomy and its T1 and T2 signal. A foramen lies between the pedicles of its vertebra and the next: fat
around a nerve root. It can be narrowed, when the fat is pressed out, or not be seen at all. Those of the thoracic spine that
the field of view shows (below T12, often below T11) look alike and are not landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from voxloom.phantom.canvas import Canvas, Scan
from voxloom.phantom.case import Draws, KnownPoint, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import MrLook
from voxloom.phantom.shapes import Array, Joined, Point, Superellipsoid, Tube, ball, rotation
from voxloom.phantom.spine import Vertebra, disc_between, paint_bone, stack
from voxloom.volume import Volume

NAME = "lumbar-mr"
CHANNELS = ("MR",)
LABELS = {"background": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 4, "L5": 5, "disc": 6, "canal": 7}

_THORACIC = ("T11", "T10", "T9")
_NAMES = ("T12", "L1", "L2", "L3", "L4", "L5", "S1")
#: Points of the canal's line above the lower end of T12, below which the cord ends and the roots begin.
_CONUS = 8
#: Signal of the tissues, fat = 1 in T1 and cerebrospinal fluid = 1 in T2.
_SIGNAL = {
    "T1": {
        "fat": 1.0,
        "marrow": 0.5,
        "muscle": 0.3,
        "disc": 0.27,
        "nucleus": 0.3,
        "csf": 0.17,
        "nerve": 0.33,
        "bone": 0.06,
    },
    "T2": {
        "fat": 0.78,
        "marrow": 0.38,
        "muscle": 0.14,
        "disc": 0.14,
        "nucleus": 0.62,
        "csf": 1.0,
        "nerve": 0.3,
        "bone": 0.05,
    },
}


@dataclass(frozen=True)
class Lumbar:
    """One patient's lumbar spine, drawn before it is painted.

    Parameters
    ----------
    spine : T12, L1 to L5, S1.
    bulges, degeneration : of the disc below each vertebra, mm and 0 to 1.
    open : share of its fat that each foramen keeps, (5 levels, left and right); below 0.5 it is narrowed, at 0 it cannot be
        seen and has no point.
    thoracic : the same of the foramina below T12, T11, T10 and T9, which look alike and have no point either.
    above : T11, T10, T9, from T12 upward.
    """

    spine: tuple[Vertebra, ...]
    bulges: tuple[float, ...]
    degeneration: tuple[float, ...]
    open: tuple[tuple[float, float], ...]
    thoracic: tuple[tuple[float, float], ...]
    above: tuple[Vertebra, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, difficulty: float) -> Lumbar:
        """A random patient."""
        size = rng.normal(1, 0.07)
        curve = rng.normal(1, 0.25)
        bend, phase = rng.normal(0, 2.5 + 4 * difficulty), rng.uniform(0, 2 * np.pi)
        sizes, discs, lordosis, scoliosis = [], [], [], []
        for n in range(len(_NAMES)):
            sizes.append((size * (41 + 1.6 * n), size * (30 + 0.8 * n), size * (24.5 + 0.7 * n + rng.normal(0, 0.7))))
            discs.append(size * (6.0 + 0.9 * n) * float(rng.uniform(0.75, 1.15)))
            lordosis.append(curve * (7.0, 8.0, 5.0, 0.0, -7.0, -19.0, -38.0)[n] + rng.normal(0, 1))
            scoliosis.append(bend * np.sin(phase + n * 0.9))
        worn = np.clip(rng.beta(1.2, 2.2, 7) + 0.08 * np.arange(7) * difficulty, 0, 1)
        bulges = worn * rng.uniform(0, 4, 7)
        narrow = rng.random((5, 2)) < 0.25 * difficulty
        kept = np.where(narrow, rng.uniform(0.05, 0.4, (5, 2)), rng.uniform(0.85, 1.1, (5, 2)))
        spine = stack(_NAMES, sizes, discs, lordosis, scoliosis)
        kept = np.where(rng.random((5, 2)) < 0.04 * difficulty, 0.0, kept)
        pairs = tuple((float(a), float(b)) for a, b in kept)
        first = (float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.6, 1.0)))
        further = rng.spawn(1)[0]
        others = [(float(a), float(b)) for a, b in further.uniform(0.6, 1.0, (3, 2))]
        above = thoracic_spine(spine[0], further)
        return cls(tuple(spine), tuple(map(float, bulges)), tuple(map(float, worn)), pairs, (first, *others), above)

    @property
    def column(self) -> tuple[Vertebra, ...]:
        """All vertebrae from the head down, T9 first."""
        return (*reversed(self.above), *self.spine)

    def foramen(self, level: int, side: int) -> Point:
        """Center of a foramen; level 0 to 4 for L1 to L5, -1 for T12, -4 for T9; side -1 left, 1 right."""
        above, below = self.column[level + 4], self.column[level + 5]
        upper = above.at(side * above.width * 0.38, -above.depth * 0.66, -above.height * 0.34)
        lower = below.at(side * below.width * 0.38, -below.depth * 0.62, below.height * 0.62)
        x, y, z = 0.62 * np.array(upper) + 0.38 * np.array(lower)
        return (float(x), float(y), float(z))

    def canal_line(self) -> tuple[Point, ...]:
        """The middle of the canal from above T9 to the sacrum."""
        first = self.above[-1]
        line = [first.at(0, -first.depth / 2 - 8.5, 60)]
        for vertebra in self.column:
            line += [vertebra.at(0, -vertebra.depth / 2 - 8.5, vertebra.height * s) for s in (0.45, -0.45)]
        last = self.spine[-1]
        return (*line, last.at(0, -last.depth / 2 - 4, -55))


def thoracic_spine(first: Vertebra, rng: np.random.Generator) -> tuple[Vertebra, ...]:
    """T11, T10 and T9 above T12: each a little smaller, the spine bending forward again."""
    found: list[Vertebra] = []
    lower = first
    for name in _THORACIC:
        width, depth, height = lower.width * 0.95, lower.depth * 0.97, lower.height * 0.96
        turn = lower.turn @ rotation(-2.5 + float(rng.normal(0, 0.7)))
        gap = float(rng.uniform(4.0, 5.5))
        place = np.array(lower.at(0, 0, lower.height / 2 + gap)) + turn @ np.array([0, 0, height / 2])
        x, y, z = (float(v) for v in place)
        lower = Vertebra(name, (x, y, z), width, depth, height, turn)
        found.append(lower)
    return tuple(found)


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One lumbar scan."""
    person = draw_person(draws.body, 20, 85)
    anatomy = Lumbar.draw(draws.body, difficulty)
    rng = draws.scan
    weighting = "T1" if rng.random() < 0.7 else "T2"
    pose = Pose.draw(rng, 2.0 + 2 * difficulty, 6.0)
    scan = _scan(rng, size)
    canvas = open_canvas(scan, pose, fine=3)
    _paint(canvas, anatomy, weighting, rng)
    look = MrLook.draw(rng, difficulty)
    echo = {"T1": (550.0, 11.0), "T2": (3600.0, 105.0)}[weighting]
    meta = {
        "modality": "MR",
        "series_description": f"{weighting} TSE SAG",
        "repetition_time": echo[0],
        "echo_time": echo[1],
        "body_part": "LSPINE",
        "slice_thickness": 4.0,
    }
    affine = scan.affine
    points = tuple(
        KnownPoint(_NAMES[level + 1], "left" if side < 0 else "right", pose.to_scanner(anatomy.foramen(level, side)))
        for level in range(5)
        for side in (-1, 1)
        if anatomy.open[level][(side + 1) // 2] > 0
    )
    narrowed = sum(0 < kept < 0.5 for pair in anatomy.open for kept in pair)
    return PhantomCase(
        Volume(look.apply(canvas.averaged(), rng)[None], affine, meta),
        Volume(canvas.middle_labels()[None], affine, {"modality": "SEG"}),
        points,
        {**person, "weighting": weighting, "narrowed": narrowed, "missing": 10 - len(points)},
    )


def _scan(rng: np.random.Generator, size: ScanSize) -> Scan:
    slices, step = int(rng.integers(16, 21)), float(rng.choice([4.0, 4.0, 4.4, 4.8]))
    matrix, field = (112, rng.uniform(265, 300)) if size == "small" else (448, rng.uniform(352, 374))
    center = (float(rng.normal(0, 3)), float(rng.normal(-12, 5)), float(rng.normal(-12, 6)))
    return Scan("sagittal", (matrix, matrix, slices), field / matrix, step, center, draw_tilt(rng, 0.3, 6.0))


def _paint(canvas: Canvas, anatomy: Lumbar, weighting: str, rng: np.random.Generator) -> None:
    signal = {name: value * float(rng.uniform(0.9, 1.1)) for name, value in _SIGNAL[weighting].items()}
    fine, coarse = canvas.texture(rng, 3.0), canvas.texture(rng, 14.0)
    _paint_trunk(canvas, anatomy, signal, rng, fine, coarse)
    marrow = signal["marrow"] * (1 + 0.06 * fine + 0.08 * coarse)
    for vertebra in anatomy.above:
        paint_bone(canvas, vertebra.arch(), marrow * 0.95, signal["bone"], 1.0, None)
    for above, below in pairwise(anatomy.column[:4]):
        canvas.paint(disc_between(above, below, 0.0), signal["disc"], LABELS["disc"])
    for n, vertebra in enumerate(anatomy.spine):
        paint_bone(canvas, vertebra.arch(), marrow * 0.95, signal["bone"], 1.0, None)
        if n + 1 < len(anatomy.spine):
            _paint_disc(canvas, anatomy, n, signal)
    _paint_canal(canvas, anatomy, signal, fine)
    for vertebra in anatomy.above:
        paint_bone(canvas, vertebra.body(), marrow, signal["bone"], 1.0, None)
    for level in range(-4, 5):
        for side in (-1, 1):
            _paint_foramen(canvas, anatomy, level, side, signal)
    for n, vertebra in enumerate(anatomy.spine):
        own = marrow * float(rng.uniform(0.93, 1.07))
        paint_bone(canvas, vertebra.body(), own, signal["bone"], 1.0, n if 1 <= n <= 5 else None)
        basivertebral = (vertebra.at(0, -vertebra.depth / 2, 0), vertebra.at(0, -vertebra.depth * 0.1, 0))
        canvas.paint(Tube(basivertebral, (1.8, 0.8)), 0.5 * signal["marrow"] + 0.5 * signal["csf"], edge=2.0)


def _paint_trunk(
    canvas: Canvas,
    anatomy: Lumbar,
    signal: dict[str, float],
    rng: np.random.Generator,
    fine: Array,
    coarse: Array,
) -> None:
    back = float(rng.uniform(10, 30))
    canvas.fill(0.0)
    canvas.paint(Superellipsoid((0, 8, 0), (175, 88 + back, 320), 2.6), signal["fat"] * (1 + 0.03 * coarse))
    bowel = signal["muscle"] * 1.2 + 0.2 * signal["fat"] * np.tanh(1.2 * coarse) + 0.03 * fine
    canvas.paint(Superellipsoid((0, 44, 0), (135, 50 + back / 3, 320), 3.0), bowel, edge=8.0)
    for side in (-1, 1):
        psoas = tuple(v.at(side * (v.width * 0.62 + 8 + 2 * n), -4, 0) for n, v in enumerate(anatomy.spine))
        canvas.paint(Tube(psoas, tuple(8.0 + 2.6 * n for n in range(7))), signal["muscle"] * (1 + 0.05 * fine))
        erector = tuple(v.at(side * 24, -v.depth / 2 - 42, 0) for v in anatomy.spine)
        line = ((erector[0][0], erector[0][1], 200.0), *erector)
        muscle = signal["muscle"] * (1 + 0.10 * fine) + 0.25 * signal["fat"] * np.clip(coarse + fine - 1.2, 0, 1)
        canvas.paint(Tube(line, (20.0, *(22.0 - 1.2 * n for n in range(7)))), muscle, edge=3.0)
    vessel = tuple(v.at(-7, v.depth / 2 + 13, 0) for v in anatomy.spine[:5])
    canvas.paint(Tube(((vessel[0][0], vessel[0][1], 200.0), *vessel), (9.0,) * 6), signal["muscle"] * 0.25)
    cava = tuple(v.at(14, v.depth / 2 + 12, 0) for v in anatomy.spine[:5])
    canvas.paint(Tube(((cava[0][0], cava[0][1], 200.0), *cava), (10.0,) * 6), signal["muscle"] * 0.4)
    _paint_sacrum(canvas, anatomy, signal, fine)


def _paint_sacrum(canvas: Canvas, anatomy: Lumbar, signal: dict[str, float], fine: Array) -> None:
    last = anatomy.spine[-1]
    upper, place, turn = last, np.array(last.center), last.turn
    for n in range(1, 4):
        turn = turn @ rotation(9.0)
        place = place - turn @ np.array([0, 0, last.height * 0.95 - 2.2 * n])
        x, y, z = (float(v) for v in place)
        scale = 1 - 0.17 * n
        lower = Vertebra(
            f"S{n + 1}", (x, y, z), last.width * scale, last.depth * scale, last.height * 0.84 - 2 * n, turn
        )
        wing = [
            Superellipsoid(lower.at(s * last.width * 0.5, -4, 2), (last.width * 0.36, 11, 12), 2.5, turn)
            for s in (-1, 1)
        ]
        for shape in (*wing, lower.body()):
            paint_bone(canvas, shape, signal["marrow"] * (1.05 + 0.06 * fine), signal["bone"], 1.0, None)
        upper = lower
    canvas.paint(ball(upper.at(0, 0, -upper.height), 6.0), signal["marrow"])


def _paint_disc(canvas: Canvas, anatomy: Lumbar, n: int, signal: dict[str, float]) -> None:
    disc = disc_between(anatomy.spine[n], anatomy.spine[n + 1], anatomy.bulges[n])
    canvas.paint(disc, signal["disc"], LABELS["disc"])
    a, b, c = disc.radii
    nucleus = Superellipsoid(disc.center, (a * 0.72, b * 0.68, c * 0.75), 2.5, disc.turn)
    worn = anatomy.degeneration[n]
    canvas.paint(nucleus, signal["nucleus"] * (1 - worn) + signal["disc"] * 0.8 * worn, edge=4.0)


def _paint_canal(canvas: Canvas, anatomy: Lumbar, signal: dict[str, float], fine: Array) -> None:
    line = anatomy.canal_line()
    count = len(line)
    behind = tuple((x, y - 4.0, z) for x, y, z in line)
    canvas.paint(Tube(behind, (8.5,) * count), signal["fat"] * 0.95)
    sac = Tube(line, (*np.linspace(8.8, 6.5, count - 1), 2.5), 1.25)
    canvas.paint(sac, signal["csf"], LABELS["canal"])
    cord = tuple((x, y - 0.5, z) for x, y, z in line[: _CONUS + 2])
    canvas.paint(Tube(cord, (*(4.6,) * _CONUS, 4.4, 1.2)), signal["nerve"] * 1.15)
    roots = tuple((x, y - 2.6, z) for x, y, z in line[_CONUS:-2])
    mixed = signal["nerve"] * 0.6 + signal["csf"] * 0.4 + 0.05 * fine
    canvas.paint(Tube(roots, tuple(np.linspace(4.2, 1.5, len(roots)))), mixed, edge=2.0)


def _paint_foramen(canvas: Canvas, anatomy: Lumbar, level: int, side: int, signal: dict[str, float]) -> None:
    above = anatomy.column[level + 4]
    kept = (anatomy.thoracic[-1 - level] if level < 0 else anatomy.open[level])[(side + 1) // 2]
    if kept == 0:
        return
    center = np.array(anatomy.foramen(level, side))
    x, y, z = (float(v) for v in center)
    wide = (above.width * 0.16, 4.6 * kept**0.5, 8.0 * kept**0.5)
    upper = Superellipsoid((x, y, z + 1.0), wide, 2.3, above.turn)
    narrow = Superellipsoid((x, y + 1.0, z - 6.0), (wide[0], wide[1] * 0.55, wide[2] * 0.6), 2.3, above.turn)
    fat = signal["fat"] * min(1.0, 0.45 + 0.55 * kept)
    canvas.paint(Joined((upper, narrow), 3.0), fat)
    root = ((x - side * 9.0, y - 0.5, z + 4.5), (x + side * 12.0, y + 0.5, z - 0.5))
    canvas.paint(Tube(root, (2.0, 2.3)), signal["nerve"])
