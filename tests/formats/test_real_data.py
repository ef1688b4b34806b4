"""Real scans: geometry and voxels as SimpleITK and nibabel read them, and real faults refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_label, read_volume, write_volume
from voxloom.volume import Volume, grid_distance

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
BRAINS = ["Study1/12-T1post-05670", "Study1/13_HCropVolume", "Study2/32500-dT1-49467", "Study2/14_HCropVolume"]


def gdcm(folder: Path) -> tuple[Any, Any]:
    """Voxels (I, J, K) and RAS affine as GDCM reads the series."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    lps = np.eye(4)
    lps[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return sitk.GetArrayFromImage(image).transpose(2, 1, 0), FLIP @ lps


def check_against_gdcm(folder: Path) -> Volume:
    voxels, affine = gdcm(folder)
    v = read_volume(folder)
    assert grid_distance(v.affine, affine, v.shape) < 0.01
    np.testing.assert_allclose(v.data[0], voxels, rtol=1e-6)
    assert read_header(folder).shape == v.shape
    return v


def test_heads_are_lps(data_dir: Path, tmp_path: Path) -> None:
    path = data_dir / "heads" / "imagesTr" / "head01_0000.nii.gz"
    v = read_volume(path)
    assert v.orientation == "LPS"
    image = nibabel.load(path)
    np.testing.assert_allclose(v.affine, image.affine)
    np.testing.assert_allclose(v.data[0], np.asanyarray(image.dataobj), rtol=1e-6)
    for ending in (".nii.gz", ".mha", ".nrrd"):
        again = read_volume(write_volume(v, tmp_path / f"a{ending}"))
        assert grid_distance(again.affine, v.affine, v.shape) < 1e-4
        assert (again.data == v.data).all()


@pytest.mark.parametrize("folder", BRAINS)
def test_oblique_brains(folder: str, data_dir: Path) -> None:
    v = check_against_gdcm(data_dir / "brain-dicom" / folder)
    assert v.spacing[2] == pytest.approx(1.0 if "HCrop" in folder else 6.5, abs=1e-3)


def test_jpeg_2000_ct(data_dir: Path) -> None:
    v = check_against_gdcm(data_dir / "ct-torso" / "dicom")
    assert v.data.dtype == np.int16
    assert v.data.min() == -1024
    assert v.spacing[2] == pytest.approx(2.0)


def test_field_map_of_one_echo(data_dir: Path) -> None:
    check_against_gdcm(data_dir / "dicom-trio" / "gre_field_mapping_3")


def test_field_map_of_two_echoes_is_refused(data_dir: Path) -> None:
    with pytest.raises(BadInput, match=r"mixes 2 echoes in one series: 4\.92 ms \(18 images\), 7\.38 ms \(18 images\)"):
        read_volume(data_dir / "dicom-trio" / "gre_field_mapping_2")


def test_a_whole_examination_is_refused(data_dir: Path) -> None:
    with pytest.raises(BadInput, match=r"holds 3 series: .*t1_MPRAGEcr_noGRAPPA, 176 files"):
        read_header(data_dir / "dicom-trio")


def test_tilted_head(data_dir: Path) -> None:
    folder = data_dir / "dicom-ct-tilt"
    with pytest.raises(
        BadInput, match=r"tilted by 18\.5 degrees, and its slices are 1\.08, 4, 7 mm apart.*--resample-tilt"
    ):
        read_volume(folder)
    v = read_volume(folder, resample_tilt=True)
    axes = v.affine[:3, :3] / v.spacing
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-6)
    assert v.spacing == pytest.approx((0.488281, 0.488281, 1.0811), abs=1e-4)
    assert v.data.dtype == np.int16
    _check_planes(v, folder)


def _check_planes(v: Volume, folder: Path) -> None:
    """A slice of the source, found again in the new grid by SimpleITK's own interpolation."""
    grid = sitk.GetImageFromArray(v.data[0].T.astype(np.float32))
    lps = FLIP @ v.affine
    grid.SetSpacing(v.spacing)
    grid.SetDirection((lps[:3, :3] / v.spacing).ravel().tolist())
    grid.SetOrigin(lps[:3, 3].tolist())
    source = sitk.ReadImage(str(folder / "08.dcm"), sitk.sitkFloat32)
    found = sitk.GetArrayFromImage(sitk.Resample(grid, source, sitk.Transform(), sitk.sitkLinear, -5000.0))
    inside = found > -4000
    assert inside.mean() > 0.9
    original = sitk.GetArrayFromImage(source)
    assert np.corrcoef(found[inside], original[inside])[0, 1] > 0.98


def test_nine_syntaxes_hold_one_slice(data_dir: Path) -> None:
    slices = [read_volume(data_dir / "dicom-syntaxes" / f"{n}.dcm") for n in range(1, 10)]
    assert slices[0].shape == (64, 64, 35), "a Siemens mosaic of 384 x 384 pixels"
    np.testing.assert_allclose(slices[0].spacing, (3.25, 3.25, 3.6), atol=1e-6)
    planes = slices[0].data[0].reshape(-1, 35).T.astype(float)
    neighbors = [np.corrcoef(a, b)[0, 1] for a, b in pairwise(planes)]
    assert min(neighbors) > 0.75, "slices that follow one another are alike"
    for other in slices[1:]:
        assert (other.data == slices[0].data).all()
        assert other.data.dtype == slices[0].data.dtype
    with pytest.raises(BadInput, match=r"280 slices lie at the position of another, such as 1\.dcm and 2\.dcm"):
        read_volume(data_dir / "dicom-syntaxes")


def test_labels_fit_their_images(data_dir: Path) -> None:
    for name in ("hippocampus_001", "hippocampus_003", "hippocampus_004"):
        image = data_dir / "hippocampus" / "imagesTr" / f"{name}.nii.gz"
        if image.exists():
            label = read_label(data_dir / "hippocampus" / "labelsTr" / f"{name}.nii.gz")
            assert read_volume(image).same_grid(label)
            assert set(np.unique(label.data)) <= {0, 1, 2}
