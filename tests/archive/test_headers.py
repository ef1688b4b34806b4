"""The fast header parser says what pydicom says, and leaves to pydicom what is unusual."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from voxloom.archive.parse import MARGIN, HeaderParser, Status
from voxloom.archive.read import DiskFile, read_headers
from voxloom.archive.rows import finish
from voxloom.archive.slow import read_slowly

from .make import SYNTAXES, header, save

WIDTH = (8 << 10) + MARGIN
FOLDERS = ("brain-dicom", "dicom-trio", "ct-torso", "dicom-ct-tilt", "dicom-syntaxes")


def parse(content: bytes) -> tuple[Status, dict[str, Any]]:
    """Status and values of one file by the fast parser alone."""
    buffer = bytearray(WIDTH)
    size = min(len(content), WIDTH - MARGIN)
    buffer[:size] = content[:size]
    parsed = HeaderParser().parse(buffer, WIDTH, np.array([size]), np.array([size == len(content)]))
    return Status(parsed.status[0]), {name: v and v[0] for name, v in parsed.columns.items()}


def both(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The finished values by the fast parser and by pydicom."""
    status, fast = parse(content)
    assert status == Status.DONE
    slow = read_slowly(io.BytesIO(content))
    slow.pop("derived_frame_locations")
    fast.pop("header_bytes")
    helpers = ("creator_0043", "b_value_ge", "creator_2001", "b_value_philips")  # read further on for two vendors only
    fast, slow = {**fast, **finish(fast)}, {**slow, **finish(slow)}
    return ({k: v for k, v in values.items() if k not in helpers} for values in (fast, slow))  # type: ignore[return-value]


def real_files(data_dir: Path) -> list[Path]:
    """Some files of every real series, and all of the folder with nine syntaxes."""
    files = [
        p for name in FOLDERS for p in sorted((data_dir / name).rglob("*")) if p.is_file() and ".nii" not in p.name
    ]
    return [p for n, p in enumerate(files) if n % 9 == 0 or "syntaxes" in str(p)]


def test_real_headers_are_read_as_by_pydicom(data_dir: Path) -> None:
    files = real_files(data_dir)
    assert len(files) > 60
    for path in files:
        fast, slow = both(path.read_bytes()[:200_000] if path.stat().st_size > 400_000 else path.read_bytes())
        assert fast == slow, path


def test_values_are_those_of_the_dataset(data_dir: Path) -> None:
    path = data_dir / "brain-dicom" / "Study1" / "12-T1post-05670" / "000003.dcm"
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    _, values = parse(path.read_bytes())
    assert values["SeriesInstanceUID"] == dataset.SeriesInstanceUID
    assert values["PatientName"] == str(dataset.PatientName)
    assert values["SeriesDescription"] == dataset.SeriesDescription
    assert values["ImagePositionPatient"][2] == float(dataset.ImagePositionPatient[2])
    assert values["ImageOrientationPatient"][4] == float(dataset.ImageOrientationPatient[4])
    assert values["RepetitionTime"] == float(dataset.RepetitionTime)
    assert values["InstanceNumber"] == int(dataset.InstanceNumber)
    assert (values["Rows"], values["BitsAllocated"]) == (dataset.Rows, dataset.BitsAllocated)
    assert values["TransferSyntaxUID"] == dataset.file_meta.TransferSyntaxUID


def nested(depth: int, unknown_length: bool) -> Sequence:
    """A sequence in a sequence in ..., with elements that must not be taken for the outer ones."""
    item = Dataset()
    item.PatientID, item.SeriesDescription, item.EchoTime = "WRONG", "WRONG", 99
    if depth:
        item.ReferencedSeriesSequence = nested(depth - 1, unknown_length)
        item["ReferencedSeriesSequence"].is_undefined_length = unknown_length
    item.is_undefined_length_sequence_item = unknown_length
    return Sequence([item, Dataset()])


