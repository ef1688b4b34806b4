"""MetaImage and NRRD beyond the contract: detached voxels, 4D, headers that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume, write_volume
from voxloom.volume import Volume

NRRD = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n"
META = b"ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
VOXELS = np.arange(24, dtype="<i2")


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_4d_is_refused(ending: str, tmp_path: Path) -> None:
    series = sitk.JoinSeries([sitk.Image(2, 3, 4, sitk.sitkInt16)] * 5)
    sitk.WriteImage(series, str(tmp_path / f"a{ending}"))
    for read in (read_volume, read_header):
        with pytest.raises(BadInput, match=r"is 4D \(2 x 3 x 4 x 5\), 3D is needed"):
            read(tmp_path / f"a{ending}")


def test_4d_of_one_frame_is_3d(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(VOXELS.astype(np.int16).reshape(4, 3, 2))
    sitk.WriteImage(sitk.JoinSeries([image]), str(tmp_path / "a.mha"))
    v = read_volume(tmp_path / "a.mha")
    assert v.shape == read_header(tmp_path / "a.mha").shape == (2, 3, 4)
    assert (v.data[0] == VOXELS.reshape(4, 3, 2).T).all()


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_2d(ending: str, tmp_path: Path) -> None:
    image = sitk.Image(2, 3, sitk.sitkUInt8)
    image.SetSpacing([0.5, 0.25])
    sitk.WriteImage(image, str(tmp_path / f"a{ending}"))
    v = read_volume(tmp_path / f"a{ending}")
    assert v.shape == read_header(tmp_path / f"a{ending}").shape == (2, 3, 1)
    np.testing.assert_allclose(v.affine, np.diag([-0.5, -0.25, 1, 1]))


def test_hand_written_nrrd_in_three_spaces(tmp_path: Path) -> None:
    geometry = b"space directions: (1,0,0) (0,2,0) (0,0,3)\nspace origin: (10,20,30)\n"
    for space, sign in ((b"left-posterior-superior", -1), (b"right-anterior-superior", 1)):
        (tmp_path / "a.nrrd").write_bytes(NRRD + b"space: " + space + b"\n" + geometry + b"\n" + VOXELS.tobytes())
        v = read_volume(tmp_path / "a.nrrd")
        expected = np.array([[sign, 0, 0, sign * 10], [0, sign * 2, 0, sign * 20], [0, 0, 3, 30], [0, 0, 0, 1]])
        np.testing.assert_allclose(v.affine, expected)
        assert (v.data[0] == VOXELS.reshape(4, 3, 2).T).all()


@pytest.mark.parametrize(("name", "header"), [("a.nrrd", NRRD + b"\n"), ("a.mha", META)])
def test_short_voxels_are_refused(name: str, header: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(header + VOXELS.tobytes())
    assert (read_volume(tmp_path / name).data[0] == VOXELS.reshape(4, 3, 2).T).all()
    (tmp_path / name).write_bytes(header + VOXELS.tobytes()[:-2])
    for read in (read_volume, read_header):
        with pytest.raises(BadInput, match="promises 48 bytes of voxels, the file holds 46"):
            read(tmp_path / name)


@pytest.mark.parametrize(("name", "header"), [("a.nrrd", NRRD + b"\n"), ("a.mha", META)])
def test_absurd_size_is_refused_before_memory_is_taken(name: str, header: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(header.replace(b"2 3 4", b"90000 90000 90000") + VOXELS.tobytes())
    with pytest.raises(BadInput, match="promises 1,458,000,000,000,000 bytes"):
        read_volume(tmp_path / name)


def test_mhd_without_its_voxels(tmp_path: Path) -> None:
    path = write_volume(Volume(VOXELS.reshape(1, 2, 3, 4), np.eye(4)), tmp_path / "a.mhd")
    (tmp_path / "a.zraw").unlink()
    with pytest.raises(BadInput, match=r"its voxels should be in a\.zraw, which is not there"):
        read_volume(path)


def test_singular_directions_are_refused(tmp_path: Path) -> None:
    header = META.replace(b"ElementType", b"TransformMatrix = 1 0 0 1 0 0 0 0 1\nElementType")
    (tmp_path / "a.mha").write_bytes(header + VOXELS.tobytes())
    with pytest.raises(BadInput, match="the affine cannot be inverted"):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_damaged_compressed_voxels_are_refused(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 200, (1, 9, 9, 9)).astype(np.uint8)
    path = write_volume(Volume(noise, np.eye(4)), tmp_path / f"a{ending}")
    content = bytearray(path.read_bytes())
    content[-200] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(BadInput, match="the compressed data is damaged"):
        read_volume(path)


@pytest.mark.parametrize(
    ("name", "content"), [("a.nrrd", b"NRRD0004\ntype: short\n"), ("a.mha", b"ObjectType = Image\n")]
)
def test_damaged_headers(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="header is damaged or cut"):
        read_volume(tmp_path / name)
