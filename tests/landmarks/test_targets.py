"""Targets are true in millimetres on every grid, and no mark is lost between voxels."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.landmarks import paint, paint_target

OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0] @ np.diag([0.9, 1.3, 4.0])
OBLIQUE[:3, 3] = (5, -7, 11)


def brute_force(affine, shape, mark):  # type: ignore[no-untyped-def]
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return grid, grid @ affine[:3, :3].T + affine[:3, 3] - mark


@pytest.mark.parametrize("affine", [np.diag([0.7, 0.7, 4.0, 1.0]), OBLIQUE])
def test_discs_balls_and_heat_maps_against_brute_force(affine: np.ndarray) -> None:
    shape = (40, 36, 9)
    mark = (affine @ np.array([18.3, 17.6, 4.3, 1.0]))[:3]
    grid, offset = brute_force(affine, shape, mark)
    distance = np.linalg.norm(offset, axis=-1)
    ball = paint([tuple(mark)], shape, affine, kind="ball", radius=7.0)
    assert ((distance <= 7.0) == (ball == 1)).all()
    heat = paint([tuple(mark)], shape, affine, kind="gaussian", radius=3.0)
    np.testing.assert_allclose(heat, np.where(distance <= 12, np.exp(-(distance**2) / 18), 0), atol=1e-6)
    disc = paint([tuple(mark)], shape, affine, kind="disc", radius=7.0)
    flat = (grid - [18.3, 17.6, 0])[..., :2] @ affine[:3, :2].T
    inside = (np.linalg.norm(flat, axis=-1) <= 7.0) & (grid[..., 2] == 4)
    assert (inside == (disc == 1)).all()
    area = disc.sum() * np.linalg.norm(np.cross(affine[:3, 0], affine[:3, 1]))
    assert area == pytest.approx(np.pi * 49, rel=0.06)


@pytest.mark.parametrize("kind", ["disc", "ball"])
def test_a_mark_smaller_than_a_voxel_is_painted(kind: str) -> None:
    affine = np.diag([5.0, 5.0, 8.0, 1.0])
    target = paint([(12.0, 8.0, 20.0)], (6, 6, 6), affine, kind=kind, radius=0.5)  # type: ignore[arg-type]
    assert target.sum() == 1
    assert target[2, 2, 2] == 1  # the nearest voxel to (2.4, 1.6, 2.5)


def test_marks_outside_paint_only_what_reaches_in() -> None:
    affine = np.eye(4)
    assert paint([(-50.0, 0, 0)], (8, 8, 8), affine, kind="ball", radius=4).sum() == 0
    edge = paint([(-2.0, 4, 4)], (8, 8, 8), affine, kind="ball", radius=4)
    assert edge[2].any()
    assert not edge[3:].any()


def test_each_map_has_its_own_marks_and_meeting_heat_maps_keep_the_larger() -> None:
    affine = np.eye(4)
    maps = paint_target([[(4, 4, 4), (4, 4, 6)], []], (9, 9, 9), affine, kind="gaussian", radius=2.0)
    assert maps.shape == (2, 9, 9, 9)
    assert maps[0].max() == 1
    assert maps[0, 4, 4, 5] == pytest.approx(np.exp(-1 / 8))
    assert not maps[1].any()