@pytest.mark.parametrize("unknown_length", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_syntax_with_nested_sequences(syntax: str, unknown_length: bool, tmp_path: Path) -> None:
    dataset = header(
        ReferencedStudySequence=nested(2, unknown_length), ReferencedImageSequence=nested(0, unknown_length)
    )
    dataset["ReferencedStudySequence"].is_undefined_length = unknown_length
    dataset["ReferencedImageSequence"].is_undefined_length = unknown_length
    fast, slow = both(save(dataset, tmp_path / "a", syntax).read_bytes())
    assert fast == slow
    assert (fast["PatientID"], fast["EchoTime"], fast["Rows"]) == ("P1", 12.0, 8)


ODD_TEXT = st.text(
    st.characters(codec="latin-1", exclude_categories=("Cc", "Zs", "Zl"), exclude_characters="\\=^"), max_size=24
)
NUMBER = st.one_of(st.integers(-(2**31), 2**31 - 1), st.floats(-1e6, 1e6).map(lambda v: round(v, 3)))


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    syntax=st.sampled_from(list(SYNTAXES)),
    texts=st.lists(ODD_TEXT, min_size=4, max_size=4),
    numbers=st.lists(NUMBER, min_size=6, max_size=6),
    charset=st.sampled_from(["ISO_IR 100", "ISO_IR 192", None]),
    left_out=st.sets(st.sampled_from(["PatientID", "EchoTime", "PixelSpacing", "InstanceNumber", "ImageType", "Rows"])),
)
def test_any_values(
    syntax: str, texts: list[str], numbers: list[Any], charset: str | None, left_out: set[str], tmp_path: Path
) -> None:
    if charset is None:
        texts = [text.encode("ascii", "ignore").decode() for text in texts]
    words = dict(zip(["PatientName", "SeriesDescription", "StudyDescription", "InstitutionName"], texts, strict=True))
    places = {"ImagePositionPatient": numbers[:3], "EchoTime": numbers[3], "RepetitionTime": numbers[4]}
    given_values = {
        **words,
        **places,
        **dict.fromkeys(left_out),
        "SpecificCharacterSet": charset,
        "DiffusionBValue": 3.5,
    }
    content = save(header(**given_values), tmp_path / "any", syntax).read_bytes()
    fast, slow = both(content)
    assert fast == slow
    assert fast["derived_b_value"] == 3.5


def private(group: int, creator: str, element: int, vr: str, value: Any) -> Callable[[Dataset], None]:
    return lambda dataset: dataset.private_block(group, creator, create=True).add_new(element, vr, value)


@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize(
    ("maker", "add", "expected"),
    [
        ("SIEMENS", private(0x0019, "SIEMENS MR HEADER", 0x0C, "IS", "800"), 800.0),
        ("SIEMENS", private(0x0019, "SOMETHING ELSE", 0x0C, "IS", "800"), None),
        ("GE MEDICAL SYSTEMS", private(0x0043, "GEMS_PARM_01", 0x39, "IS", [1000000800, 8, 0, 0]), 800.0),
        ("GE MEDICAL SYSTEMS", private(0x0043, "GEMS_PARM_01", 0x39, "IS", [50, 8, 0, 0]), 50.0),
        ("Philips Medical Systems", private(0x2001, "Philips Imaging DD 001", 0x03, "FL", 600.0), 600.0),
        ("Canon", private(0x0043, "GEMS_PARM_01", 0x39, "IS", [50, 8, 0, 0]), None),
    ],
)
def test_b_value_of_vendors(
    maker: str, add: Callable[[Dataset], None], expected: float | None, syntax: str, tmp_path: Path
) -> None:
    dataset = header(Manufacturer=maker)
    add(dataset)
    fast, slow = both(save(dataset, tmp_path / "a", syntax).read_bytes())
    assert fast == slow
    assert fast["derived_b_value"] == expected


def test_long_headers_are_read_further(tmp_path: Path) -> None:
    dataset = header(ImageComments=None)
    dataset.private_block(0x0019, "LONG", create=True).add_new(1, "OB", bytes(30_000))
    path = save(dataset, tmp_path / "long.dcm")
    assert parse(path.read_bytes())[0] == Status.MORE
    row = read([path])
    assert row.columns["Rows"] == [8]
    assert row.problems == []


