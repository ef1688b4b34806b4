"""DICOM SEG and RTSTRUCT read as label maps: our own and those of other programs, and what no label map can hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.evaluation.folders import evaluate_folders
from voxloom.formats import read_label, read_volume, write_dicom_series, write_volume
from voxloom.formats.dicom.results import (
    Author,
    Segment,
    open_source,
    shipped,
    write_probabilities,
    write_rtstruct,
    write_seg,
)
from voxloom.formats.dicom.results.contours import filled, outlines
from voxloom.notes import collect
from voxloom.volume import Volume

RUN = Author("liver-run", "ab" * 32)
SEGMENTS = tuple(Segment(v, n, shipped().meaning(n)) for v, n in ((1, "liver"), (4, "tumor"), (9, "cyst")))
AFFINE = np.array([[-0.78, 0.14, 0.43, 31.25], [-0.28, -0.85, -0.15, -87.5], [0.0, 0.19, 2.46, 12.0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """A liver with a tumor in a hole of it, pieces apart, and one voxel; the first and the last slices are empty."""
    i, j, k = np.mgrid[:40, :36, :12]
    mask = np.zeros((40, 36, 12), np.uint8)
    mask[((i - 16) / 12) ** 2 + ((j - 18) / 11) ** 2 + ((k - 5) / 4) ** 2 < 1] = 1
    mask[((i - 16) / 4) ** 2 + ((j - 18) / 4) ** 2 + ((k - 5) / 2) ** 2 < 1] = 4
    mask[15:18, 17:20, 5] = 0
    mask[33:38, 2:6, 4:6] = 1
    mask[39, 35, 7] = 9
    return mask


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray) -> dict[str, Path]:
    """The series and one object of every kind."""
    root = tmp_path_factory.mktemp("labels")
    axes = np.linalg.qr(AFFINE[:3, :3])[0]
    affine = AFFINE.copy()
    affine[:3, :3] = axes * np.sign(np.diag(axes.T @ AFFINE[:3, :3])) * [0.8, 0.9, 2.5]
    scan = Volume(np.arange(mask.size, dtype=np.int16).reshape(1, *mask.shape), affine)
    write_dicom_series(scan, root / "series", template={"Modality": "CT"})
    assert (read_volume(root / "series").data == scan.data).all()
    source = open_source(root / "series")
    soft = np.stack([np.where(mask == s.value, 0.7, np.where(mask == 0, 0.4, 0.3)) for s in SEGMENTS])
    return {
        "series": root / "series",
        "seg": write_seg(mask, SEGMENTS, source, root / "a.dcm", RUN),
        "seg-labelmap": write_seg(mask, SEGMENTS, source, root / "b.dcm", RUN, kind="LABELMAP"),
        "seg-fractional": write_probabilities(soft, SEGMENTS, source, root / "c.dcm", RUN),
        "rtstruct": write_rtstruct(mask, SEGMENTS, source, root / "d.dcm", RUN),
    }


@pytest.mark.parametrize("kind", ["seg", "seg-labelmap", "seg-fractional", "rtstruct"])
def test_every_kind_reads_back_as_it_was(places: dict[str, Path], mask: np.ndarray, kind: str) -> None:
    scan = read_volume(places["series"])
    label = read_label(places[kind], like=scan)
    assert (label.data[0] == mask).all()
    assert label.same_grid(scan)
    assert label.meta["label_names"] == {1: "liver", 4: "tumor", 9: "cyst"}
    alone = read_label(places[kind])
    assert (alone.data == 4).sum() == (mask == 4).sum()


def turned(volume: Volume, order: tuple[int, int, int], flipped: tuple[int, ...]) -> Volume:
    """The same voxels with axes exchanged and turned around."""
    data, affine = volume.data.transpose(0, *(n + 1 for n in order)), volume.affine[:, [*order, 3]].copy()
    for axis in flipped:
        data = np.flip(data, axis + 1)
        affine[:3, 3] += affine[:3, axis] * (data.shape[axis + 1] - 1)
        affine[:3, axis] *= -1
    return Volume(data, affine)


@pytest.mark.parametrize(("order", "flipped"), [((0, 1, 2), (1, 2)), ((2, 0, 1), (0,)), ((1, 2, 0), (0, 1, 2))])
def test_a_scan_in_other_axes_gets_the_same_voxels(
    places: dict[str, Path], mask: np.ndarray, order: tuple[int, int, int], flipped: tuple[int, ...]
) -> None:
    true = turned(read_volume(places["series"]).with_data(mask[None]), order, flipped)
    for kind in ("seg", "rtstruct"):
        assert (read_label(places[kind], like=true).data == true.data).all()
    assert (open_source(places["series"]).fitted(true) == mask).all()


def test_a_rtstruct_without_its_series_is_told(places: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "here" / "rt.dcm"
    alone.parent.mkdir()
    shutil.copy(places["rtstruct"], alone)
    with pytest.raises(BadInput, match="not beside it"):
        read_label(alone)
    shutil.copytree(places["series"], tmp_path / "elsewhere")  # a folder beside that of the file
    assert read_label(alone).shape == (40, 36, 12)


def test_validators_find_nothing_in_a_structure_set(places: dict[str, Path]) -> None:
    done = subprocess.run(["dciodvfy", str(places["rtstruct"])], capture_output=True, text=True, check=False)
    assert "RTStructureSet" in done.stderr
    assert "Error" not in done.stderr
    line = ["dcentvfy", str(places["rtstruct"]), *map(str, sorted(places["series"].iterdir()))]
    assert "Error" not in subprocess.run(line, capture_output=True, text=True, check=False).stderr


def test_contours_of_a_liver_lose_nothing() -> None:
    """The mask of the issue: liver-sized, with holes and several pieces; Dice of the round trip is 1."""
    noise = np.random.default_rng(0).normal(size=(180, 150))
    i, j = np.mgrid[:180, :150]
    mask = (((i - 90) / 80) ** 2 + ((j - 75) / 60) ** 2 < 1) & (noise < 1.6)
    mask[2:5, 2:5] = mask[0, 149] = True
    assert (filled(outlines(mask), mask.shape) == mask).all()
    assert len(outlines(mask)) < 40, "holes are joined to their rim"


def test_overlap_is_refused_in_one_line(places: dict[str, Path], tmp_path: Path) -> None:
    slices = [pydicom.dcmread(p) for p in sorted(places["series"].iterdir())]
    both = np.zeros((12, 36, 40, 2), np.uint8)
    both[4, 10:20, 10:20] = 1
    described = [
        highdicom.seg.SegmentDescription(n, name, codes.SCT.Tissue, codes.SCT.Tissue, "MANUAL")
        for n, name in ((1, "organ"), (2, "lesion"))
    ]
    seg = highdicom.seg.Segmentation(
        slices, both, "BINARY", described, generate_uid(), 1, generate_uid(), 1, "Other", "Tool", "1", "2"
    )
    seg.save_as(tmp_path / "both.dcm")
    with pytest.raises(BadInput, match=r"segments organ and lesion overlap \(100 voxels"):
        read_label(tmp_path / "both.dcm")


def test_a_segmentation_of_dcmqi_is_read(places: dict[str, Path], tmp_path: Path, mask: np.ndarray) -> None:
    """The writer behind 3D Slicer's export."""
    scan = read_volume(places["series"])
    write_volume(scan.with_data((mask == 1).astype(np.uint8)[None]), tmp_path / "m.nii.gz")
    tissue = {"CodeValue": "85756007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Tissue"}
    segment = {
        "labelID": 1, "SegmentDescription": "liver", "SegmentLabel": "liver", "SegmentAlgorithmType": "MANUAL",
        "SegmentedPropertyCategoryCodeSequence": tissue, "SegmentedPropertyTypeCodeSequence": tissue,
        "recommendedDisplayRGBValue": [221, 130, 101],
    }  # fmt: skip
    about = {"ContentCreatorName": "Reader", "SeriesDescription": "s", "SeriesNumber": "9", "InstanceNumber": "1",
             "segmentAttributes": [[segment]]}  # fmt: skip
    (tmp_path / "m.json").write_text(json.dumps(about))
    line = [str(Path(sys.executable).with_name("itkimage2segimage")), "--inputDICOMDirectory", str(places["series"])]
    line += ["--inputImageList", str(tmp_path / "m.nii.gz"), "--inputMetadata", str(tmp_path / "m.json")]
    done = subprocess.run(
        [*line, "--outputDICOM", str(tmp_path / "q.dcm")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    label = read_label(tmp_path / "q.dcm", like=scan)
    assert (label.data[0] == (mask == 1)).all()
    assert label.meta["label_names"] == {1: "liver"}


def test_a_segmentation_is_no_image(places: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(places["series"], tmp_path / "both")
    for kind in ("seg", "rtstruct"):
        shutil.copy(places[kind], tmp_path / "both" / f"{kind}.dcm")
    assert read_volume(tmp_path / "both").same_grid(read_volume(places["series"]))
    assert (read_label(tmp_path / "both" / "rtstruct.dcm").data > 0).any(), "its series lies in the same folder"
    with pytest.raises(BadInput, match="is a segmentation, not an image"):
        read_volume(places["seg"])


def test_data_set_evaluation_and_table_take_them(places: dict[str, Path], tmp_path: Path, mask: np.ndarray) -> None:
    scan = read_volume(places["series"])
    for name in ("images", "masks", "truth", "pred"):
        (tmp_path / name).mkdir()
    write_volume(scan, tmp_path / "images" / "a.nii.gz")
    shutil.copytree(places["series"], tmp_path / "images" / "b")
    write_volume(scan, tmp_path / "images" / "c.nii.gz")
    shutil.copy(places["seg"], tmp_path / "masks" / "a.seg.dcm")
    shutil.copy(places["rtstruct"], tmp_path / "masks" / "b.rtstruct.dcm")
    shutil.copy(places["seg-labelmap"], tmp_path / "masks" / "c.dcm")
    data = Dataset(tmp_path)
    assert data.labels is not None
    assert data.labels.names == ("liver", "tumor", "cyst")
    for case in data:
        label = case.read_label()
        assert label is not None
        assert (label.data[0] == mask).all()
    (tmp_path / "t.csv").write_text(f"case,image,label\nx,images/a.nii.gz,{places['seg']}\n")
    assert (Dataset(tmp_path / "t.csv")["x"].read_label().data[0] == mask).all()  # type: ignore[union-attr]
    write_volume(scan.with_data(mask[None]), tmp_path / "truth" / "a.nii.gz")
    shutil.copy(places["seg"], tmp_path / "truth" / "b.dcm")
    write_volume(scan.with_data(mask[None]), tmp_path / "truth" / "c.nii.gz")
    shutil.copy(places["seg"], tmp_path / "pred" / "a.seg.dcm")
    shutil.copy(places["seg-labelmap"], tmp_path / "pred" / "b.seg.dcm")
    shutil.copy(places["rtstruct"], tmp_path / "pred" / "c.rtstruct.dcm")
    with collect():
        table = evaluate_folders(tmp_path / "pred", tmp_path / "truth", workers=0)
    assert {row.metrics.dice for row in table.rows} == {1.0}
    assert len(table.rows) == 9
