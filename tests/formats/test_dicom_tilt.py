"""A tilted series resampled: the patient stays where he was. Linear interpolation must keep a linear field exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_dicom_series
from voxloom.volume import Volume

FLIP = np.array([-1.0, -1.0, 1.0])
HEIGHTS = {"equal": np.arange(12) * 2.5, "unequal": np.cumsum([0, *[4.0] * 6, 1.1, *[7.0] * 4])}


def tilted_field(folder: Path, degrees: float, heights: Any, shape: tuple[int, int] = (16, 20)) -> Path:
    """Slices that lean by ``degrees`` and move straight along z; their values grow linearly in LPS: 2x - 3y + 5z."""
    n = len(heights)
    volume = Volume(np.zeros((1, *shape, n), np.int16), np.diag([-1.5, -1.5, 2.5, 1]))
    angle = np.radians(degrees)
    column = np.array([0, np.cos(angle), np.sin(angle)])
    i, j = np.meshgrid(np.arange(shape[0]) * 1.5, np.arange(shape[1]) * 1.5, indexing="ij")
    for height, path in zip(heights, write_dicom_series(volume, folder), strict=True):
        slice_ = pydicom.dcmread(path)
        slice_.ImagePositionPatient = [10, -20, height]
        slice_.ImageOrientationPatient = [1, 0, 0, *(f"{c:.12f}" for c in column)]
        points = np.array([10, -20, height]) + i[..., None] * [1, 0, 0] + j[..., None] * column
        values = np.rint((points @ [2, -3, 5]) * 50)
        slice_.PixelData = values.T.astype("<i2").tobytes()
        slice_.RescaleSlope, slice_.RescaleIntercept = 0.02, 0
        slice_.save_as(path)
    return folder


@pytest.mark.parametrize("kind", ["equal", "unequal"])
@pytest.mark.parametrize("degrees", [-18.5, 0.0, 12.0])
def test_linear_field_is_kept(degrees: float, kind: str, tmp_path: Path) -> None:
    folder = tilted_field(tmp_path / "s", degrees, HEIGHTS[kind])
    v = read_volume(folder, resample_tilt=True)
    axes = v.affine[:3, :3] / v.spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert v.spacing[:2] == pytest.approx((1.5, 1.5))
    assert v.spacing[2] == pytest.approx(np.diff(HEIGHTS[kind]).min() * np.cos(np.radians(degrees)), rel=1e-4)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in v.shape), indexing="ij"), axis=-1)
    points = (index @ v.affine[:3, :3].T + v.affine[:3, 3]) * FLIP
    expected = points @ [2, -3, 5]
    inside = v.data[0] > v.data.min() + 0.01
    inner = np.logical_and.reduce([np.roll(inside, n, 1) for n in range(-3, 4)])
    inner[:, :3] = inner[:, -3:] = False
    assert inner.mean() > 0.2
    np.testing.assert_allclose(v.data[0][inner], expected[inner], atol=0.1)


def test_an_upright_series_is_not_touched(series: Callable[..., Path], upright: Volume) -> None:
    v = read_volume(series(), resample_tilt=True)
    assert (v.data == upright.data).all()
    assert "geometry_note" not in v.meta


def test_missing_slices_stay_refused(tmp_path: Path) -> None:
    folder = tilted_field(tmp_path / "s", 12, HEIGHTS["equal"])
    (folder / "0005.dcm").unlink()
    with pytest.raises(BadInput, match="1 slice is missing"):
        read_volume(folder, resample_tilt=True)


def test_integers_stay_integers(series: Callable[..., Path]) -> None:
    def lean(k: int, slice_: Any) -> None:
        slice_.ImagePositionPatient = [0, 0.9 * k, 2.5 * k]

    v = read_volume(series(lean), resample_tilt=True)
    assert v.data.dtype == np.int16
    assert v.shape == (4, 8, 6)
    assert "tilted by 19.8 degrees" in v.meta["geometry_note"]
