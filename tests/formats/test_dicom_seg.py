"""Label maps as DICOM SEG: read back by highdicom, dcmqi and dicom3tools, which nobody here wrote, and by ourselves."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_dicom_series
from voxloom.formats.dicom.results import (
    Author,
    Segment,
    SourceSeries,
    open_source,
    shipped,
    write_probabilities,
    write_seg,
)
from voxloom.notes import collect
from voxloom.volume import Volume

RUN = Author("liver-run", "ab" * 32)
Places = dict[str, Path]


def oblique(handed: int = 1) -> np.ndarray:
    """An affine 20 degrees off the axes, whose k runs along (1) or against (-1) the normal of DICOM."""
    a, b = np.radians(20), np.radians(-12)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    turn = turn @ np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.diag([-0.8, -0.9, 2.5 * handed])
    affine[:3, 3] = [31.25, -87.5, 12.0]
    return affine


@pytest.fixture(scope="module")
def volume() -> Volume:
    """A small scan of (20, 18, 9) voxels, every voxel different."""
    return Volume(np.arange(20 * 18 * 9, dtype=np.int16).reshape(1, 20, 18, 9), oblique())


@pytest.fixture(scope="module")
def mask() -> np.ndarray:
    """Values 1, 2 and 5, with a hole, pieces apart, empty slices at both ends and one in the middle."""
    mask = np.zeros((20, 18, 9), np.uint8)
    mask[3:12, 4:13, 2:7] = 1
    mask[6:9, 7:10, 3:6] = 0
    mask[14:17, 2:5, 2:4] = 2
    mask[1:3, 15:17, 6] = 5
    mask[:, :, 4] = 0
    return mask


SEGMENTS = tuple(Segment(v, n, shipped().meaning(n)) for v, n in ((1, "liver"), (2, "kidney_left"), (5, "tumor")))


def in_order(folder: Path) -> None:
    """Leave the files as they are."""


def reversed_names(folder: Path) -> None:
    for n, path in enumerate(sorted(folder.iterdir(), reverse=True)):
        path.rename(folder / f"x{n}")


def shuffled(folder: Path) -> None:
    files = sorted(folder.iterdir())
    for n, place in enumerate(np.random.default_rng(3).permutation(len(files))):
        files[n].rename(folder / f"IM{place:03d}")


def enhanced(folder: Path) -> None:
    """One multi-frame object in place of the slices, whose frames are in no order."""
    slices = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    slices = [slices[n] for n in np.random.default_rng(1).permutation(len(slices))]
    whole = highdicom.legacy.LegacyConvertedEnhancedCTImage(slices, generate_uid(), 2, generate_uid(), 1)
    shutil.rmtree(folder)
    folder.mkdir()
    whole.save_as(folder / "one.dcm")


def stored(volume: Volume, folder: Path, change: Callable[[Path], None] = in_order) -> Path:
    write_dicom_series(volume, folder, template={"Modality": "CT", "PatientID": "P1", "StudyID": "1"})
    change(folder)
    return folder


def faults(program: str, *files: Path) -> list[str]:
    """Errors that a validator of dicom3tools tells."""
    done = subprocess.run([program, *map(str, files)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


def placed(path: Path, volume: Volume) -> np.ndarray:
    """Segment numbers (I, J, K) as highdicom places them on the grid of a volume."""
    seg = highdicom.seg.segread(path)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ volume.affine
    grid = highdicom.VolumeGeometry(lps[:, [2, 1, 0, 3]], volume.shape[::-1], "PATIENT", seg.FrameOfReferenceUID)
    found = seg.get_volume(allow_missing_positions=True).match_geometry(grid).array.transpose(2, 1, 0, 3)
    return (found * np.arange(1, found.shape[3] + 1)).sum(axis=3)


@pytest.mark.parametrize("change", [in_order, reversed_names, shuffled, enhanced])
@pytest.mark.parametrize("handed", [1, -1])
def test_every_order_of_a_source_gives_the_same_voxels(
    tmp_path: Path, mask: np.ndarray, change: Callable[[Path], None], handed: int
) -> None:
    folder = stored(
        Volume(np.arange(mask.size, dtype=np.int16).reshape(1, *mask.shape), oblique(handed)), tmp_path / "s", change
    )
    read = read_volume(folder)
    mine = mask if handed == 1 else mask[:, :, ::-1]  # read along the normal
    path = write_seg(mine, SEGMENTS, open_source(folder), tmp_path / "seg.dcm", RUN)
    assert (placed(path, read) == np.where(mine == 5, 3, mine)).all()
    assert faults("dciodvfy", path) == []


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, volume: Volume, mask: np.ndarray) -> Places:
    """One series and every kind of SEG of it."""
    root = tmp_path_factory.mktemp("seg")
    source = open_source(stored(volume, root / "series"))
    soft = np.stack([(mask == one.value) * 0.8 for one in SEGMENTS])
    return {
        "series": root / "series",
        "binary": write_seg(mask, SEGMENTS, source, root / "b.dcm", RUN),
        "labelmap": write_seg(mask, SEGMENTS, source, root / "l.dcm", RUN, kind="LABELMAP"),
        "fractional": write_probabilities(soft, SEGMENTS, source, root / "f.dcm", RUN),
    }


def test_validators_find_nothing(written: Places) -> None:
    assert faults("dciodvfy", written["binary"]) == faults("dciodvfy", written["fractional"]) == []
    told = faults("dciodvfy", written["labelmap"])  # dicom3tools of 2022 does not know the class
    assert all("SegmentNumber" in line or "Object Not found" in line for line in told)
    series = sorted(written["series"].iterdir())
    for name in ("binary", "labelmap", "fractional"):
        assert faults("dcentvfy", written[name], *series) == []


def test_segments_say_what_they_are_and_who_drew_them(written: Places) -> None:
    seg = highdicom.seg.segread(written["binary"])
    liver, kidney, tumor = (seg.get_segment_description(n) for n in (1, 2, 3))
    assert [one.segment_label for one in (liver, kidney, tumor)] == ["liver", "kidney_left", "tumor"]
    assert (liver.segmented_property_type.value, kidney.segmented_property_type.value) == ("10200004", "64033007")
    side = kidney.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
    assert side.CodeMeaning == "Left"
    assert tumor.segmented_property_category.meaning == "Morphologically Abnormal Structure"
    assert liver.RecommendedDisplayCIELabValue != kidney.RecommendedDisplayCIELabValue
    assert (liver.algorithm_identification.name, liver.algorithm_identification.version) == ("liver-run", "ab" * 32)
    assert "Research only, not for diagnosis" in seg.SeriesDescription
    assert seg.ContentDescription == "Research only, not for diagnosis"
    assert seg.SegmentSequence[2].SegmentDescription == "label value 5"


def test_frames_refer_to_the_slices_below_them(written: Places, volume: Volume, mask: np.ndarray) -> None:
    seg, read = highdicom.seg.segread(written["binary"]), read_volume(written["series"])
    uids = list(read.meta["dicom"]["sop_instance_uids"])
    found = seg.get_pixels_by_source_instance(uids, segment_numbers=[2], assert_missing_frames_are_empty=True)
    assert (found[..., 0].transpose(2, 1, 0) == (mask == 2)).all()


def test_dcmqi_reads_the_same(written: Places, tmp_path: Path, volume: Volume, mask: np.ndarray) -> None:
    tool = Path(sys.executable).with_name("segimage2itkimage")
    for name, values in (("binary", (1, 2, 3)), ("labelmap", (1, 2, 5))):
        out = tmp_path / name
        out.mkdir()
        line = [
            str(tool),
            "--inputDICOM",
            str(written[name]),
            "--outputDirectory",
            str(out),
            "-t",
            "nifti",
            "--mergeSegments",
        ]
        assert subprocess.run(line, capture_output=True, check=False).returncode == 0
        found = read_volume(next(out.glob("*.nii.gz")))
        counts = [int((found.data == value).sum()) for value in values]
        assert counts == [int((mask == value).sum()) for value in (1, 2, 5)]


def test_probabilities_are_kept_in_255_steps(written: Places, volume: Volume, mask: np.ndarray) -> None:
    seg = highdicom.seg.segread(written["fractional"])
    uids = list(read_volume(written["series"]).meta["dicom"]["sop_instance_uids"])
    found = seg.get_pixels_by_source_instance(uids, segment_numbers=[1], assert_missing_frames_are_empty=True)
    assert np.allclose(found[..., 0].transpose(2, 1, 0), 0.8 * (mask == 1), atol=1 / 510)
    assert seg.SegmentationFractionalType == "PROBABILITY"


def test_an_empty_mask_keeps_its_segments(tmp_path: Path, written: Places) -> None:
    source = open_source(written["series"])
    path = write_seg(np.zeros(source.shape, np.uint8), SEGMENTS, source, tmp_path / "e.dcm", RUN)
    seg = highdicom.seg.segread(path)
    assert seg.number_of_segments == 3
    assert not seg.pixel_array.any()
    assert faults("dciodvfy", path) == []


def odd(dataset: Any) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.PatientName = "Müller^Eva"
    dataset.PatientSex = "female"
    dataset.add_new("PatientWeight", "DS", "70.123456789012345678")
    dataset.add_new("PatientAge", "AS", "42")
    dataset.add_new("AccessionNumber", "SH", "a number that is too long by far")


MAY_LACK = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName", "FrameOfReferenceUID", "StudyInstanceUID", "SliceThickness", "PositionReferenceIndicator",
    "SOPClassUID", "Modality",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("lost", [*MAY_LACK, ""])
def test_what_a_source_lacks_or_has_wrong_is_mended(
    tmp_path: Path, volume: Volume, mask: np.ndarray, lost: str
) -> None:
    folder = stored(volume, tmp_path / "s")
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        if lost:
            del dataset[lost]
        else:
            odd(dataset)
        dataset.save_as(path)
    with collect() as notes:
        source = open_source(folder)
    path = write_seg(mask, SEGMENTS, source, tmp_path / "seg.dcm", RUN)
    assert faults("dciodvfy", path) == []
    made_up = [note.text for note in notes if "made up" in note.text]
    assert len(made_up) == (lost in ("FrameOfReferenceUID", "StudyInstanceUID"))
    made = pydicom.dcmread(path)
    assert lost or (made.PatientName, made.PatientSex) == ("Müller^Eva", "F")
    assert made.FrameOfReferenceUID == open_source(folder).header.FrameOfReferenceUID


def source_of(written: Places) -> SourceSeries:
    return open_source(written["series"])


def test_bad_masks_are_refused(tmp_path: Path, written: Places, mask: np.ndarray) -> None:
    source = source_of(written)
    for wrong, said in (
        (mask[:-1], "does not lie"),
        (mask + np.uint8(3), "without a label"),
        (mask.astype(np.int16) - 1, "negative"),
    ):
        with pytest.raises(BadInput, match=said):
            write_seg(wrong, SEGMENTS, source, tmp_path / "no.dcm", RUN)
    assert not (tmp_path / "no.dcm").exists()
