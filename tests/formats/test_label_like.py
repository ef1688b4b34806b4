"""Integers that are not a label map: images, and masks that were interpolated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from voxloom.errors import BadInput
from voxloom.formats import read_label, read_marks, write_volume
from voxloom.volume import Volume


def disk(size: int = 64) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return (((x - 30) ** 2 + (y - 33) ** 2) < 250).astype(np.uint8)


def test_an_interpolated_mask_is_refused(tmp_path: Path) -> None:
    soft = Image.fromarray(disk() * 255).resize((48, 48), Image.BILINEAR).resize((64, 64), Image.BILINEAR)
    soft.save(tmp_path / "a.png")
    with pytest.raises(BadInput, match=r"is not a label map: it holds \d+ values .*as after interpolation.*nearest"):
        read_label(tmp_path / "a.png")
    hard = Image.fromarray(disk() * 255).resize((48, 48), Image.NEAREST)
    hard.save(tmp_path / "b.png")
    assert set(np.unique(read_label(tmp_path / "b.png").data)) == {0, 255}


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_an_image_is_refused(dtype: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    scan = ndimage.gaussian_filter(random.normal(size=(20, 20, 20)), 1) * 300 + 120
    scan = np.clip(scan, 0, 255) if dtype == "uint8" else scan * (1 if dtype == "int16" else 100000)
    path = write_volume(Volume(scan.astype(dtype)[None], np.eye(4)), tmp_path / "a.nii.gz")
    with pytest.raises(BadInput, match="as in an image"):
        read_label(path)


@pytest.mark.parametrize("count", [12, 120, 2000])
def test_many_labels_are_no_image(count: int, tmp_path: Path) -> None:
    """Cells around random seeds, some of few voxels, as in parcellations and counts of nuclei."""
    random = np.random.default_rng(count)
    seeds = random.choice(32**3, count, replace=False)
    field = np.zeros(32**3, np.int32)
    field[seeds] = np.arange(1, count + 1) * 7
    field = field.reshape(32, 32, 32)
    nearest = ndimage.distance_transform_edt(field == 0, return_distances=False, return_indices=True)
    labels = field[tuple(nearest)]
    labels[:8] = 0
    path = write_volume(Volume(labels[None], np.eye(4)), tmp_path / "a.nii.gz")
    assert (read_label(path).data[0] == labels).all()


def test_points_are_marks(tmp_path: Path) -> None:
    marks = np.zeros((1, 16, 16, 16), np.uint8)
    marks[0, 1::3, 2, 2] = np.arange(1, 6)
    marks[0, 2, 1::2, 9] = np.arange(20, 28)
    path = write_volume(Volume(marks, np.eye(4)), tmp_path / "a.nii.gz")
    assert (read_label(path).data == marks).all()
    marks[0, :, :, 12] = np.arange(256).reshape(16, 16)
    path = write_volume(Volume(marks, np.eye(4)), tmp_path / "b.nii.gz")
    assert (read_marks(path).data == marks).all()
