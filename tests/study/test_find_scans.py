"""What files and folders amount to when they are predicted: every scan once, under its own name, and the rest told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from voxloom.errors import BadInput
from voxloom.formats import write_dicom_series, write_volume
from voxloom.run.find_scans import find_scans
from voxloom.run.scans import Scan, read_scan
from voxloom.volume import Volume

SHAPE = (6, 5, 4)


def volume(value: int = 7, channels: int = 1) -> Volume:
    """A small volume of one value per channel."""
    data = np.stack([np.full(SHAPE, value + n, np.int16) for n in range(channels)])
    return Volume(data, np.diag([-1.0, -1.0, 2.0, 1.0]))


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Write files of one voxel value each into a folder."""

    def put_(folder: str, *names: str, value: int = 7) -> Path:
        for name in names:
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            whole = tmp_path / folder / name
            plain = whole.with_name(f"plain{'.nii.gz' if name.lower().endswith('gz') else whole.suffix.lower()}")
            write_volume(volume(value), plain)
            plain.rename(whole)
        return tmp_path / folder

    return put_


def slices(folder: Path, value: int, **header: str | int) -> Path:
    """A DICOM series of one voxel value."""
    part = folder / ".part"
    files = write_dicom_series(volume(value), part, template=header)
    for file in files:
        file.rename(folder / f"{value}-{file.name}")
    part.rmdir()
    return folder


def names(scans: list[Scan]) -> list[str]:
    """Names of the results."""
    return [f"{scan.name}{scan.ending}" for scan in scans]


def test_names_with_numbers_and_one_channel(put: Callable[..., Path]) -> None:
    folder = put("scans", "scan_0001.nii.gz", "scan_0002.nii.gz", "MR-1_2021.nii.gz")
    assert sorted(names(find_scans([folder], 1))) == ["MR-1_2021.nii.gz", "scan_0001.nii.gz", "scan_0002.nii.gz"]
    assert names(find_scans([folder / "scan_0002.nii.gz"], 1)) == ["scan_0002.nii.gz"]
    assert names(find_scans([put("nnunet", "a_0000.nii.gz", "b_0000.nii.gz")], 1)) == ["a.nii.gz", "b.nii.gz"]
    told: list[str] = []
    counted = put("counted", "s_0000.nii.gz", "s_0001.nii.gz")
    assert names(find_scans([counted], 1, tell=told.append)) == ["s_0000.nii.gz", "s_0001.nii.gz"]
    assert told == ["s_0000: scans of their own with their neighbours, as the run has one channel"]
    pairs = put("pairs", *(f"{case}_000{n}.nii.gz" for case in "ab" for n in (0, 1)))
    with pytest.raises(BadInput, match="case a has channels 0 and 1, the run needs 0"):
        find_scans([pairs], 1)


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        ("12", r"has channels 1 and 2, the run needs 0 and 1 \(channel 0 is missing\)"),
        ("02", r"has channels 0 and 2, the run needs 0 and 1 \(channel 1 is missing\)"),
        ("0", r"has channel 0, the run needs 0 and 1 \(channel 1 is missing\)"),
        ("012", "has channels 0, 1 and 2, the run needs 0 and 1"),
    ],
)
def test_channels_are_numbered_as_the_run_needs(put: Callable[..., Path], numbers: str, told: str) -> None:
    folder = put("scans", *(f"p_000{n}.nii.gz" for n in numbers))
    for source in (folder, folder / f"p_000{numbers[0]}.nii.gz"):
        with pytest.raises(BadInput, match=f"case p {told}"):
            find_scans([source], 2)
    if numbers == "12":
        with pytest.raises(BadInput, match="case p has channels 1 and 2"):
            find_scans([folder], 2, may_lack=True)


def test_a_file_may_hold_all_channels(tmp_path: Path, put: Callable[..., Path]) -> None:
    write_volume(volume(5, channels=2), tmp_path / "both" / "p_2021.nii.gz")
    (scan,) = find_scans([tmp_path / "both"], 2)
    assert (scan.name, read_scan(scan).data[:, 0, 0, 0].tolist()) == ("p_2021", [5, 6])
    with pytest.raises(BadInput, match="case q has one file without a channel number, the run needs 0 and 1"):
        find_scans([put("one", "q.nii.gz")], 2)


def test_slices_with_a_preview_are_the_series(tmp_path: Path) -> None:
    folder = slices(tmp_path / "dcm", 7)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "thumbnail.png")
    told: list[str] = []
    (scan,) = find_scans([folder], 1, tell=told.append)
    assert (scan.name, read_scan(scan).shape) == ("dcm", SHAPE)
    assert told == [f"{folder}: left out, beside other images: thumbnail.png"]


def test_a_slice_that_is_lost_is_not_called_left_out(tmp_path: Path) -> None:
    """One line says what is wrong: reading refuses the empty slice, so nothing was left out."""
    folder = slices(tmp_path / "dcm", 7)
    sorted(folder.iterdir())[-1].with_name("IM0099.dcm").write_bytes(b"")
    (folder / "notes.txt").write_text("words")
    told: list[str] = []
    (scan,) = find_scans([folder], 1, tell=told.append)
    assert told == [f"{folder}: left out, not images by their ending: notes.txt"]
    with pytest.raises(BadInput, match="is empty .0 bytes."):
        read_scan(scan)


