"""Headers mean what they say: units, spaces, axes of time; what they leave open is told, never guessed in silence."""

from __future__ import annotations

import bz2
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_channels, read_header, read_label, read_volume, write_volume
from voxloom.notes import collect
from voxloom.volume import Volume

VOXELS = np.arange(24, dtype="<i2")
DIRECTIONS = "space directions: (2,0,0) (0,3,0) (0,0,4)\nspace origin: (10,20,30)\n"


def nrrd(path: Path, more: str, *, sizes: str = "2 3 4", encoding: str = "raw", body: bytes | None = None) -> Path:
    count = len(sizes.split())
    head = f"NRRD0005\ntype: short\ndimension: {count}\nsizes: {sizes}\nendian: little\nencoding: {encoding}\n{more}\n"
    repeats = int(np.prod([int(n) for n in sizes.split()])) // 24
    path.write_bytes(head.encode() + (np.tile(VOXELS, repeats).tobytes() if body is None else body))
    return path


@pytest.mark.parametrize(
    ("unit", "mm"), [('"um"', 1e-3), ('"microns"', 1e-3), ('"mm"', 1), ('"cm"', 10), ('"m"', 1000), ('""', 1)]
)
def test_nrrd_space_units(unit: str, mm: float, tmp_path: Path) -> None:
    v = read_volume(nrrd(tmp_path / "a.nrrd", f"space: RAS\nspace units: {unit} {unit} {unit}\n{DIRECTIONS}"))
    np.testing.assert_allclose(v.spacing, np.array([2, 3, 4]) * mm)
    np.testing.assert_allclose(v.affine[:3, 3], np.array([10, 20, 30]) * mm)
    flat = read_volume(nrrd(tmp_path / "b.nrrd", f"spacings: 2 3 4\nunits: {unit} {unit} {unit}\n"))
    np.testing.assert_allclose(flat.spacing, np.array([2, 3, 4]) * mm)


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="lengths are in 'furlongs', which is not a known unit"):
        read_volume(nrrd(tmp_path / "a.nrrd", f'space: RAS\nspace units: "mm" "mm" "furlongs"\n{DIRECTIONS}'))
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementSpacing = 2 3 4\n"
    for unit, spacing in (("um", 2e-3), ("cm", 20.0)):
        text = f"{head}DistanceUnits = {unit}\nElementDataFile = LOCAL\n"
        (tmp_path / f"{unit}.mha").write_bytes(text.encode() + VOXELS.tobytes())
        assert read_volume(tmp_path / f"{unit}.mha").spacing[0] == pytest.approx(spacing)


@pytest.mark.parametrize(
    ("space", "signs", "note"),
    [
        ("right-anterior-superior-time", (1, 1, 1), None),
        ("RAST", (1, 1, 1), None),
        ("LAS", (-1, 1, 1), None),
        ("left-posterior-superior-time", (-1, -1, 1), None),
        ("scanner-xyz", (-1, -1, 1), "the space scanner-xyz says nothing of the patient"),
        ("3D-left-handed", (-1, -1, 1), "says nothing of the patient"),
        ("", (-1, -1, 1), "no space is named"),
    ],
)
def test_nrrd_spaces(space: str, signs: tuple[int, ...], note: str | None, tmp_path: Path) -> None:
    named = f"space: {space}\n" if space else "space dimension: 3\n"
    v = read_volume(nrrd(tmp_path / "a.nrrd", named + DIRECTIONS))
    np.testing.assert_allclose(v.affine[:3, 3], np.array([10, 20, 30]) * signs)
    if note is None:
        assert "geometry_note" not in v.meta
    else:
        assert note in v.meta["geometry_note"]


def test_an_unknown_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="its space is 'posterior-left-superior', which is not known"):
        read_header(nrrd(tmp_path / "a.nrrd", f"space: posterior-left-superior\n{DIRECTIONS}"))