@pytest.mark.parametrize(
    ("charset", "name"),
    [("ISO_IR 144", "Люкceмбypг"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎"), ("GB18030", "王^小东")],
)
def test_rare_character_sets_are_left_to_pydicom(charset: Any, name: str, tmp_path: Path) -> None:
    path = save(header(SpecificCharacterSet=charset, PatientName=name), tmp_path / "ü 1")
    assert parse(path.read_bytes())[0] == Status.UNUSUAL
    assert read([path]).columns["PatientName"] == [name]


def test_file_without_preamble(tmp_path: Path) -> None:
    path = tmp_path / "bare"
    pydicom.dcmwrite(path, header(), implicit_vr=True, little_endian=True, enforce_file_format=False)
    assert path.read_bytes()[128:132] != b"DICM"
    assert read([path]).columns["PatientID"] == ["P1"]


def read(paths: list[Path]) -> Any:
    return read_headers([DiskFile(str(p), p.stat().st_size, 0) for p in paths], HeaderParser())


def test_broken_files_are_problems_and_others_are_counted(tmp_path: Path) -> None:
    good = save(header(), tmp_path / "good")
    content = good.read_bytes()
    (tmp_path / "cut in pixels").write_bytes(content[:-20])
    (tmp_path / "cut in header").write_bytes(content[:700])
    (tmp_path / "cut in meta").write_bytes(content[:180])
    (tmp_path / "noise").write_bytes(np.random.default_rng(1).bytes(5000))
    (tmp_path / "noise behind the magic").write_bytes(bytes(128) + b"DICM" + np.random.default_rng(2).bytes(5000))
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "no.dcm").write_bytes(bytes(500))
    (tmp_path / "lock.txt").touch()
    found = read([*sorted(tmp_path.iterdir()), tmp_path / "good"])
    problems = {Path(file).name: reason for file, _, reason in found.problems}
    assert set(problems) == {
        "cut in pixels",
        "cut in header",
        "cut in meta",
        "noise behind the magic",
        "empty",
        "no.dcm",
    }
    assert problems["empty"] == "is empty (0 bytes)"
    assert problems["no.dcm"] == "is not DICOM, though it ends with .dcm"
    assert "is cut: header and pixels need" in problems["cut in pixels"]
    assert found.others == 3
    assert found.count == 2


def test_enhanced_object_tells_its_frames(tmp_path: Path) -> None:
    def macro(**keywords: Any) -> Dataset:
        made = Dataset()
        for key, value in keywords.items():
            setattr(made, key, value)
        return made

    def frame(z: float) -> Dataset:
        return macro(PlanePositionSequence=Sequence([macro(ImagePositionPatient=[0, 0, z])]))

    shared = macro(
        PlaneOrientationSequence=Sequence([macro(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]),
        PixelMeasuresSequence=Sequence([macro(PixelSpacing=[0.5, 0.5], SliceThickness=3)]),
        MREchoSequence=Sequence([macro(EffectiveEchoTime=77.0)]),
    )
    dataset = header(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.4.1", NumberOfFrames=4, PixelData=bytes(4 * 128), ImagePositionPatient=None,
        ImageOrientationPatient=None, PixelSpacing=None, EchoTime=None, SliceThickness=None,
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence([frame(z) for z in (0, 3.5, 7, 10.5)]),
    )  # fmt: skip
    found = read([save(dataset, tmp_path / "enhanced.dcm")])
    assert found.columns["derived_frame_locations"] == [[0, 3.5, 7, 10.5]]
    assert found.columns["PixelSpacing"] == [(0.5, 0.5)]
    assert found.columns["EchoTime"] == [77.0]
    assert found.columns["ImageOrientationPatient"] == [(1, 0, 0, 0, 1, 0)]
    assert found.columns["NumberOfFrames"] == [4]
