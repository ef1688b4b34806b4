"""Results of runs, and masks and points that exist already, as DICOM: by the command line, read back by pydicom and highdicom."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest

from voxloom.cli.app import run as voxloom
from voxloom.errors import BadInput
from voxloom.evaluation.sizes import size_of
from voxloom.formats import read_label, read_volume, write_dicom_series, write_volume
from voxloom.formats.dicom.results import (
    Author,
    Figure,
    Findings,
    Mark,
    Segment,
    Statement,
    Stored,
    open_source,
    read_codes,
    shipped,
    write_preview,
    write_report,
    write_seg,
)
from voxloom.formats.dicom.results.codes import checked
from voxloom.formats.dicom.results.terms import Code
from voxloom.notes import collect
from voxloom.run.scans import Scan
from voxloom.verbs.dicom_results import DicomWriter, codes_of, parse_formats, with_sizes, write_objects
from voxloom.volume import Volume

RUN = Author("ct-run", "cd" * 32)
AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
NAMES = {1: "liver", 2: "kidney_left"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A series, a mask of it as NIfTI in RAS, points and a table of labels."""
    root = tmp_path_factory.mktemp("results")
    scan = Volume(np.random.default_rng(0).integers(0, 200, (1, 40, 36, 10)).astype(np.int16), AFFINE)
    write_dicom_series(scan, root / "series", template={"Modality": "CT", "StudyID": "1", "PatientID": "P"})
    mask = np.zeros((40, 36, 10), np.uint8)
    mask[5:25, 5:17, 2:8] = 1
    mask[30:34, 20:24, 3:5] = 2
    flipped = AFFINE.copy()
    flipped[0, 0], flipped[0, 3] = 1.0, -39.0
    write_volume(Volume(mask[::-1][None].copy(), flipped), root / "mask.nii.gz")
    np.save(root / "mask.npy", mask)
    (root / "points.csv").write_text("case,name,side,x,y,z\nc,L1,left,-10,-12,9\nc,L2,,-20,-15,15\n")
    (root / "labels.csv").write_text(
        "value,label,type,meaning,color\n1,liver,10200004,Liver,#010203\n2,kidney_left,,,\n"
    )
    return root


def faults(path: Path) -> list[str]:
    told = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False).stderr
    return [line for line in told.splitlines() if line.startswith("Error")]


def items(dataset: Any) -> list[Any]:
    """All content items of a report, in order."""
    found = []
    for item in dataset.get("ContentSequence", ()):
        found += [item, *items(item)]
    return found


def numbers(dataset: Any) -> dict[str, float]:
    """Measured values by their concept."""
    return {
        i.ConceptNameCodeSequence[0].CodeMeaning: float(i.MeasuredValueSequence[0].NumericValue)
        for i in items(dataset)
        if i.ValueType == "NUM"
    }


def test_export_writes_every_format_and_they_agree(root: Path, tmp_path: Path) -> None:
    line = ["export-dicom", str(root / "mask.nii.gz"), "--source", str(root / "series"), "-o", str(tmp_path)]
    every = "seg,seg-labelmap,rtstruct,sr,sc"
    assert voxloom([*line, "--format", every, "--labels", str(root / "labels.csv"), "--algorithm", "Tool"]) == 0
    mask, scan = np.load(root / "mask.npy"), read_volume(root / "series")
    for name in ("seg", "seg-labelmap", "rtstruct"):
        label = read_label(tmp_path / f"mask.{name}.dcm", like=scan)
        assert (label.data[0] == mask).all(), name
        assert label.meta["label_names"] == NAMES
    for name in ("seg", "rtstruct", "sr", "sc"):
        assert faults(tmp_path / f"mask.{name}.dcm") == []
    seg = highdicom.seg.segread(tmp_path / "mask.seg.dcm")
    assert seg.get_segment_description(1).algorithm_identification.name == "Tool"
    report = pydicom.dcmread(tmp_path / "mask.sr.dcm")
    uids = {i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in items(report) if i.ValueType == "IMAGE"}
    assert seg.SOPInstanceUID in uids, "the report leads to the voxels"
    assert numbers(report)["Volume"] == pytest.approx(4 * 4 * 2 * 3 / 1000)  # the last one, the kidney's
    assert voxloom([*line, "--labels", str(root / "labels.csv")]) == 2, "nothing is written over"


