"""Alignment: against SciPy on the same grids, refused without a common frame, registered on request."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from voxloom.archive.align import align
from voxloom.errors import BadInput
from voxloom.volume import Volume


def blobs(shape: tuple[int, int, int], affine: np.ndarray, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    """Smooth structure fixed in RAS mm, moved by ``shift`` mm."""
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    points = grid @ affine[:3, :3].T + affine[:3, 3] - shift
    value = np.zeros(shape)
    for center, width, height in (
        ((20, 22, 18), 7, 900),
        ((34, 30, 30), 5, 600),
        ((15, 38, 33), 6, 400),
        ((30, 12, 40), 4, 700),
    ):
        value += height * np.exp(-((points - center) ** 2).sum(-1) / (2 * width**2))
    return value


def volume(data: np.ndarray, affine: np.ndarray, frame: str | None = "1.2") -> Volume:
    meta = {} if frame is None else {"frame_of_reference_uid": frame}
    return Volume(data[None], affine, meta)


def oblique() -> np.ndarray:
    turn = np.array([[0.96, -0.28, 0], [0.28, 0.96, 0], [0, 0, 1.0]])
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = turn * [1.5, 1.2, 3.0], [4, -3, 2]
    return affine


@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_resampling_agrees_with_scipy(dtype: str) -> None:
    moving = volume(gaussian_filter(np.random.default_rng(0).normal(0, 500, (20, 22, 12)), 1).astype(dtype), oblique())
    reference = volume(np.zeros((24, 24, 24), "int16"), np.diag([1.0, 1.1, 1.3, 1]))
    placed = align(moving, reference)
    grid = np.stack(np.meshgrid(*(np.arange(24),) * 3, indexing="ij"), -1)
    points = np.c_[grid.reshape(-1, 3) * [1.0, 1.1, 1.3], np.ones(24**3)]
    index = (np.linalg.inv(moving.affine) @ points.T)[:3]
    wanted = map_coordinates(moving.data[0].astype(float), index, order=1, mode="nearest").reshape((24,) * 3)
    inside = ((index >= 0) & (index <= np.array([[19], [21], [11]]))).all(0).reshape((24,) * 3)
    assert inside.sum() > 1000
    assert placed.data.dtype == dtype
    assert np.abs(placed.data[0][inside] - wanted[inside]).max() < (0.51 if dtype == "int16" else 0.05)
    assert placed.same_grid(reference)


def test_same_grid_is_left_as_it_is() -> None:
    one = volume(np.arange(60, dtype=np.int16).reshape(3, 4, 5), oblique())
    placed = align(one, volume(np.zeros((3, 4, 5)), oblique()))
    assert placed.data is one.data
    assert placed.meta["alignment"] == "same grid"


@pytest.mark.parametrize("frame", ["9.9", None])
def test_another_frame_of_reference_is_refused(frame: str | None) -> None:
    reference = volume(np.ones((4, 4, 4)), np.eye(4))
    with pytest.raises(BadInput, match=r"frames? of reference.*--register rigid"):
        align(volume(np.ones((4, 4, 4)), np.eye(4), frame), reference)


def test_no_overlap_is_refused() -> None:
    far = np.eye(4)
    far[:3, 3] = 500
    with pytest.raises(BadInput, match="do not overlap"):
        align(volume(np.ones((4, 4, 4)), far), volume(np.ones((4, 4, 4)), np.eye(4)))


def test_rigid_registration_finds_a_shift() -> None:
    grid, shift = np.diag([1.5, 1.5, 1.5, 1.0]), (3.0, -2.0, 4.0)
    reference = volume(blobs((32, 32, 32), grid), grid)
    moving = volume(1000 - blobs((32, 32, 32), grid, shift), grid, "9.9")
    placed = align(moving, reference, register="rigid")
    inner = (slice(6, -6),) * 3
    wanted = 1000 - reference.data[0]
    before = np.abs(moving.data[0][inner] - wanted[inner]).mean()
    after = np.abs(placed.data[0][inner] - wanted[inner]).mean()
    assert after < 0.15 * before
    assert np.array_equal(placed.data, align(moving, reference, register="rigid").data), "it repeats"
