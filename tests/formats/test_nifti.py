"""NIfTI's own fields: sform and qform, units, scale, versions, byte orders, dimensions, and headers that lie."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_channels, read_header, read_label, read_volume, write_volume
from voxloom.volume import Volume

DATA = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.array([[-2.0, 0, 0, 10], [0, 0, 3, 20], [0, 4, 0, 30], [0, 0, 0, 1]])


def save(path: Path, data: Any = DATA, edit: dict[str, Any] | None = None, kind: Any = nibabel.Nifti1Image) -> Path:
    image = kind(data, AFFINE)
    for key, value in (edit or {}).items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def patch(path: Path, offset: int, layout: str, *values: Any) -> Path:
    """Overwrite header bytes of an uncompressed file."""
    content = bytearray(path.read_bytes())
    struct.pack_into(layout, content, offset, *values)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_both_versions(kind: Any, tmp_path: Path) -> None:
    v = read_volume(save(tmp_path / "a.nii", kind=kind))
    assert (v.data[0] == DATA).all()
    np.testing.assert_allclose(v.affine, AFFINE)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_big_endian(kind: Any, tmp_path: Path) -> None:
    image = kind(DATA, AFFINE).header.as_byteswapped(">")
    big = kind(DATA, AFFINE, header=image)
    nibabel.save(big, tmp_path / "a.nii")
    v = read_volume(tmp_path / "a.nii")
    assert v.data.dtype == np.int16
    assert v.data.dtype.isnative
    assert (v.data[0] == DATA).all()
    np.testing.assert_allclose(v.affine, AFFINE)


def test_sform_wins_and_a_conflict_is_noted(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(DATA, AFFINE)
    other = AFFINE.copy()
    other[0, 3] += 7
    image.set_qform(other, code=1)
    image.set_sform(AFFINE, code=1)
    nibabel.save(image, tmp_path / "a.nii")
    v = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(v.affine, AFFINE)
    assert "differ by 7.0 mm" in v.meta["geometry_note"]


def test_without_any_form_voxel_sizes_remain(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(DATA, AFFINE)
    image.set_qform(None, code=0)
    image.set_sform(None, code=0)
    image.header["pixdim"][1:4] = [2, 4, 3]
    nibabel.save(image, tmp_path / "a.nii")
    patch(tmp_path / "a.nii", 252, "<hh", 0, 0)
    v = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(v.affine, np.diag([2, 4, 3, 1]))
    assert "orientation is not" in v.meta["geometry_note"]


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001)])
def test_units(units: int, factor: float, tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii"), 123, "<B", units)
    np.testing.assert_allclose(read_volume(path).affine[:3], AFFINE[:3] * factor)


@pytest.mark.parametrize(
    ("slope", "intercept", "dtype"),
    [(0, 0, "int16"), (1, 0, "int16"), (2, -1024, "int16"), (5000, 0, "int32"), (0.5, 1, "float32")],
)
def test_scale_keeps_integers_where_exact(slope: float, intercept: float, dtype: str, tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii"), 112, "<2f", slope, intercept)
    v = read_volume(path)
    assert v.data.dtype == dtype
    assert (v.data[0] == DATA.astype(float) * (slope or 1.0) + intercept).all()
    assert (v.data[0] == np.asanyarray(nibabel.load(path).dataobj)).all()


def test_rgb_and_vectors_are_channels(tmp_path: Path) -> None:
    colors = np.zeros((2, 3, 4), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    colors["G"] = DATA
    v = read_volume(save(tmp_path / "rgb.nii", colors))
    assert v.data.shape == (3, 2, 3, 4)
    assert (v.data[1] == DATA).all()
    vectors = np.stack([DATA, DATA + 1], axis=-1)[:, :, :, None]
    v = read_volume(save(tmp_path / "vector.nii", vectors))
    assert (v.data[1] == DATA + 1).all()


def test_written_vectors_in_nibabel(tmp_path: Path) -> None:
    path = write_volume(Volume(np.stack([DATA, DATA + 1]), AFFINE), tmp_path / "a.nii.gz")
    image = nibabel.load(path)
    assert image.shape == (2, 3, 4, 1, 2)
    assert image.header["intent_code"] == 1007
    assert (np.asanyarray(image.dataobj)[:, :, :, 0, 1] == DATA + 1).all()


def test_4d_is_refused_but_can_be_channels(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz", np.stack([DATA, DATA + 1, DATA + 2], axis=-1))
    with pytest.raises(BadInput, match=r"is 4D \(2 x 3 x 4 x 3: 3 time frames\), 3D is needed"):
        read_volume(path)
    assert read_header(path).channels == 3
    assert (read_channels(path).data[2] == DATA + 2).all()


def test_2d_and_single_frame_4d(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "a.nii", DATA[:, :, 0])).shape == (2, 3, 1)
    assert read_volume(save(tmp_path / "b.nii", DATA[..., None])).shape == (2, 3, 4)


def test_sheared_axes_have_no_qform(tmp_path: Path) -> None:
    affine = AFFINE.copy()
    affine[0, 1] = 1.5
    header = nibabel.load(write_volume(Volume(DATA[None], affine), tmp_path / "a.nii")).header
    assert header["qform_code"] == 0
    np.testing.assert_allclose(header.get_sform(), affine)


def test_64_bit_labels_shrink_where_they_fit(tmp_path: Path) -> None:
    small = Volume(DATA[None].astype(np.int64), AFFINE)
    assert read_volume(write_volume(small, tmp_path / "a.nii")).data.dtype == np.int32
    large = Volume(DATA[None].astype(np.int64) + 2**40, AFFINE)
    assert (read_volume(write_volume(large, tmp_path / "b.nii")).data == large.data).all()


def test_gzip_of_several_members_and_under_a_wrong_name(tmp_path: Path) -> None:
    content = save(tmp_path / "a.nii").read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content[:200]) + gzip.compress(content[200:]))
    (tmp_path / "c.nii").write_bytes(gzip.compress(content))
    (tmp_path / "d.nii.gz").write_bytes(content)
    for name in ("b.nii.gz", "c.nii", "d.nii.gz"):
        assert (read_volume(tmp_path / name).data[0] == DATA).all()


def test_voxels_can_be_written_to(tmp_path: Path) -> None:
    assert read_volume(save(tmp_path / "a.nii.gz")).data.flags.writeable


def test_singular_affine_is_refused(tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii"), 280, "<4f", 0, 0, 0, 0)
    with pytest.raises(BadInput, match="a voxel size of 0 along axis 1 \(sform\)"):
        read_volume(path)
    path = patch(path, 280, "<4f", np.nan, 0, 0, 0)
    with pytest.raises(BadInput, match="not a finite 4x4 matrix"):
        read_header(path)


def test_half_copied_file_says_how_much_is_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii")
    path.write_bytes(path.read_bytes()[:-10])
    for read in (read_volume, read_header):
        with pytest.raises(BadInput, match=r"promises 48 bytes of voxels, the file holds 38\. .*copied by half"):
            read(path)


def test_cut_and_damaged_gzip(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 3000, (20, 20, 20)).astype(np.int16)
    path = save(tmp_path / "a.nii.gz", noise)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match="the gzip data ends too early"):
        read_volume(path)
    path.write_bytes(content[:-4])
    with pytest.raises(BadInput, match="the gzip data ends too early"):
        read_volume(path)
    path.write_bytes(content[:-8] + b"\0\0\0\0" + content[-4:])
    with pytest.raises(BadInput, match="the gzip data is damaged"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_absurd_size_is_refused_before_memory_is_taken(name: str, tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii"), 42, "<3h", 30000, 30000, 30000)
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(BadInput, match=r"promises 54,000,000,000,000 bytes of voxels"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "reason"),
    [
        (0, "<i", 349, "is not a NIfTI file"),
        (40, "<h", 9, "gives 9 dimensions"),
        (42, "<h", -5, "the impossible size -5 x 3 x 4"),
        (70, "<h", 32, "holds complex voxels"),
        (70, "<h", 7777, "the voxel type 7777 is unknown"),
        (108, "<f", np.nan, "the voxels begin at byte -1"),
    ],
)
def test_headers_that_lie(offset: int, layout: str, value: float, reason: str, tmp_path: Path) -> None:
    path = patch(save(tmp_path / "a.nii"), offset, layout, value)
    with pytest.raises(BadInput, match=reason):
        read_volume(path)


def test_labels_stored_as_float(tmp_path: Path) -> None:
    v = read_label(save(tmp_path / "a.nii", DATA.astype(np.float32)))
    assert v.data.dtype == np.uint8
    assert (v.data[0] == DATA).all()
    with pytest.raises(BadInput, match=r"12 voxels are not whole numbers \(such as 0.5, 1.5, 2.5\)"):
        read_label(save(tmp_path / "b.nii", DATA.astype(np.float32) / 2))


def test_label_of_several_channels_is_refused(tmp_path: Path) -> None:
    path = write_volume(Volume(np.stack([DATA, DATA]), AFFINE), tmp_path / "a.nii")
    with pytest.raises(BadInput, match="has 2 channels, a label map has one"):
        read_label(path)
