"""Volumes and DICOM series that the tests of the formats share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.formats import write_dicom_series
from voxloom.volume import Volume

Edit = Callable[[int, Any], None]


@pytest.fixture
def volume() -> Volume:
    """A small oblique right-handed int16 volume with every voxel different."""
    data = np.arange(5 * 6 * 7, dtype=np.int16).reshape(1, 5, 6, 7)
    axes = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    if np.linalg.det(axes) < 0:
        axes[:, 2] *= -1
    affine = np.eye(4)
    affine[:3, :3] = axes * [0.9, 1.1, 2.5]
    affine[:3, 3] = [31.25, -87.5, 12.0]
    return Volume(data, affine)


@pytest.fixture
def upright() -> Volume:
    """Six axial slices of 4 x 5 pixels, 2.5 mm apart, LPS."""
    data = np.arange(4 * 5 * 6, dtype=np.int16).reshape(1, 4, 5, 6)
    return Volume(data, np.diag([-1.5, -1.5, 2.5, 1.0]))


@pytest.fixture
def series(tmp_path: Path, upright: Volume) -> Callable[..., Path]:
    """Write ``upright`` as a series and let ``edit(k, dataset)`` change every slice."""

    def make(edit: Edit | None = None, name: str = "series", **template: Any) -> Path:
        import pydicom

        for k, path in enumerate(write_dicom_series(upright, tmp_path / name, template=template)):
            if edit is not None:
                dataset = pydicom.dcmread(path)
                edit(k, dataset)
                dataset.save_as(path)
        return tmp_path / name

    return make