@pytest.mark.parametrize(("kind", "what"), [("time", "2 time frames"), ("list", "2 volumes in a list")])
@pytest.mark.parametrize("last", [True, False])
def test_time_and_lists_are_no_channels(kind: str, what: str, last: bool, tmp_path: Path) -> None:
    axes = ["(2,0,0)", "(0,3,0)", "(0,0,4)"]
    directions = [*axes, "none"] if last else ["none", *axes]
    kinds = ["domain"] * 3 + [kind] if last else [kind] + ["domain"] * 3
    more = f"space: LPS\nspace directions: {' '.join(directions)}\nkinds: {' '.join(kinds)}\n"
    sizes = ["2", "3", "4"]
    whole = " ".join([*sizes, "2"] if last else ["2", *sizes])
    with pytest.raises(BadInput, match=f"is 4D: {what}"):
        read_volume(nrrd(tmp_path / "a.nrrd", more, sizes=whole))
    one = read_volume(nrrd(tmp_path / "b.nrrd", more, sizes=" ".join([*sizes, "1"] if last else ["1", *sizes])))
    assert one.shape == (2, 3, 4)
    assert (one.data[0] == VOXELS.reshape(4, 3, 2).T).all()


def test_no_geometry_is_told_and_counted_in_pixels(tmp_path: Path) -> None:
    bare, sized = nrrd(tmp_path / "a.nrrd", ""), nrrd(tmp_path / "b.nrrd", "spacings: 2 3 4\n")
    head = "ObjectType = Image\nNDims = 3\nDimSize = 2 3 4\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "c.mha").write_bytes(head.encode() + VOXELS.tobytes())
    with collect() as heard:
        units = [read_volume(p).unit for p in (bare, sized, tmp_path / "c.mha")]
    assert units == ["pixel", "mm", "pixel"]
    assert [(Path(n.source).name, n.text.split(":")[0]) for n in heard] == [
        ("a.nrrd", "the header has no voxel size and no orientation"),
        ("b.nrrd", "the voxel sizes are known, the orientation is not"),
        ("c.mha", "the header has no voxel size"),
    ]


def test_segments_of_slicer(tmp_path: Path) -> None:
    pairs = "Segment0_Name:=liver\nSegment0_LabelValue:=1\nSegment0_Layer:=0\nSegment1_Name:=spleen\nSegment1_LabelValue:=7\n"
    path = nrrd(tmp_path / "a.seg.nrrd", f"space: LPS\n{DIRECTIONS}{pairs}Segment1_Layer:=0\n")
    assert read_label(path).meta["segments"] == {1: "liver", 7: "spleen"}
    layered = nrrd(tmp_path / "b.seg.nrrd", f"space: LPS\n{DIRECTIONS}{pairs}Segment1_Layer:=1\n")
    with pytest.raises(BadInput, match="segments overlap and lie in several layers"):
        read_label(layered)


def test_bzip2_and_detached_nrrd(tmp_path: Path) -> None:
    path = nrrd(tmp_path / "a.nrrd", f"space: RAS\n{DIRECTIONS}", encoding="bzip2", body=bz2.compress(VOXELS.tobytes()))
    assert (read_volume(path).data[0] == VOXELS.reshape(4, 3, 2).T).all()
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(BadInput, match="bzip2 data"):
        read_volume(path)
    (tmp_path / "v.raw").write_bytes(VOXELS.tobytes())
    detached = nrrd(tmp_path / "d.nhdr", f"data file: v.raw\nspace: RAS\n{DIRECTIONS}", body=b"")
    assert (read_volume(detached).data[0] == VOXELS.reshape(4, 3, 2).T).all()


AFFINE = np.array([[0.0, -1.2, 0, 31], [0.9, 0, 0.1, -87], [0, 0.2, 2.5, 12], [0, 0, 0, 1]])