def test_a_mask_by_hand_is_said_to_be_one(root: Path, tmp_path: Path) -> None:
    assert (
        voxloom(["export-dicom", str(root / "mask.nii.gz"), "--source", str(root / "series"), "-o", str(tmp_path)]) == 0
    )
    segment = pydicom.dcmread(tmp_path / "mask.seg.dcm").SegmentSequence[0]
    assert (segment.SegmentAlgorithmType, segment.SegmentLabel) == ("MANUAL", "label_1")
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "85756007"


def test_points_become_spatial_coordinates(root: Path, tmp_path: Path) -> None:
    line = ["export-dicom", str(root / "points.csv"), "--source", str(root / "series"), "-o", str(tmp_path)]
    assert voxloom([*line, "--format", "sr,sc"]) == 0
    report = pydicom.dcmread(tmp_path / "points.sr.dcm")
    places = [list(map(float, i.GraphicData)) for i in items(report) if i.ValueType == "SCOORD3D"]
    assert places == [[10, 12, 9], [20, 15, 15]]  # LPS
    named = [i.TextValue for i in items(report) if i.ValueType == "TEXT"]
    assert "L1 left" in named
    assert faults(tmp_path / "points.sr.dcm") == []
    assert voxloom([*line, "--format", "seg"]) == 2


def test_a_report_has_answers_intervals_and_the_model(root: Path, tmp_path: Path) -> None:
    source = open_source(root / "series")
    findings = Findings(
        marks=(Mark("L1", (1.0, 2.0, 3.0), 0.75),),
        figures=(Figure("age", 41.5, "1", 38.0, 45.25, 0.9),),
        statements=(Statement("Class", "malignant", 0.87, "not ruled out at 90 %: benign"),),
    )
    path = write_report(findings, (), source, tmp_path / "r.dcm", RUN)
    assert faults(path) == []
    report = pydicom.dcmread(path)
    found = numbers(report)
    assert found == {
        "Confidence": 0.75, "age": 41.5, "age: lower limit at 90 %": 38.0, "age: upper limit at 90 %": 45.25,
        "Class: probability of malignant": 0.87,
    }  # fmt: skip
    answers = [i.ConceptCodeSequence[0].CodeMeaning for i in items(report) if i.ValueType == "CODE"]
    assert {"malignant", "not ruled out at 90 %: benign", "Research only, not for diagnosis"} <= set(answers)
    texts = {i.TextValue for i in items(report) if i.ValueType == "TEXT"}
    assert {"ct-run", "cd" * 32} <= texts


def test_sizes_are_those_of_a_box_and_an_ellipsoid() -> None:
    i, j, k = np.mgrid[:60, :60, :30]
    mask = ((i - 30) / 20) ** 2 + ((j - 30) / 12) ** 2 + ((k - 15) / 10) ** 2 <= 1
    size = size_of(mask, np.diag([1.0, 1.0, 2.0, 1.0]))
    assert size is not None
    assert size.volume == pytest.approx(4 / 3 * np.pi * 20 * 12 * 10 * 2 / 1000, rel=0.02)
    assert size.diameter == pytest.approx(41, abs=1.0)
    assert (size.long_axis, size.short_axis) == (pytest.approx(41, abs=1.0), pytest.approx(25, abs=1.0))
    assert size_of(np.zeros((3, 3, 3), bool), np.eye(4)) is None
    one = np.zeros((3, 3, 3), bool)
    one[1, 1, 1] = True
    assert size_of(one, np.diag([2.0, 2.0, 5.0, 1])).diameter == pytest.approx(5.0)  # type: ignore[union-attr]


def has(picture: np.ndarray, color: tuple[int, int, int] | None) -> bool:
    return bool((picture == np.array(color, np.uint8)).all(axis=2).any())