def test_names_that_differ_by_case_only_are_told(put: Callable[..., Path]) -> None:
    folder, told = put("in", "Scan.nii.gz", "scan.nii.gz", "other.nii.gz"), list[str]()
    assert len(find_scans([folder], 1, tell=told.append)) == 3
    (text,) = told
    assert "differ by upper and lower case only" in text
    assert "other" not in text.split(" and others")[0]


def test_folders_of_slices_beside_files(tmp_path: Path, put: Callable[..., Path]) -> None:
    mixed = put("mixed", "p1.nii.gz", "P3.NII.GZ")
    slices(mixed / "p2", 7)
    put("mixed/more", "p4.nii.gz")
    (mixed / "notes.txt").write_text("words")
    (mixed / "._p1.nii.gz").write_text("clutter")
    told: list[str] = []
    assert sorted(names(find_scans([mixed], 1, tell=told.append))) == ["P3.nii.gz", "p1.nii.gz", "p2.nii.gz"]
    assert [text.partition(": ")[2] for text in told] == [
        "subfolders that were not entered, as they hold images but no DICOM series: more",
        "left out, not images by their ending: notes.txt",
    ]
    shutil.rmtree(mixed / "p2")
    with pytest.raises(BadInput, match="holds no scan itself; images lie in its subfolders mixed"):
        find_scans([tmp_path], 1)


def test_patients_and_parts_of_one_series(tmp_path: Path) -> None:
    for n in (1, 2):
        slices(tmp_path / "many" / f"p{n}", n)
    assert [(s.name, int(read_scan(s).data.max())) for s in find_scans([tmp_path / "many"], 1)] == [
        ("p1", 1),
        ("p2", 2),
    ]
    whole = slices(tmp_path / "export" / "S1", 7)
    (tmp_path / "export" / "S2").mkdir()
    for path in sorted(whole.iterdir())[:2]:
        path.rename(tmp_path / "export" / "S2" / path.name)
    (scan,) = find_scans([tmp_path / "export"], 1)
    assert (scan.name, read_scan(scan).shape) == ("export", SHAPE)
    slices(tmp_path / "export" / "S3", 9)
    with pytest.raises(BadInput, match="slices of one series lie in S1 and in S2"):
        find_scans([tmp_path / "export"], 1)


def test_one_of_several_series_is_chosen(tmp_path: Path) -> None:
    folder = slices(tmp_path / "p1", 1, SeriesDescription="T1 sag", SeriesNumber=3)
    slices(folder, 2, SeriesDescription="T2 sag", SeriesNumber=4)
    (scan,) = find_scans([folder], 1)
    with pytest.raises(BadInput, match=r"holds 2 series: .*number 3, T1 sag.*Choose one: --series"):
        read_scan(scan)
    for wanted, value in (("t2 SAG", 2), ("3", 1)):
        (scan,) = find_scans([folder], 1, series=["nothing", wanted])
        assert int(read_scan(scan).data.max()) == value
    uid = read_scan(scan).meta["series_uid"]
    (scan,) = find_scans([folder], 1, series=[uid])
    assert int(read_scan(scan).data.max()) == 1
    for wanted, told in (("sag", "no series is named sag; there are"), ("T1 sag|T2 sag", "2 series are named")):
        (scan,) = find_scans([folder], 1, series=wanted.split("|"))
        with pytest.raises(BadInput, match=told):
            read_scan(scan)


def test_what_is_no_scan_is_refused_in_words(tmp_path: Path, put: Callable[..., Path]) -> None:
    (tmp_path / "study.zip").write_bytes(b"PK")
    (tmp_path / "a.nii.gz").symlink_to(tmp_path / "gone.nii.gz")
    with pytest.raises(BadInput, match="is a packed archive. Unpack it"):
        find_scans([tmp_path / "study.zip"], 1)
    with pytest.raises(BadInput, match=r"is a link to .*gone.nii.gz, which is not there"):
        find_scans([tmp_path / "a.nii.gz"], 1)
    (tmp_path / "a.nii.gz").unlink()
    with pytest.raises(BadInput, match="holds packed archives: study.zip"):
        find_scans([tmp_path], 1)
    for folder in ("one", "two"):
        put(folder, "s.nii.gz")
    with pytest.raises(BadInput, match=r"would be written as s: .*one.s\.nii\.gz and .*two.s\.nii\.gz"):
        find_scans([tmp_path / "one", tmp_path / "two"], 1)


def test_a_jpeg_gets_a_png(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "x.JPG")
    assert names(find_scans([tmp_path], 1)) == ["x.png"]
    Image.fromarray(np.full((5, 6, 3), (200, 100, 0), np.uint8)).save(tmp_path / "x.JPG")
    (scan,) = find_scans([tmp_path], 3)
    assert read_scan(scan).data.shape == (3, 6, 5, 1)


def test_a_lone_series_with_the_number_of_a_channel_is_that_channel(tmp_path: Path) -> None:
    (tmp_path / "scan" / "case_0001").mkdir(parents=True)
    part = slices(tmp_path / "scan" / "case_0001", 5)
    (scan,) = find_scans([tmp_path / "scan"], 2, may_lack=True)
    assert (scan.name, scan.source, scan.missing) == ("case", (part,), (0,))
    (scan,) = find_scans([tmp_path / "scan"], 1)
    assert (scan.name, scan.missing) == ("scan", ()), "the digits mean nothing to a run of one channel"
