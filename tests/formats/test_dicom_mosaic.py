"""Siemens mosaics: unpacked by the CSA header, refused without it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume, write_dicom_series
from voxloom.volume import Volume

SHAPE, SPACING = (6, 5, 7), (2.0, 3.0, 4.5)


def csa(**tags: Sequence[Any]) -> bytes:
    """A CSA header of the second kind (SV10) with text items."""
    made = b"SV10\4\3\2\1" + struct.pack("<2I", len(tags), 77)
    for name, values in tags.items():
        vr = b"IS" if name.startswith("Number") else b"FD"
        made += struct.pack("<64si4s3i", name.encode(), len(values), vr, 0, len(values), 77)
        for value in values:
            text = f"{value}".encode() + b"\0"
            made += struct.pack("<4i", len(text), len(text), 77, len(text)) + text + bytes(-len(text) % 4)
    return made


def volume_of(turned: bool = False) -> Volume:
    """A volume with every voxel different, oblique when ``turned``."""
    data = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(1, *SHAPE) + 1
    axes = np.diag([-1.0, -1.0, 1.0])
    if turned:
        axes = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
        axes[:, 2] *= np.sign(np.linalg.det(axes))
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes * SPACING, [11.0, -7.0, 40.0]
    return Volume(data, affine)


def mosaic(volume: Volume, path: Path, *, downward: bool = False, header: bool = True, **change: Any) -> Path:
    """The slices of ``volume`` in one picture of 3 x 3 tiles, as a scanner of Siemens writes it."""
    files = write_dicom_series(volume, path.parent / f"{path.stem} slices")
    order = list(range(SHAPE[2]))[:: -1 if downward else 1]
    slices = [pydicom.dcmread(files[k]) for k in order]
    one = slices[0]
    columns, rows = SHAPE[:2]
    picture = np.zeros((3 * rows, 3 * columns), np.int16)
    for n, slice_ in enumerate(slices):
        row, column = n // 3 * rows, n % 3 * columns
        picture[row : row + rows, column : column + columns] = slice_.pixel_array
    cosines = np.array(one.ImageOrientationPatient, float)
    beside = cosines[:3] * SPACING[0] * columns + cosines[3:] * SPACING[1] * rows  # (3 - 1) / 2 tiles
    one.ImagePositionPatient = list(np.array(one.ImagePositionPatient, float) - beside)
    normal = np.cross(cosines[:3], cosines[3:]) * (-1 if downward else 1)
    one.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    one.Rows, one.Columns, one.PixelData = *picture.shape, picture.tobytes()
    if header:
        block = one.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
        block.add_new(0x10, "OB", csa(NumberOfImagesInMosaic=[SHAPE[2]], SliceNormalVector=list(normal)))
    for keyword, value in change.items():
        setattr(one, keyword, value)
    one.save_as(path)
    return path


@pytest.mark.parametrize("downward", [False, True])
@pytest.mark.parametrize("turned", [False, True])
def test_slices_lie_where_they_were(turned: bool, downward: bool, tmp_path: Path) -> None:
    truth = volume_of(turned)
    path = mosaic(truth, tmp_path / "a.dcm", downward=downward)
    found = read_volume(path)
    np.testing.assert_array_equal(found.data, truth.data)
    np.testing.assert_allclose(found.affine, truth.affine, atol=1e-4)
    assert read_header(path).shape == SHAPE


def test_many_mosaics_are_time_points_of_which_one_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(3):
        path = mosaic(volume_of(), tmp_path / f"{n}.dcm", AcquisitionNumber=n, SeriesInstanceUID="1.2.3")
        path.rename(tmp_path / "in" / path.name)
    with pytest.raises(BadInput, match="is 4D: every position 3 times, with acquisition number 0, 1, 2"):
        read_volume(tmp_path / "in")
    assert read_volume(tmp_path / "in" / "1.dcm").shape == SHAPE


@pytest.mark.parametrize("several", [False, True])
def test_without_its_private_header_a_mosaic_is_refused(several: bool, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for n in range(3 if several else 1):
        path = mosaic(volume_of(), tmp_path / f"{n}.dcm", header=False, AcquisitionNumber=n, SeriesInstanceUID="1.2.3")
        path.rename(tmp_path / "in" / path.name)
    with pytest.raises(BadInput, match="is a Siemens mosaic, many slices in one picture") as caught:
        read_volume(tmp_path / "in")
    assert "Give the files" not in str(caught.value), "a single one would be read as one wrong slice"
    assert "dcm2niix" in str(caught.value)


def test_a_mosaic_that_does_not_fit_its_header_is_refused(tmp_path: Path) -> None:
    path = mosaic(volume_of(), tmp_path / "a.dcm", ImageOrientationPatient=[0, 1, 0, 0, 0, 1])
    with pytest.raises(BadInput, match="not at right angles"):
        read_volume(path)
    path = mosaic(volume_of(), tmp_path / "b.dcm")
    dataset = pydicom.dcmread(path)
    dataset.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value = b"SV10 rubbish"
    dataset.save_as(path)
    with pytest.raises(BadInput, match="is a Siemens mosaic"):
        read_volume(path)