@pytest.mark.parametrize("named", ["a.hdr", "a.img"])
def test_nifti_pairs(named: str, tmp_path: Path) -> None:
    data = VOXELS.reshape(2, 3, 4).astype(np.int16)
    nibabel.save(nibabel.Nifti1Pair(data, AFFINE), tmp_path / "a.hdr")
    v = read_volume(tmp_path / named)
    assert (v.data[0] == data).all()
    np.testing.assert_allclose(v.affine, AFFINE, atol=1e-5)
    assert read_header(tmp_path / named).shape == (2, 3, 4)
    (tmp_path / "a.img").unlink()
    with pytest.raises(BadInput, match="no such file"):
        read_volume(tmp_path / named)


def test_analyze_is_refused_because_it_has_no_sides(tmp_path: Path) -> None:
    nibabel.save(nibabel.AnalyzeImage(VOXELS.reshape(2, 3, 4).astype(np.int16), None), tmp_path / "a.hdr")
    with pytest.raises(BadInput, match=r"ANALYZE 7.5 pair, which does not tell left from right"):
        read_volume(tmp_path / "a.hdr")


@pytest.mark.parametrize("ending", [".mgz", ".mgh"])
def test_freesurfer(ending: str, tmp_path: Path) -> None:
    data = VOXELS.reshape(2, 3, 4).astype(np.int16)
    nibabel.save(nibabel.MGHImage(data, AFFINE), tmp_path / f"a{ending}")
    v, header = read_volume(tmp_path / f"a{ending}"), read_header(tmp_path / f"a{ending}")
    assert (v.data[0] == data).all()
    assert v.data.dtype == header.dtype == "int16"
    np.testing.assert_allclose(v.affine, AFFINE, atol=1e-4)
    nibabel.save(nibabel.MGHImage(np.stack([data, data], -1), AFFINE), tmp_path / f"b{ending}")
    with pytest.raises(BadInput, match="is 4D"):
        read_volume(tmp_path / f"b{ending}")
    with pytest.raises(BadInput, match="the ending is none of"):
        write_volume(v, tmp_path / f"c{ending}")


def flat_nifti(path: Path, pixdim: tuple[float, ...]) -> Path:
    image = nibabel.Nifti1Image(np.arange(12, dtype=np.int16).reshape(4, 3), np.diag([0.5, 0.6, 1, 1]))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, path)
    raw = bytearray(path.read_bytes())
    struct.pack_into("<4f", raw, 76, 1.0, *pixdim)
    path.write_bytes(raw)
    return path


def test_a_2d_nifti_without_thickness_is_read(tmp_path: Path) -> None:
    v = read_volume(flat_nifti(tmp_path / "a.nii", (0.5, 0.6, 0.0)))
    assert v.spacing == pytest.approx((0.5, 0.6, 1.0))
    assert "thickness of the single slice is not given" in v.meta["geometry_note"]
    with pytest.raises(BadInput, match=r"voxel size of 0 along axis 2 \(pixdim\). Write the true voxel size"):
        read_volume(flat_nifti(tmp_path / "b.nii", (0.5, 0.0, 1.0)))


def test_what_arithmetic_leaves_of_an_integer_is_a_label(tmp_path: Path) -> None:
    data = np.zeros((1, 4, 4, 4), np.float32)
    data[0, :2] = 1.0000001
    assert read_label(write_volume(Volume(data, np.eye(4)), tmp_path / "a.nii")).data.max() == 1
    data[0, 0] = 1.002
    with pytest.raises(BadInput, match=r"16 voxels are not whole numbers \(such as 1\.00"):
        read_label(write_volume(Volume(data, np.eye(4)), tmp_path / "b.nii"))


def test_read_channels_passes_notes(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4))
    image.set_qform(np.diag([1, 1, 1, 1]) + np.eye(4, k=3) * 86, 1)
    image.set_sform(np.eye(4), 1)
    nibabel.save(image, tmp_path / "a.nii")
    with collect() as heard:
        read_volume(tmp_path / "a.nii")
        read_channels(tmp_path / "a.nii")
        read_label(tmp_path / "a.nii")
    assert [n.text for n in heard] == ["sform and qform differ by 86.0 mm; the sform is used"]
