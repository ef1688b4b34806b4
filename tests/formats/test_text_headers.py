"""MetaImage and NRRD headers: read as ITK reads them, and refused where ITK would crash."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume

VOXELS = np.arange(24, dtype="<i2").tobytes()
META = {"ObjectType": "Image", "NDims": "3", "DimSize": "2 3 4", "ElementType": "MET_SHORT"}
TURNED = "0.8 0.6 0 -0.6 0.8 0 0 0 1"
NRRD = "NRRD0005\ntype: short\ndimension: 3\nsizes: 2 3 4\nendian: little\nencoding: raw\n"
OBLIQUE = "space directions: (0.8,0.6,0) (-0.6,.8,0) (0,0,3)\nspace origin: (10,20,30)\n"
SPACES = ("left-posterior-superior", "RAS", "left-anterior-superior", "LPS", "scanner-xyz")


def by_itk(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Voxels (C, I, J, K) and RAS affine as SimpleITK gives them."""
    image = sitk.ReadImage(str(path))
    n = image.GetDimension()
    array = sitk.GetArrayFromImage(image)
    channels = np.moveaxis(array, -1, 0) if array.ndim > n else array[None]
    data = channels.transpose(0, *range(n, 0, -1))
    lps = np.eye(4)
    lps[:n, :n] = np.array(image.GetDirection()).reshape(n, n) * np.array(image.GetSpacing())
    lps[:n, 3] = image.GetOrigin()
    return data if n == 3 else data[..., None], np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def same_as_itk(path: Path) -> None:
    volume = read_volume(path)
    data, affine = by_itk(path)
    np.testing.assert_array_equal(volume.data, data)
    assert volume.data.dtype == data.dtype
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    header = read_header(path)
    assert (header.shape, header.channels, header.dtype) == (volume.shape, volume.channels, str(data.dtype))


@pytest.mark.parametrize("ending", [".mha", ".mhd", ".nrrd"])
@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_every_type_as_itk_writes_it(ending: str, kind: str, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for packed, channels, n in itertools.product((False, True), (1, 3), (2, 3)):
        shape = (4, 3, 5)[:n] + ((channels,) if channels > 1 else ())
        image = sitk.GetImageFromArray((random.random(shape) * 100).astype(kind), isVector=channels > 1)
        image.SetDirection(np.linalg.qr(random.normal(size=(n, n)))[0].ravel().tolist())
        image.SetSpacing(random.uniform(0.3, 3, n).tolist())
        image.SetOrigin(random.normal(size=n).tolist())
        sitk.WriteImage(image, str(tmp_path / f"a{ending}"), packed)
        same_as_itk(tmp_path / f"a{ending}")


@pytest.mark.parametrize(
    "more",
    [
        {"ElementSpacing": "1 2 3", "TransformMatrix": TURNED, "Offset": "1 2 3"},
        {"ElementSize": "1 2 3", "Rotation": TURNED, "Position": "1 2 3"},
        {"ElementSpacing": ".5 2 3", "ElementSize": "1 1 1", "Orientation": TURNED, "Origin": "1 2 3"},
        {"BinaryDataByteOrderMSB": "True"},
        {"ElementByteOrderMSB": "true", "Comment": "a b", "AnatomicalOrientation": "RAI"},
    ],
)
def test_metaimage_fields(more: dict[str, str], tmp_path: Path) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in {**META, **more, "ElementDataFile": "LOCAL"}.items())
    (tmp_path / "a.mha").write_bytes(text.encode() + VOXELS)
    same_as_itk(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("letters", "note"),
    [
        ("RAI", None),
        ("???", "the orientation is not: LPS is assumed"),
        ("LPS", "AnatomicalOrientation = LPS .* differs by program; LPS is assumed, as ITK does"),
        ("ASL", "AnatomicalOrientation = ASL"),
    ],
)
def test_metaimage_letters_without_directions_are_told(letters: str, note: str | None, tmp_path: Path) -> None:
    """ITK reads all of them as RAI, which is its word for axes along LPS."""
    fields = {**META, "ElementSpacing": "1 2 3", "AnatomicalOrientation": letters, "ElementDataFile": "LOCAL"}
    (tmp_path / "a.mha").write_bytes("".join(f"{k} = {v}\n" for k, v in fields.items()).encode() + VOXELS)
    same_as_itk(tmp_path / "a.mha")
    told = read_volume(tmp_path / "a.mha").meta.get("geometry_note")
    assert told is None if note is None else re.search(note, told)
    turned = "".join(f"{k} = {v}\n" for k, v in {**META, "TransformMatrix": TURNED, **fields}.items())
    (tmp_path / "b.mha").write_bytes(turned.encode() + VOXELS)
    same_as_itk(tmp_path / "b.mha")
    assert "geometry_note" not in read_volume(tmp_path / "b.mha").meta, "directions decide where there are some"


@pytest.mark.parametrize("skipped", ["10", "-1"])
def test_metaimage_with_a_foreign_header_before_its_voxels(skipped: str, tmp_path: Path) -> None:
    fields = {**META, "HeaderSize": skipped, "ElementDataFile": "a é.raw"}
    (tmp_path / "a é.raw").write_bytes(b"x" * 10 + VOXELS)
    (tmp_path / "a.mhd").write_text("".join(f"{k} = {v}\n" for k, v in fields.items()), encoding="utf-8")
    assert (read_volume(tmp_path / "a.mhd").data[0] == np.arange(24).reshape(4, 3, 2).T).all()