def test_a_preview_shows_outlines_and_the_note(root: Path, tmp_path: Path) -> None:
    source, mask = open_source(root / "series"), np.load(root / "mask.npy")
    segments = [Segment(v, n, shipped().meaning(n)) for v, n in NAMES.items()]
    image = np.zeros(mask.shape, np.int16)
    path = write_preview(image, Findings(mask, NAMES), segments, source, tmp_path / "p.dcm", RUN)
    shown = pydicom.dcmread(path)
    assert (shown.BurnedInAnnotation, shown.Modality) == ("YES", "OT")
    assert all(has(shown.pixel_array, segment.meaning.color) for segment in segments)
    assert (shown.pixel_array[-60:] == 255).any(), "the note is written below"
    blank = write_preview(image, Findings(0 * mask, NAMES), segments, source, tmp_path / "q.dcm", RUN)
    assert not has(pydicom.dcmread(blank).pixel_array, segments[0].meaning.color)


def test_a_tilted_series_is_refused_or_resampled(root: Path, tmp_path: Path) -> None:
    for k, path in enumerate(sorted(write_dicom_series(read_volume(root / "series"), tmp_path / "tilted"))):
        slice_ = pydicom.dcmread(path)
        x, y, z = slice_.ImagePositionPatient
        slice_.ImagePositionPatient = [x, y + k, z]
        slice_.save_as(path)
    with pytest.raises(BadInput, match="tilted"):
        open_source(tmp_path / "tilted")
    scan = read_volume(tmp_path / "tilted", resample_tilt=True)
    source = open_source(tmp_path / "tilted", resample_tilt=True)
    assert (source.shape, source.resampled) == (scan.shape, True)
    mask = (np.indices(scan.shape).sum(axis=0) // 9 % 3 == 0).astype(np.uint8)
    segments = [Segment(1, "liver", shipped().meaning("liver"))]
    for path in write_objects(
        ("seg", "rtstruct"), Findings(mask, {1: "liver"}), scan, segments, source, tmp_path / "t", RUN
    ):
        assert (read_label(path, like=scan).data[0] == mask).all()
        assert faults(path) == []


def test_several_formats_are_named_with_commas() -> None:
    assert parse_formats("seg, SR,seg") == ("seg", "sr")
    with pytest.raises(BadInput, match="no format 'seq'"):
        parse_formats("seg,seq")


def test_a_scan_that_is_no_series_is_refused_before_any_work(root: Path) -> None:
    from voxloom.run.scans import Scan

    writer = DicomWriter(("seg",), RUN, shipped())
    with pytest.raises(BadInput, match=r"needs DICOM series, and mask is none"):
        writer.check([Scan("mask", (root / "mask.nii.gz",), ".nii.gz")])
    replace(writer, formats=()).check([Scan("mask", (root / "mask.nii.gz",), ".nii.gz")])


@pytest.mark.parametrize(
    ("name", "code", "modifiers", "region"),
    [
        ("liver", "10200004", [], None), ("kidney_left", "64033007", ["Left"], None), ("Left Kidney", "64033007", ["Left"], None),
        ("vertebrae_L5", "49668003", [], None), ("T12", "23215003", [], None), ("lesion 3", "52988006", [], None),
        ("anterior hippocampus", "5366008", ["Anterior"], None), ("kidneyTumour", "108369006", [], "Kidney"),
        ("lung_upper_lobe_right", "45653009", ["Right"], None), ("femur", "71341001", [], None), ("blob", "85756007", [], None),
    ],
)  # fmt: skip
def test_names_find_their_codes(name: str, code: str, modifiers: list[str], region: str | None) -> None:
    meaning = shipped().meaning(name)
    assert (meaning.type.value, [m.meaning for m in meaning.modifiers]) == (code, modifiers)
    assert (meaning.region.meaning if meaning.region else None) == region
    assert meaning.generic == (name == "blob")


def test_shipped_codes_are_those_of_the_standard() -> None:
    """Against the context groups of DICOM PS3.16 that pydicom ships."""
    from pydicom.sr._concepts_dict import concepts

    known: dict[str, set[str]] = {}
    for entries in concepts["SCT"].values():
        for value, (term, *_) in entries.items():
            known.setdefault(value, set()).add(term.lower())
    meanings = set(shipped().meanings.values())
    missing = {m.type for m in meanings if m.type.meaning.lower() not in known.get(m.type.value, set())}
    assert {code.meaning for code in missing} <= {"Intervertebral disc"}
    assert len(meanings) > 120


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a,10200005,Liver", "check digit"), ("a,78961009,Liver", "'Liver' is 10200004"), ("a,10200004,", "no meaning"),
        ("a,12,Short", "check digit"), ("a,10200004,Liver\nA,78961009,Spleen", "two codes"), (",10200004,Liver", "no label"),
    ],
)  # fmt: skip
def test_wrong_codes_are_refused(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "codes.csv"
    path.write_text(f"label,type,meaning\n{line}\n")
    with pytest.raises(BadInput, match=said):
        read_codes(path)


def test_a_table_of_codes_goes_before_the_shipped_one(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("label,type,meaning,scheme,category\nblob,X1,Blob,99MINE,abnormality\n")
    (tmp_path / "mine.csv").write_text("label,type,meaning\nblob,12738006,Brain\n")
    assert codes_of(tmp_path, None).meaning("blob").type == Code("X1", "99MINE", "Blob")
    assert codes_of(tmp_path, tmp_path / "mine.csv").meaning("blob").type.meaning == "Brain"
    assert codes_of(tmp_path, None).meaning("liver").type.value == "10200004"
    for text, said in (("label,typ\n", "column 'typ'"), ("x\n", "column 'x'"), ("label,color\na,red\n", "")):
        (tmp_path / "bad.csv").write_text(text)
        if said:
            with pytest.raises(BadInput, match=said):
                read_codes(tmp_path / "bad.csv")
    assert checked(Code("10200004", "SCT", "Hepar"), "x").value == "10200004", "another word for it is allowed"


def test_rows_of_a_table_that_no_label_of_the_run_has_are_told(root: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(
        "label,also,type,meaning\nkidny,,64033007,Kidney\nliver,hepar,10200004,Liver\nspleen,,78961009,Spleen\n"
    )
    table = codes_of(None, tmp_path / "mine.csv")
    assert table.unused(["kidney_left", "Hepar 2", "left spleen"]) == ["kidny"]
    assert codes_of(None, None).unused(["kidney"]) == [], "the shipped table speaks of more labels than any run has"
    writer = DicomWriter(("seg",), RUN, table)
    scan = Scan("s", (root / "series",), ".nii.gz")
    findings, volume = Findings(np.load(root / "mask.npy"), NAMES), read_volume(root / "series")
    with collect() as heard:
        writer.write(findings, volume, scan, tmp_path)
    (note,) = heard
    assert (
        note.text
        == "the table of codes has rows for kidny, spleen, which the run does not label; it labels liver, kidney_left"
    )


def test_a_report_without_segmentation_names_the_labels(root: Path, tmp_path: Path) -> None:
    source, mask = open_source(root / "series"), np.load(root / "mask.npy")
    segments = [Segment(v, n, shipped().meaning(n)) for v, n in NAMES.items()]
    sized = with_sizes(Findings(mask, NAMES), segments, source)
    path = write_report(sized, segments, source, tmp_path / "r.dcm", RUN)
    assert faults(path) == []
    assert {"Volume", "Maximum 3D Diameter", "Long Axis", "Short Axis"} <= set(numbers(pydicom.dcmread(path)))
    seg = write_seg(mask, segments, source, tmp_path / "s.dcm", RUN)
    stored = Stored(pydicom.dcmread(seg), {"liver": 1, "kidney_left": 2})
    assert faults(write_report(sized, segments, source, tmp_path / "r2.dcm", RUN, stored)) == []


def test_json_lists_the_objects(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["export-dicom", str(root / "mask.nii.gz"), "--source", str(root / "series"), "-o", str(tmp_path), "--json"]
    assert voxloom(line) == 0
    assert json.loads(capsys.readouterr().out)["written"] == [str(tmp_path / "mask.seg.dcm")]
