"""Boxes: zeros, bodies in CT and MR, noise, constants."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.prepare import PrepareSettings, prepare_image
from voxloom.prepare.crop import body_box, nonzero_box, otsu_threshold, whole_box
from voxloom.volume import Volume


def ball(shape: tuple[int, int, int], center: tuple[int, int, int], radius: float) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1)
    return np.linalg.norm(index - center, axis=-1) <= radius


def test_nonzero_box_is_exact_over_channels() -> None:
    data = np.zeros((2, 9, 9, 9))
    data[0, 2, 3, 4] = -1
    data[1, 5, 3, 8] = 2
    assert nonzero_box(data) == ((2, 6), (3, 4), (4, 9))
    assert nonzero_box(np.zeros((1, 4, 5, 6))) == whole_box((4, 5, 6))


@pytest.mark.parametrize(("air", "tissue", "bright", "noise"), [(-1000, 40, 1500, 20), (5, 200, 900, 8)])
def test_body_box_holds_the_body_not_the_table(air: float, tissue: float, bright: float, noise: float) -> None:
    rng = np.random.default_rng(1)
    shape = (120, 100, 40)
    body = ball(shape, (60, 45, 20), 30)
    data = np.where(body, tissue, air) + rng.normal(scale=noise, size=shape)
    data[ball(shape, (60, 45, 20), 8)] = bright
    data[20:100, 93:95, 18:22] = tissue  # a thin table far from the body
    box = body_box(data[None], (1.0, 1.0, 1.0))
    for (start, stop), center, size in zip(box, (60, 45, 20), shape, strict=True):
        low, high = max(0, center - 30), min(size, center + 31)
        assert start <= low
        assert stop >= high
        assert low - start <= 9
        assert stop - high <= 9


def test_constant_volume_is_not_cut() -> None:
    assert body_box(np.full((1, 10, 10, 10), 3.0), (1, 1, 1)) == whole_box((10, 10, 10))


def test_otsu_by_hand() -> None:
    values = np.array([0] * 50 + [10] * 50, np.float32)
    assert 0 < otsu_threshold(values) <= 10


def test_nan_does_not_hide_the_body() -> None:
    data = ball((40, 40, 40), (20, 20, 20), 8).astype(np.float32)[None] * 100
    data[0, 0, 0, 0] = np.nan
    prepared, geometry = prepare_image(Volume(data, np.eye(4)), PrepareSettings(crop="nonzero", normalize="none"))
    assert geometry.shape == (17, 17, 17)
    assert np.isfinite(prepared).all()
