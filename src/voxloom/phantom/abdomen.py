"""Abdominal CT: liver, kidneys and tumors in Hounsfield units, painted from shapes or around given kidney masks.

Knows the anatomy, contrast phases and the HU of tissues. With masks (1 kidney, 2 tumor) the organs of the masks are
kept voxel by voxel and only the grey values are simulated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.phantom.canvas import Canvas, Scan
from voxloom.phantom.case import Draws, PhantomCase, Pose, ScanSize, draw_person, draw_tilt, open_canvas
from voxloom.phantom.mr import ct_scan
from voxloom.phantom.shapes import Array, Cut, Grown, Joined, Superellipsoid, Tube, ball, rotation
from voxloom.volume import Volume, spacing_of

NAME = "abdomen-ct"
CHANNELS = ("CT",)
LABELS = {"background": 0, "kidney": 1, "tumor": 2, "liver": 3}
SHAPE_LABELS = {"background": 0, "kidney": 1, "tumor": 2}

#: Hounsfield units by contrast phase: cortex and medulla of the kidney, tumor, liver, spleen, aorta, vena cava.
_PHASES = {
    "arterial": {
        "cortex": 185.0,
        "medulla": 95.0,
        "tumor": 95.0,
        "liver": 75.0,
        "spleen": 120.0,
        "aorta": 290.0,
        "cava": 110.0,
    },
    "portal": {
        "cortex": 190.0,
        "medulla": 165.0,
        "tumor": 80.0,
        "liver": 112.0,
        "spleen": 122.0,
        "aorta": 165.0,
        "cava": 155.0,
    },
    "native": {
        "cortex": 33.0,
        "medulla": 31.0,
        "tumor": 38.0,
        "liver": 56.0,
        "spleen": 47.0,
        "aorta": 40.0,
        "cava": 38.0,
    },
}
_FAT, _MUSCLE, _AIR, _BONE, _SPONGY = -100.0, 55.0, -1000.0, 620.0, 210.0


@dataclass(frozen=True)
class Kidney:
    """One kidney: the bean, its hollow, and a tumor or None. ``side`` is 1 right, -1 left."""

    side: int
    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    lean: float
    tumor: tuple[float, float, float, float] | None

    def shape(self) -> Cut:
        """The bean: an ellipsoid with a hilum toward the middle."""
        turn = rotation(8, -self.side * self.lean, self.side * 35)
        bean = Superellipsoid(self.center, self.radii, 2.2, turn)
        x, y, z = np.array(self.center) + turn @ np.array([-self.side * self.radii[0] * 1.05, 0, 0])
        hollow = Superellipsoid((x, y, z), (self.radii[0] * 0.62, self.radii[1] * 0.5, self.radii[2] * 0.42), 2.0, turn)
        return Cut(bean, hollow)

    def growth(self) -> Superellipsoid | None:
        """The tumor."""
        return None if self.tumor is None else ball(self.tumor[:3], self.tumor[3])


@dataclass(frozen=True)
class Body:
    """Trunk of one patient: half width and depth of its cavity, muscle and fat around it (mm), phase, scale."""

    wide: float
    deep: float
    muscle: float
    fat: float
    phase: str
    size: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Body:
        """A random trunk."""
        size = float(np.clip(rng.normal(1, 0.08), 0.8, 1.2))
        phase = str(rng.choice(["portal", "arterial", "native"], p=[0.5, 0.35, 0.15]))
        fat = float(rng.gamma(3.0, 6.0) + 5)
        return cls(
            128 * size + 0.4 * fat, 88 * size + 0.4 * fat, float(rng.uniform(10, 18)), min(fat, 45.0), phase, size
        )


def make(draws: Draws, size: ScanSize, difficulty: float) -> PhantomCase:
    """One CT of the upper abdomen, painted from shapes."""
    person = draw_person(draws.body, 30, 85)
    body = Body.draw(draws.body)
    kidneys = [_draw_kidney(draws.body, body, side, difficulty) for side in (1, -1)]
    rng = draws.scan
    scan = _scan(rng, size, body)
    canvas = open_canvas(scan, Pose.draw(rng, 2.5, 6.0), fine=1)
    tissue = _tissue(rng, body, difficulty)
    textures = canvas.texture(rng, 5.0), canvas.texture(rng, 25.0)
    _paint_body(canvas, body, tissue, *textures)
    _paint_organs(canvas, body, tissue, *textures)
    for kidney in kidneys:
        _paint_kidney(canvas, kidney, tissue, *textures)
    voxels = ct_scan(canvas.averaged(), rng, float(rng.uniform(8, 14 + 14 * difficulty)))
    label = Volume(canvas.middle_labels()[None], scan.affine, {"modality": "SEG"})
    facts = {**person, "phase": body.phase, "thickness_mm": scan.step, "slices": scan.shape[2]}
    return PhantomCase(Volume(voxels[None], scan.affine, _meta(body)), label, (), facts)


def make_from_mask(draws: Draws, mask: Volume, difficulty: float) -> PhantomCase:
    """One CT around given kidneys (1) and tumors (2), on the grid of the masks.

    Raises
    ------
    BadInput : the mask holds other values, or no kidney.
    """
    labels = mask.data[0]
    if not set(np.unique(labels)) <= {0, 1, 2} or not (labels == 1).any():
        raise BadInput(
            "expected a mask of 1 (kidney) and 2 (tumor)", mask.meta.get("source"), "Give KiTS segmentations"
        )
    person, rng = draw_person(draws.body, 30, 85), draws.scan
    body = _around(Body.draw(draws.body), mask)
    axis = int(np.argmax(np.abs(mask.affine[2, :3])))
    canvas = Canvas(_body_affine(mask, body), mask.shape, axis=axis)
    tissue = _tissue(rng, body, difficulty)
    textures = canvas.texture(rng, 5.0), canvas.texture(rng, 25.0)
    _paint_body(canvas, body, tissue, *textures)
    _paint_organs(canvas, body, tissue, *textures)
    voxels = _with_mask(canvas.averaged(), labels, spacing_of(mask.affine), tissue, textures)
    scanned = ct_scan(voxels, rng, float(rng.uniform(8, 14 + 14 * difficulty)), axis)
    facts = {
        **person,
        "phase": body.phase,
        "thickness_mm": round(spacing_of(mask.affine)[axis], 3),
        "slices": mask.shape[axis],
    }
    image = Volume(scanned[None], mask.affine, _meta(body))
    return PhantomCase(image, Volume(mask.data.astype(np.uint8), mask.affine, {"modality": "SEG"}), (), facts)


def _draw_kidney(rng: np.random.Generator, body: Body, side: int, difficulty: float) -> Kidney:
    s = body.size * float(rng.normal(1, 0.08))
    center = (
        side * (58 * body.size + float(rng.normal(0, 5))),
        -28 * body.size + float(rng.normal(0, 6)),
        float(rng.normal(-side * 8, 8)),
    )
    radii = (s * 26, s * 30, s * 54)
    tumor = None
    if rng.random() < 0.6:
        grade, radius = rng.uniform(-1, 1), float(np.clip(rng.lognormal(2.85, 0.45), 7, 40)) * (1 - 0.3 * difficulty)
        way = np.array([side * abs(rng.normal()), rng.normal(), 0.8 * rng.normal()])
        way /= np.linalg.norm(way)
        at = np.array(center) + way * np.array([radii[0], radii[1], 0.75 * radii[2]]) * (0.8 + 0.15 * grade)
        tumor = (float(at[0]), float(at[1]), float(at[2]), radius)
    return Kidney(side, center, radii, float(rng.normal(12, 4)), tumor)


def _scan(rng: np.random.Generator, size: ScanSize, body: Body) -> Scan:
    matrix = 96 if size == "small" else 512
    step = float(rng.choice([3.0, 4.0, 5.0, 5.0, 6.0] if size == "small" else [1.0, 1.5, 2.5, 3.0, 5.0]))
    length = float(rng.uniform(150, 230))
    field = 2.25 * (body.wide + body.muscle + body.fat) + float(rng.uniform(-10, 25))
    center = (float(rng.normal(0, 6)), float(rng.normal(0, 8)), float(rng.normal(0, 10)))
    return Scan(
        "axial", (matrix, matrix, round(length / step)), field / matrix, step, center, draw_tilt(rng, 0.15, 4.0)
    )


def _tissue(rng: np.random.Generator, body: Body, difficulty: float) -> dict[str, float]:
    contrast = float(rng.normal(1, 0.08 + 0.1 * difficulty))
    return {name: value * contrast + float(rng.normal(0, 4)) for name, value in _PHASES[body.phase].items()}


def _meta(body: Body) -> dict[str, Any]:
    return {"modality": "CT", "series_description": f"ABDOMEN {body.phase.upper()}", "body_part": "ABDOMEN"}


def _around(body: Body, mask: Volume) -> Body:
    """The body, wide enough for the kidneys of the mask."""
    lateral = int(np.argmax(np.abs(mask.affine[0, :3])))
    found = np.flatnonzero(mask.data[0].any(axis=tuple(a for a in range(3) if a != lateral)))
    half = (found[-1] - found[0]) * spacing_of(mask.affine)[lateral] / 2
    return replace(body, wide=max(body.wide, half + 25), deep=max(body.deep, 0.68 * (half + 25)))


def _body_affine(mask: Volume, body: Body) -> NDArray[np.float64]:
    """Voxel to body mm: the kidneys of the mask come to lie where the body has its own."""
    where = np.argwhere(mask.data[0] > 0)
    middle = where.mean(axis=0)
    both = (where.min(axis=0) + where.max(axis=0)) / 2
    lateral = int(np.argmax(np.abs(mask.affine[0, :3])))
    wide = (where[:, lateral].max() - where[:, lateral].min()) * spacing_of(mask.affine)[lateral]
    middle[lateral] = both[lateral] if wide > 120 else (mask.shape[lateral] - 1) / 2
    x, y, z = (mask.affine @ np.array([*middle, 1.0]))[:3]
    shift = np.eye(4)
    shift[:3, 3] = (-x, -28 * body.size - y, -z)
    return shift @ mask.affine


def _paint_body(canvas: Canvas, body: Body, tissue: dict[str, float], fine: Array, coarse: Array) -> None:
    canvas.fill(_AIR)
    endless = 700.0
    layers = ((body.muscle + body.fat, _FAT), (body.muscle, _MUSCLE + 6 * fine), (0.0, _FAT + 5 * coarse))
    for grown, value in layers:
        canvas.paint(Superellipsoid((0, 5, 0), (body.wide + grown, body.deep + 0.8 * grown, endless), 2.4), value)
    bowel = Superellipsoid((0, 32 * body.size, -40), (body.wide * 0.8, body.deep * 0.52, 120), 2.6)
    gut = np.where(coarse + 0.4 * fine > -0.1, 38 + 8 * fine, _FAT)
    canvas.paint(bowel, np.where(coarse + 0.4 * fine > 1.9, -700, gut).astype(np.float32), edge=12.0)
    s = body.size
    for z in np.arange(-420, 421, 34.0):
        vertebra = Superellipsoid((0, -34 * s, z), (23 * s, 17 * s, 12.5), 3.5)
        canvas.paint(vertebra, _BONE)
        canvas.paint(Grown(vertebra, -2.0), _SPONGY + 25 * fine)
        spine = Tube(((0, -62 * s, z), (0, -84 * s, z - 10)), (5.0, 4.5))
        canvas.paint(spine, _SPONGY + 120)
    canvas.paint(Superellipsoid((0, -58 * s, 0), (15 * s, 11 * s, endless), 2.5), _SPONGY + 160)
    canvas.paint(Superellipsoid((0, -58 * s, 0), (10.5 * s, 8 * s, endless), 2.0), 25.0)
    for side in (-1, 1):
        canvas.paint(Superellipsoid((side * 34 * s, -42 * s, -60), (19 * s, 17 * s, 130), 2.5), _MUSCLE + 5 * fine)
        canvas.paint(Superellipsoid((side * 38 * s, -78 * s, 0), (30 * s, 17 * s, endless), 2.8), _MUSCLE + 10 * fine)
        for n in range(7):
            _paint_rib(canvas, body, side, 100.0 - 26 * n)
    canvas.paint(Tube(((-7, -8 * s, -600), (-7, -8 * s, 600)), (10.5 * s, 10.5 * s)), tissue["aorta"])
    canvas.paint(Tube(((16, -6 * s, -600), (18, -2 * s, 600)), (12 * s, 12 * s), 1.2), tissue["cava"])


def _paint_rib(canvas: Canvas, body: Body, side: int, z: float) -> None:
    angles = np.deg2rad(np.linspace(-72, 35, 7))
    wide, deep = body.wide + body.muscle * 0.45, body.deep + body.muscle * 0.4
    line = tuple(
        (side * wide * float(np.cos(a)), 5 + deep * float(np.sin(a)), z - 45 * n / 6) for n, a in enumerate(angles)
    )
    canvas.paint(Tube(line, (5.0,) * 7), _BONE * 0.8)
    canvas.paint(Tube(line, (3.0,) * 7), _SPONGY)


def _paint_organs(canvas: Canvas, body: Body, tissue: dict[str, float], fine: Array, coarse: Array) -> None:
    s, wide = body.size, body.wide
    right = Superellipsoid((wide * 0.52, 8, 52), (wide * 0.43, body.deep * 0.78, 82 * s), 2.4, rotation(0, 12, -12))
    left = Superellipsoid(
        (wide * 0.08, body.deep * 0.45, 82), (wide * 0.48, body.deep * 0.34, 46 * s), 2.3, rotation(0, -14, 0)
    )
    liver = Cut(Joined((right, left), 25.0), Superellipsoid((58 * s, -30 * s, -12), (34 * s, 38 * s, 62 * s)))
    parenchyma = tissue["liver"] + 4 * fine + 5 * coarse
    canvas.paint(liver, parenchyma, LABELS["liver"])
    for n, (x, y, z) in enumerate(((0.35, 10, 70), (0.62, 20, 85), (0.6, -14, 62), (0.3, 42, 88))):
        ends = (
            (wide * 0.2, 2.0, 74.0),
            (wide * x, float(y), float(z)),
            (wide * (x + 0.12), float(y) * 1.6, float(z) + 18 - 9 * n),
        )
        canvas.paint(Tube(ends, (5.0, 3.4, 1.6)), 0.35 * tissue["liver"] + 0.65 * tissue["cava"], edge=2.5)
    canvas.paint(Superellipsoid((wide * 0.42, body.deep * 0.46, 2), (15, 17, 24), 2.0), 12.0)
    spleen = Superellipsoid((-wide * 0.72, -30, 66), (wide * 0.2, 38 * s, 46 * s), 2.2, rotation(20, 0, 22))
    canvas.paint(spleen, tissue["spleen"] + 5 * fine)
    stomach = Superellipsoid((-wide * 0.38, body.deep * 0.34, 72), (wide * 0.27, 36 * s, 44 * s), 2.2)
    canvas.paint(stomach, 45.0)
    canvas.paint(Grown(stomach, -4.0), 15.0 + 8 * fine)
    gas = Superellipsoid((-wide * 0.38, body.deep * 0.34 + 22 * s, 72), (wide * 0.18, 10 * s, 30 * s), 2.2)
    canvas.paint(gas, -850.0)


def _paint_kidney(canvas: Canvas, kidney: Kidney, tissue: dict[str, float], fine: Array, coarse: Array) -> None:
    shape = kidney.shape()
    canvas.paint(Grown(Superellipsoid(kidney.center, kidney.radii, 2.2), 10.0), _FAT, 0, edge=8.0)
    canvas.paint(shape, tissue["cortex"] + 6 * fine, LABELS["kidney"])
    lobes = tissue["medulla"] + (tissue["cortex"] - tissue["medulla"]) * np.clip(coarse + fine, 0, 1)
    canvas.paint(Grown(shape, -7.0), lobes.astype(np.float32), edge=3.0)
    canvas.paint(Cut(Grown(shape, -14.0), ball((0, 0, 0), 1.0)), 25.0 + 5 * fine, edge=5.0)
    growth = kidney.growth()
    if growth is not None:
        value = tissue["tumor"] + 14 * fine + 10 * coarse
        canvas.paint(growth, value.astype(np.float32), LABELS["tumor"])
        if growth.radii[0] > 16:
            canvas.paint(Grown(growth, -growth.radii[0] * 0.5), 22.0 + 10 * fine, edge=8.0)


def _with_mask(
    truth: Array,
    labels: NDArray[Any],
    spacing: tuple[float, float, float],
    tissue: dict[str, float],
    textures: tuple[Array, Array],
) -> Array:
    """Kidneys and tumors of a mask in HU, in fat, with edges softened by half a voxel."""
    from scipy.ndimage import binary_dilation, distance_transform_edt, find_objects, gaussian_filter

    fine, coarse = textures
    kept: list[slice] = []
    for side, size, mm in zip(find_objects((labels > 0).astype(np.uint8))[0], labels.shape, spacing, strict=True):
        margin = int(np.ceil(14 / mm)) + 1
        kept.append(slice(max(0, side.start - margin), min(size, side.stop + margin)))
    box = tuple(kept)
    organ, tumor = labels[box] > 0, labels[box] == 2
    depth = distance_transform_edt(organ, sampling=spacing).astype(np.float32)
    cortex = np.clip((9 - depth) / 3, 0, 1) + np.clip(coarse[box] + fine[box], 0, 1) * 0.5
    inside = tissue["medulla"] + (tissue["cortex"] - tissue["medulla"]) * np.clip(cortex, 0, 1) + 6 * fine[box]
    core = distance_transform_edt(tumor, sampling=spacing).astype(np.float32)
    mass = tissue["tumor"] + 14 * fine[box] + 10 * coarse[box] - 45 * np.clip((core - 9) / 6, 0, 1)
    steps = int(np.clip(round(8 / float(np.median(spacing))), 1, 4))
    here = truth[box]
    here[binary_dilation(organ, iterations=steps) & (here > -300)] = _FAT
    soft = np.clip(gaussian_filter(organ.astype(np.float32), 0.5), 0, 1)
    here += np.maximum(soft, organ * 0.6) * (np.where(tumor, mass, inside) - here)
    return truth
