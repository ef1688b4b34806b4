"""Female pelvis in MR with a cervical tumor: T2, diffusion with a high b value, and the ADC map, on one grid.

Knows the anatomy and what each channel shows of it: tumor is grey in T2, bright in diffusion and dark in ADC; urine is bright in
T2 and ADC; nodes shine in diffusion as a tumor does, so that a model finds more than one candidate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.phantom.canvas import Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import MrLook
from voxloom.phantom.shapes import Joined, Point, Shape, Superellipsoid, Tube, ball, rotation
from voxloom.volume import Volume

NAME = "pelvis-mr"
CHANNELS = ("T2", "DWI", "ADC")
LABELS = {"background": 0, "tumor": 1}

#: Signal of each tissue in T2, diffusion and ADC; the brightest is about 1.
_SIGNAL = {
    "fat": (0.75, 0.12, 0.08),
    "muscle": (0.18, 0.2, 0.42),
    "marrow": (0.5, 0.14, 0.16),
    "urine": (1.0, 0.1, 1.0),
    "uterus": (0.42, 0.36, 0.5),
    "cervix": (0.26, 0.33, 0.48),
    "bowel": (0.34, 0.38, 0.45),
    "node": (0.46, 0.8, 0.34),
    "tumor": (0.55, 0.95, 0.28),
}
#: Grey value of the largest ADC, 1e-6 mm2/s.
_ADC_PEAK = 2600.0


@dataclass(frozen=True)
class Pelvis:
    """One patient: the size of her pelvis, organs, and the tumor with nodes beside it."""

    size: float
    bladder: tuple[float, float, float]
    lean: float
    tumor: tuple[tuple[Point, float], ...]
    nodes: tuple[tuple[Point, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, difficulty: float) -> Pelvis:
        """A random patient; the harder, the smaller the tumors may be and the more nodes there are."""
        size = float(np.clip(rng.normal(1, 0.06), 0.85, 1.15))
        radius = float(np.clip(np.exp(rng.normal(np.log(15), 0.3 + 0.2 * difficulty)), 7, 28))
        middle = np.array([rng.normal(0, 3), rng.normal(-4, 3), rng.normal(-12, 4)])
        lobes = [(middle, radius)] + [
            (middle + rng.normal(0, 0.45 * radius, 3), radius * float(rng.uniform(0.5, 0.75))) for _ in range(2)
        ]
        nodes = [
            (
                (float(side * rng.uniform(42, 58)), float(rng.uniform(-15, 25)), float(rng.uniform(-15, 40))),
                float(rng.uniform(3, 6)),
            )
            for side in rng.choice([-1, 1], int(rng.poisson(1 + 2 * difficulty)))
        ]
        a, b, c = rng.uniform(0.6, 1.25, 3) * (30, 22, 24)
        points = tuple(((float(p[0]), float(p[1]), float(p[2])), r) for p, r in lobes)
        return cls(size, (float(a), float(b), float(c)), float(rng.uniform(10, 50)), points, tuple(nodes))

    def organs(self) -> list[tuple[str, Shape]]:
        """What is painted, from the outside in; the tumor comes last."""
        s = self.size
        uterus = Superellipsoid((0.0, 10 * s, 28 * s), (24 * s, 20 * s, 34 * s), 2.2, rotation(self.lean))
        nodes = [("node", ball(center, radius)) for center, radius in self.nodes]
        return [
            ("fat", Superellipsoid((0.0, 0.0, 0.0), (175 * s, 118 * s, 260.0), 3.0)),
            ("muscle", Superellipsoid((0.0, -8.0, 0.0), (150 * s, 92 * s, 255.0), 3.0)),
            ("fat", Superellipsoid((0.0, 2.0, 0.0), (78 * s, 66 * s, 250.0), 2.6)),
            *(("marrow", ball((side * 92.0 * s, 8.0, -8.0), 25 * s)) for side in (-1, 1)),
            ("marrow", Superellipsoid((0.0, -78 * s, 20.0), (38 * s, 16 * s, 70 * s), 2.5)),
            ("urine", Superellipsoid((0.0, 42 * s, 4.0), self.bladder, 2.0)),
            ("bowel", Tube(((0.0, -42 * s, -70.0), (4.0, -48 * s, 10.0), (-12.0, -30 * s, 80.0)), (12 * s, 15 * s, 14 * s))),
            ("uterus", uterus),
            ("cervix", Superellipsoid((0.0, -3 * s, -12 * s), (18 * s, 17 * s, 20 * s), 2.2)),
            *nodes,
            ("tumor", Joined(tuple(ball(center, radius) for center, radius in self.tumor), 4.0)),
        ]  # fmt: skip


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One pelvic examination."""
    person = {**draw_person(draws.body, 25, 80), "sex": "F"}
    anatomy = Pelvis.draw(draws.body, difficulty)
    rng = draws.scan
    scan, field = _scan(rng, size), float(rng.choice([1.5, 3.0]))
    pose = Pose.draw(rng, 2.5, 3.0)
    spread = rng.uniform(0.9, 1.1, (len(_SIGNAL), len(CHANNELS)))
    voxels, label = [], np.zeros(scan.shape, np.uint8)
    for channel in range(len(CHANNELS)):
        canvas = open_canvas(scan, pose, fine=3)
        texture = 1 + 0.07 * canvas.texture(rng, 6.0)
        for name, shape in anatomy.organs():
            value = _SIGNAL[name][channel] * float(spread[list(_SIGNAL).index(name), channel])
            canvas.paint(shape, value * texture, LABELS["tumor"] if name == "tumor" else None)
        label = canvas.middle_labels()
        look = MrLook.draw(rng, difficulty)
        if CHANNELS[channel] == "ADC":  # a quotient: no coil shading, no contrast curve, a scale in units
            look = MrLook(look.noise * 2, 0.0, 1.0, look.blur, _ADC_PEAK)
        voxels.append(look.apply(canvas.averaged(), rng))
    meta = {
        "modality": "MR",
        "series_description": "T2 TSE AX, EPI DIFF b1000, ADC",
        "repetition_time": 4500.0,
        "echo_time": 100.0,
        "body_part": "PELVIS",
    }
    facts = {
        "field_strength": field,
        "slice_mm": round(scan.step, 2),
        "fov_mm": round(scan.pixel * scan.shape[0], 1),
        "tumor_ml": round(float((label == 1).sum()) * scan.pixel**2 * scan.step / 1000, 2),
    }
    truth = Volume(label[None], scan.affine, {"modality": "SEG"})
    return PhantomCase(Volume(np.stack(voxels), scan.affine, meta), truth, (), {**person, **facts})


def _scan(rng: np.random.Generator, size: ScanSize) -> Scan:
    field, step = float(rng.uniform(180, 240)), float(rng.choice([4.0, 5.0, 6.0]))
    center = (float(rng.normal(0, 3)), float(rng.normal(0, 4)), float(rng.normal(0, 4)))
    tilt = draw_tilt(rng, 0.4, 8.0)
    slices = round(120 / step)
    if size == "small":
        return Scan("axial", (72, 72, slices), field / 72, step, center, tilt)
    return Scan("axial", (512, 512, slices), field / 512, step, center, tilt)
