"""A piece of lung in CT with one or several nodules: smooth and round, or lobed and spiculated, with the scores of four raters.

Knows how lung, vessels and nodules look, and how raters score malignancy from 1 to 5 (as in LIDC-IDRI, Armato et al. 2011). Only the
nodule tells benign from malignant: lung, vessels, bronchus and chest wall are drawn alike for both. A patient has one to three scans.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from voxloom.phantom.canvas import Canvas, Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, open_canvas
from voxloom.phantom.mr import ct_scan
from voxloom.phantom.shapes import Array, Joined, Point, Shape, Slab, Superellipsoid, Tube, ball, rotation
from voxloom.volume import Volume

NAME = "nodule-ct"
CHANNELS = ("CT",)
LABELS = {"background": 0, "nodule": 1}
#: Ratings belong to a table of cases, beside the label maps: written as ``cases.csv``.
AS_TABLE = True

#: Score that each rater adds to the truth before rounding: some see more malignancy than others.
RATER_BIAS = (-0.25, 0.1, 0.3, -0.1)
#: Scores of malignancy (mean, SD) of benign, indeterminate and malignant nodules.
_SCORES = ((1.8, 0.45), (3.0, 0.3), (4.3, 0.45))
_AIR, _SOFT, _BLOOD, _CALCIUM = -980.0, 45.0, 40.0, 320.0


@dataclass(frozen=True)
class Nodule:
    """One nodule, drawn before it is painted.

    Parameters
    ----------
    center : RAS mm.
    radius : of its body, mm.
    spiculation : 0 (smooth) to 1: lobes, number and length of spicules.
    shape : everything that is labelled.
    calcified : whether its core is, as of granulomas.
    """

    center: Point
    radius: float
    spiculation: float
    shape: Shape
    calcified: bool

    @classmethod
    def draw(cls, rng: np.random.Generator, center: Point, radius: float, score: float) -> Nodule:
        """A nodule that deserves a malignancy score from 1 to 5; size says nothing of the score."""
        spiculation = float(np.clip((score - 2.4) / 1.9, 0, 1))
        radii = [float(radius * r) for r in rng.uniform(0.88, 1.12, 3)]
        turn = rotation(*(float(v) for v in rng.uniform(-90, 90, 3)))
        body: list[Shape] = [Superellipsoid(center, (radii[0], radii[1], radii[2]), 2.0, turn)]
        for way in _ways(rng, round(5 * spiculation)):
            body.append(ball(np.array(center) + way * radius * 0.75, radius * float(rng.uniform(0.35, 0.5))))
        spicules = [
            _spicule(center, way, radius, (2.0 + 5.0 * spiculation) * float(rng.uniform(0.7, 1.2)))
            for way in _ways(rng, round(18 * spiculation))
        ]
        whole = Joined((Joined(tuple(body), 0.3 * radius), *spicules))
        return cls(center, radius, spiculation, whole, bool(score < 2 and rng.random() < 0.3))


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One piece of lung around a nodule, which lies anywhere within 9 mm of its middle."""
    person = draw_person(draws.body, 40, 85)
    likely_malignant = bool(draws.body.random() < 0.5)
    rng = draws.scan
    scan = _scan(rng, size)
    score = _score(rng, likely_malignant, difficulty)
    nodules = _nodules(rng, score)
    canvas = open_canvas(scan, Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), fine=3)
    _paint_lung(canvas, rng, difficulty)
    fine = canvas.texture(rng, 2.0)
    for nodule in nodules:
        value = (_SOFT - 20 + 12 * fine).astype(np.float32)
        canvas.paint(nodule.shape, value, LABELS["nodule"], edge=canvas.edge * (1 + difficulty))
        if nodule.calcified:
            canvas.paint(ball(nodule.center, nodule.radius * 0.45), _CALCIUM)
    voxels = ct_scan(canvas.averaged(), rng, float(rng.uniform(15, 25 + 45 * difficulty)))
    meta = {"modality": "CT", "series_description": "CHEST LUNG", "body_part": "CHEST"}
    facts: dict[str, Any] = {
        "target": "malignant" if score > 3 else "benign",
        **{f"rater_{n}": s for n, s in enumerate(rate(rng, score, difficulty), start=1)},
        "nodules": len(nodules),
        "diameter_mm": round(2 * nodules[0].radius, 1),
        "spiculation": round(nodules[0].spiculation, 2),
        "thickness_mm": scan.step,
    }
    label = Volume(canvas.middle_labels()[None], scan.affine, {"modality": "SEG"})
    return PhantomCase(Volume(voxels[None], scan.affine, meta), label, (), {**person, **facts})