def test_metaimage_as_text(tmp_path: Path) -> None:
    fields = {**META, "BinaryData": "False", "ElementDataFile": "LOCAL"}
    text = "".join(f"{key} = {value}\n" for key, value in fields.items())
    (tmp_path / "a.mha").write_text(text + " ".join(map(str, range(24))) + "\n")
    same_as_itk(tmp_path / "a.mha")
    (tmp_path / "a.mha").write_text(text + "1 2 x " * 30)
    with pytest.raises(BadInput, match="the voxels are not numbers"):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize(
    "more",
    [
        *(f"space: {space}\n{OBLIQUE}" for space in SPACES),
        *(f"kinds: {kind} {kind} {kind}\nspace: LPS\n{OBLIQUE}" for kind in ("domain", "space")),
        "spacings: 1 2 3\n",
        "spacings: 1 2 3\naxis mins: 1 2 3\n",
        "spacings: 1 2 3\naxis mins: 1 2 3\ncenters: node node node\n",
        "# a comment\nowner:=nobody\nspacings: -1 2 3\n",
    ],
)
def test_nrrd_fields(more: str, tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes((NRRD + more + "\n").encode() + VOXELS)
    same_as_itk(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("more", "before"),
    [("byte skip: 5\n", b"abcde"), ("byte skip: -1\n", b"xyz"), ("line skip: 1\nbyte skip: 3\n", b"a\nbbb")],
)
def test_nrrd_skips(more: str, before: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes((NRRD + more + "\n").encode() + before + VOXELS)
    same_as_itk(tmp_path / "a.nrrd")


@pytest.mark.parametrize(
    ("shape", "kinds", "directions"),
    [
        ("3 2 2 2", "vector domain domain domain", "none (1,0,0) (0,2,0) (0,0,3)"),
        ("2 2 2 3", "domain domain domain vector", "(1,0,0) (0,2,0) (0,0,3) none"),
    ],
)
def test_nrrd_channels_on_any_axis(shape: str, kinds: str, directions: str, tmp_path: Path) -> None:
    text = NRRD.replace("dimension: 3\nsizes: 2 3 4", f"dimension: 4\nsizes: {shape}")
    text += f"kinds: {kinds}\nspace: LPS\nspace directions: {directions}\n\n"
    (tmp_path / "a.nrrd").write_bytes(text.encode() + VOXELS)
    same_as_itk(tmp_path / "a.nrrd")


def test_nrrd_slice_in_space(tmp_path: Path) -> None:
    text = NRRD.replace("dimension: 3\nsizes: 2 3 4", "dimension: 2\nsizes: 6 4")
    text += "space: RAS\nspace directions: (0,1,0) (0,0,2)\nspace origin: (1,2,3)\n\n"
    (tmp_path / "a.nrrd").write_bytes(text.encode() + VOXELS)
    volume = read_volume(tmp_path / "a.nrrd")
    np.testing.assert_allclose(volume.affine, [[0, 0, 1, 1], [1, 0, 0, 2], [0, 2, 0, 3], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("NDims = 3", "NDims = 999999999"),
        ("NDims = 3", "NDims = -1"),
        ("DimSize = 2 3 4", "DimSize = 2 3"),
        ("DimSize = 2 3 4", "DimSize = -2 -3 4"),
        ("DimSize = 2 3 4", "DimSize = 1_0 3 4"),
        ("MET_SHORT", "MET_NONE"),
        ("Image\n", "Image\nElementNumberOfChannels = 0\n"),
        ("Image\n", "Image\nElementNumberOfChannels = 99999999\n"),
        ("Image\n", "Image\nElementSpacing = nan 1 1\n"),
        ("Image\n", "Image\nElementSpacing = -1 1 2\n"),
        ("Image\n", "Image\nTransformMatrix = 1 0 0\n"),
        ("LOCAL", "/dev/zero"),
        ("LOCAL", "x" * 5000),
        ("LOCAL", "a\x00b"),
    ],
)
def test_metaimage_headers_that_lie(old: str, new: str, tmp_path: Path) -> None:
    text = "".join(f"{key} = {value}\n" for key, value in {**META, "ElementDataFile": "LOCAL"}.items())
    (tmp_path / "a.mha").write_bytes(text.replace(old, new).encode() + VOXELS)
    with pytest.raises(BadInput):
        read_volume(tmp_path / "a.mha")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("dimension: 3", "dimension: 99999999"),
        ("sizes: 2 3 4", "sizes: 2 3 4294967296"),
        ("type: short", "type: block"),
        ("encoding: raw", "encoding: bzip2"),
        ("encoding: raw", "encoding: hex"),
        ("encoding: raw", "encoding: raw\nbyte skip: 999999999999"),
        ("encoding: raw", "encoding: raw\nline skip: 999999999999"),
        ("encoding: raw", "encoding: raw\nkinds: complex domain domain"),
        ("encoding: raw", "encoding: raw\nkinds: vector list domain"),
        ("encoding: raw", "encoding: raw\nspace directions: (1,0,0) (0,1,0)"),
        ("encoding: raw", "encoding: raw\nspace directions: (1,0,0) (0,1,0) (0,inf,0)"),
        ("encoding: raw", "encoding: raw\ndata file: /dev/zero"),
        ("encoding: raw", "encoding: raw\ndata file: LIST"),
    ],
)
def test_nrrd_headers_that_lie(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "a.nrrd").write_bytes((NRRD.replace(old, new) + "\n").encode() + VOXELS)
    with pytest.raises(BadInput):
        read_volume(tmp_path / "a.nrrd")
