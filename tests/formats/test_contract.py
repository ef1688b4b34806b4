"""What every volume format must keep: geometry to 1e-4 mm, every voxel, its type; nibabel and SimpleITK are judges."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume, write_dicom_series, write_volume
from voxloom.volume import Volume, grid_distance

LOSSLESS = (".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".nhdr")
EXACT_MM = 1e-4
#: 32-bit quaternions near half a turn are known to no more than 6e-4 radians, whoever writes or reads them.
QFORM_MM = 0.1
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
FEW = settings(max_examples=25, deadline=None)


@st.composite
def affines(draw: Any) -> NDArray[np.float64]:
    """Any rotation, both hands, voxels of 0.2 to 8 mm, up to half a meter from the origin."""
    x, y, z = (draw(st.floats(-math.pi, math.pi)) for _ in range(3))
    cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
    turn = (
        np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    )
    sizes = [draw(st.floats(0.2, 8.0)) * draw(st.sampled_from([1, -1])) for _ in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn * sizes
    affine[:3, 3] = [draw(st.floats(-500, 500)) for _ in range(3)]
    return affine


def filled(affine: NDArray[np.float64], dtype: str = "int16", channels: int = 1) -> Volume:
    data = np.random.default_rng(0).integers(0, 100, (channels, 4, 5, 6)).astype(dtype)
    return Volume(data, affine)


def itk_affine(image: Any) -> NDArray[np.float64]:
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return FLIP @ lps


@pytest.mark.parametrize("ending", LOSSLESS)
@given(affine=affines())
@FEW
def test_geometry_round_trip(ending: str, affine: NDArray[np.float64]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(filled(affine), Path(folder) / f"a{ending}")
        again, header = read_volume(path), read_header(path)
        judge = sitk.ReadImage(str(path))
    assert grid_distance(again.affine, affine, (4, 5, 6)) < EXACT_MM
    assert grid_distance(header.affine, affine, (4, 5, 6)) < EXACT_MM
    assert grid_distance(itk_affine(judge), affine, (4, 5, 6)) < (QFORM_MM if "nii" in ending else EXACT_MM)
    assert (sitk.GetArrayFromImage(judge).transpose(2, 1, 0) == filled(affine).data[0]).all()
    assert (again.data == filled(affine).data).all()


@given(affine=affines())
@FEW
def test_nibabel_reads_our_nifti(affine: NDArray[np.float64]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write_volume(filled(affine), Path(folder) / "a.nii.gz")
        image = nibabel.load(path)
        assert (np.asanyarray(image.dataobj) == filled(affine).data[0]).all()
    assert grid_distance(image.get_sform(), affine, (4, 5, 6)) < EXACT_MM
    assert grid_distance(image.get_qform(), affine, (4, 5, 6)) < QFORM_MM
    assert image.header["sform_code"] == image.header["qform_code"] == 1
    assert image.header.get_xyzt_units()[0] == "mm"


@given(affine=affines(), use_qform=st.booleans())
@FEW
def test_we_read_nibabels_nifti(affine: NDArray[np.float64], use_qform: bool) -> None:
    image = nibabel.Nifti1Image(filled(affine).data[0], affine)
    image.set_qform(affine, code=1 if use_qform else 0)
    image.set_sform(affine, code=0 if use_qform else 2)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.nii"
        nibabel.save(image, path)
        again = read_volume(path)
        expected = nibabel.load(path).affine
    assert grid_distance(again.affine, expected, (4, 5, 6)) < (QFORM_MM if use_qform else EXACT_MM)
    assert again.meta["geometry_from"] == ("qform" if use_qform else "sform")


@pytest.mark.parametrize("ending", [".mha", ".nrrd", ".nii.gz"])
@given(affine=affines())
@FEW
def test_we_read_simpleitks_files(ending: str, affine: NDArray[np.float64]) -> None:
    lps = FLIP @ affine
    image = sitk.GetImageFromArray(np.ascontiguousarray(filled(affine).data[0].T))
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    with tempfile.TemporaryDirectory() as folder:
        sitk.WriteImage(image, f"{folder}/a{ending}")
        again = read_volume(f"{folder}/a{ending}")
    assert grid_distance(again.affine, affine, (4, 5, 6)) < EXACT_MM
    assert (again.data == filled(affine).data).all()


@given(affine=affines())
@settings(max_examples=12, deadline=None)
def test_dicom_round_trip(affine: NDArray[np.float64]) -> None:
    volume = filled(affine)
    with tempfile.TemporaryDirectory() as folder:
        files = write_dicom_series(volume, Path(folder) / "s")
        again = read_volume(Path(folder) / "s")
        judge = sitk.ReadImage([str(f) for f in files])
    flipped = np.linalg.det(affine[:3, :3]) < 0
    expected, data = affine, volume.data
    if flipped:
        expected = affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 5], [0, 0, 0, 1.0]])
        data = data[..., ::-1]
    assert grid_distance(again.affine, expected, (4, 5, 6)) < EXACT_MM
    assert (again.data == data).all()
    assert (sitk.GetArrayFromImage(judge).transpose(2, 1, 0) == volume.data[0]).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"])
@pytest.mark.parametrize("ending", LOSSLESS)
def test_type_is_kept(ending: str, dtype: str, channels: int, tmp_path: Path) -> None:
    volume = filled(np.diag([2.0, 3.0, 4.0, 1.0]), dtype, channels)
    path = write_volume(volume, tmp_path / f"a{ending}")
    again, header = read_volume(path), read_header(path)
    assert again.data.dtype == volume.data.dtype
    assert header.dtype == dtype
    assert header.channels == channels
    assert header.shape == volume.shape
    assert (again.data == volume.data).all()


@pytest.mark.parametrize("ending", LOSSLESS)
@pytest.mark.parametrize(("dtype", "stored"), [("bool", "uint8"), ("float16", "float32")])
def test_type_without_a_code(ending: str, dtype: str, stored: str, tmp_path: Path) -> None:
    volume = filled(np.eye(4), dtype)
    again = read_volume(write_volume(volume, tmp_path / f"a{ending}"))
    assert again.data.dtype == stored
    assert (again.data == volume.data).all()


@pytest.mark.parametrize("ending", LOSSLESS)
def test_sheared_axes(ending: str, tmp_path: Path) -> None:
    affine = np.array([[1.0, 0.3, 0, 5], [0, 2, 0.4, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    again = read_volume(write_volume(filled(affine), tmp_path / f"a{ending}"))
    assert grid_distance(again.affine, affine, (4, 5, 6)) < EXACT_MM


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_numbers_that_are_none(ending: str, value: float, tmp_path: Path) -> None:
    volume = filled(np.eye(4), "float32")
    volume.data[0, 1, 2, 3] = value
    path = write_volume(volume, tmp_path / f"a{ending}")
    with pytest.raises(BadInput, match=r"holds 1 (NaN|infinite) of 120 values"):
        read_volume(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".png", ".tif"])
def test_refuses_an_empty_file(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{ending}"
    path.touch()
    for read in (read_volume, read_header):
        with pytest.raises(BadInput, match="the file is empty"):
            read(path)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz", ".mha", ".nrrd", ".png", ".tif"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_refuses_a_cut_file(ending: str, share: float, tmp_path: Path) -> None:
    shape = (1, 30, 30, 1) if ending in (".png", ".tif") else (1, 30, 30, 30)
    noise = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    path = write_volume(Volume(noise, np.eye(4)), tmp_path / f"a{ending}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(BadInput):
        read_volume(path)


@pytest.mark.parametrize("ending", LOSSLESS)
def test_a_missing_file_is_named(ending: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=rf"absent{ending}: there is no such file"):
        read_volume(tmp_path / f"absent{ending}")


@pytest.mark.parametrize("ending", LOSSLESS)
def test_nothing_but_the_file_is_left(ending: str, tmp_path: Path) -> None:
    write_volume(filled(np.eye(4)), tmp_path / "deep" / f"a{ending}")
    left = sorted(p.name for p in (tmp_path / "deep").iterdir())
    parts = {".mhd": ["a.mhd", "a.zraw"], ".nhdr": ["a.nhdr", "a.raw.gz"]}
    assert left == parts.get(ending, [f"a{ending}"])