def rate(rng: np.random.Generator, score: float, difficulty: float) -> list[int]:
    """Scores 1 to 5 that the raters give to a nodule of a true score."""
    seen = score + np.array(RATER_BIAS) + rng.normal(0, 0.55 + 0.5 * difficulty, len(RATER_BIAS))
    return [int(s) for s in np.clip(np.rint(seen), 1, 5)]


def patient_of(index: int) -> int:
    """The patient of a case: patients have one, two and three scans, in turn."""
    return 3 * (index // 6) + (0, 1, 1, 2, 2, 2)[index % 6]


def _score(rng: np.random.Generator, likely_malignant: bool, difficulty: float) -> float:
    """True malignancy from 1 to 5; nodules of one patient are alike rather than not."""
    unclear = 0.06 + 0.12 * difficulty
    malignant = (1 - unclear) * (0.75 if likely_malignant else 0.15)
    kind = int(rng.choice(3, p=[1 - unclear - malignant, unclear, malignant]))
    return float(np.clip(rng.normal(*_SCORES[kind]), 1, 5))


def _nodules(rng: np.random.Generator, score: float) -> list[Nodule]:
    """The nodule, and in a quarter of the scans one or two smaller ones of its kind where there is room."""
    radius = float(rng.uniform(3.5, 7.0))
    center = rng.uniform(-9, 9, 3)
    found = [Nodule.draw(rng, _point(center), radius, score)]
    for _ in range(int(rng.choice(3, p=[0.75, 0.18, 0.07]))):
        small, at = radius * float(rng.uniform(0.45, 0.7)), rng.uniform(-15, 15, 3)
        apart = min(float(np.linalg.norm(at - np.array(n.center))) - n.radius for n in found)
        if apart > small + 3:
            found.append(Nodule.draw(rng, _point(at), small, score))
    return found


def _scan(rng: np.random.Generator, size: ScanSize) -> Scan:
    """About 44 mm a side: 40 x 40 pixels (small) or 80 x 80 (full)."""
    matrix = 40 if size == "small" else 80
    step = float(rng.choice([1.25, 1.5, 2.0] if size == "small" else [0.625, 0.75, 1.0]))
    field = float(rng.uniform(40, 46))
    center = _point(rng.normal(0, 0.5, 3))
    return Scan("axial", (matrix, matrix, round(44 / step)), field / matrix, step, center)


def _paint_lung(canvas: Canvas, rng: np.random.Generator, difficulty: float) -> None:
    """Lung with vessels, often a bronchus, and in a third of the scans the chest wall."""
    coarse, fine = canvas.texture(rng, 9.0), canvas.texture(rng, 2.5)
    canvas.fill((float(rng.uniform(-890, -830)) + (12 + 25 * difficulty) * coarse + 15 * fine).astype(np.float32))
    for _ in range(int(rng.integers(4, 8))):
        canvas.paint(_vessel(rng), _BLOOD)
    if rng.random() < 0.5:
        start, end = _point(_edge(rng)), _point(_edge(rng))
        canvas.paint(Tube((start, end), (2.6, 2.0)), -150.0)
        canvas.paint(Tube((start, end), (1.8, 1.2)), _AIR)
    if rng.random() < 0.33:
        way = _ways(rng, 1)[0]
        wall = Slab(_point(way * (20 + 15)), _point(way), 30.0)
        canvas.paint(wall, (_SOFT + 8 * fine).astype(np.float32))


def _vessel(rng: np.random.Generator) -> Shape:
    """A bent vessel that runs through the piece, with a branch."""
    start, end = _edge(rng), _edge(rng)
    bend = (start + end) / 2 + rng.normal(0, 4, 3)
    radius = float(rng.uniform(0.7, 1.9))
    stem = Tube((_point(start), _point(bend), _point(end)), (radius, radius * 0.85, radius * 0.7))
    branch = Tube((_point(bend), _point(_edge(rng))), (radius * 0.7, radius * 0.45))
    return Joined((stem, branch), radius)


def _edge(rng: np.random.Generator) -> np.ndarray:
    """A point on a sphere around the piece."""
    way: np.ndarray = _ways(rng, 1)[0] * 30
    return way


def _ways(rng: np.random.Generator, count: int) -> np.ndarray:
    """Random directions (count, 3)."""
    found = rng.normal(size=(count, 3))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-6)


def _spicule(center: Point, way: np.ndarray, radius: float, length: float) -> Tube:
    """A thorn that begins within the body and ends ``length`` mm beyond it."""
    middle = np.array(center)
    return Tube((_point(middle + way * 0.6 * radius), _point(middle + way * (radius + length))), (1.1, 0.35))


def _point(values: Array | np.ndarray) -> Point:
    x, y, z = (float(v) for v in values)
    return (x, y, z)
