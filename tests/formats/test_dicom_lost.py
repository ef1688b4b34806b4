"""Slices that a copy lost, and headers that a fault damaged: refused by name, never passed over, never a traceback."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from pydicom.dataelem import RawDataElement

from voxloom.archive.parse import HeaderParser
from voxloom.archive.read import DiskFile, read_headers
from voxloom.errors import BadInput
from voxloom.formats import dicom, read_header, read_volume

Series = Callable[..., Path]
FILES = sorted(
    p for p in Path(pydicom.data.__file__).parent.rglob("*") if p.is_file() and not p.suffix.startswith(".py")
)


@pytest.mark.parametrize("number", [1, 3, 6], ids=["first", "middle", "last"])
@pytest.mark.parametrize("left", [0, 100, 140, 200, 500, 900], ids=lambda left: f"{left} bytes")
def test_a_cut_slice_is_refused_by_name(left: int, number: int, series: Series) -> None:
    folder = series()
    path = folder / f"000{number}.dcm"
    path.write_bytes(path.read_bytes()[:left])
    for reader in (read_volume, read_header):
        with pytest.raises(BadInput, match=rf"000{number}\.dcm"):
            reader(folder)


@pytest.mark.parametrize("name", ["{}", "IM{}", "1.2.826.0.1.{}", "IM{}.img", "{}.IMA"])
@pytest.mark.parametrize("content", [b"", bytes(3000), b"\xff" * 3000], ids=["empty", "zeros", "rubbish"])
def test_names_of_any_kind_are_recognized(content: bytes, name: str, series: Series) -> None:
    folder = series()
    for k, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / name.format(k + 1))
    lost = folder / name.format(6)
    lost.write_bytes(content)
    with pytest.raises(BadInput, match="among the files of a series: a slice may be lost") as caught:
        read_volume(folder)
    assert str(caught.value).startswith(f"{lost}: ")


@pytest.mark.parametrize("ending", [".part", ".crdownload", ".filepart", ".tmp"])
def test_an_unfinished_copy_is_a_lost_slice(ending: str, series: Series) -> None:
    folder = series()
    (folder / "0006.dcm").rename(folder / f"0006.dcm{ending}")
    (folder / f"0006.dcm{ending}").write_bytes(b"half")
    with pytest.raises(BadInput, match=rf"is an unfinished copy \({ending}\)"):
        read_volume(folder)


def test_what_is_no_slice_is_passed_over(series: Series) -> None:
    folder = series()
    for name in ("._0001.dcm", ".DS_Store", "README", "notes.txt", "0001.json", "Thumbs.db"):
        (folder / name).write_text("not a slice")
    (folder / "lock.txt").touch()
    assert read_volume(folder).shape == (4, 5, 6)


def test_a_slice_without_preamble_is_read(series: Series) -> None:
    folder = series()
    path = folder / "0006.dcm"
    path.write_bytes(path.read_bytes()[132:])
    assert read_volume(folder).shape == (4, 5, 6)


def is_read_or_refused(reader: Callable[[Path], Any], path: Path) -> bool:
    """Whether a file becomes an image, or is refused in one line."""
    try:
        return min(reader(path).shape) >= 1
    except BadInput as error:
        return "\n" not in str(error)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_of_pydicom_is_read_or_refused(path: Path) -> None:
    for reader in (dicom.read, dicom.read_header):
        assert is_read_or_refused(reader, path)


NASTY = (b"1A", b"", b"\\\\", b"nan ", b"1e400 ", b"-1", b"0 ", b"9" * 30, b"\xff\xfe\x00\x01")


@pytest.mark.parametrize("name", ["MR_small.dcm", "rtdose.dcm", "liver_1frame.dcm", "badVR.dcm"])
def test_any_damaged_element_is_read_or_refused(name: str, tmp_path: Path) -> None:
    """Every element of a header in turn holds what it should not: no reader ends in an exception of another kind."""
    source = next(path for path in FILES if path.name == name)
    clean = pydicom.dcmread(source)
    tags = [
        element.tag for element in clean if element.VR != "SQ" and element.tag.group in (0x08, 0x18, 0x20, 0x28, 0x3004)
    ]
    damaged = tmp_path / "a.dcm"
    tried = 0
    for n, tag in enumerate(tags):
        dataset = pydicom.dcmread(source)
        vr = "US" if " or " in dataset[tag].VR else dataset[tag].VR
        value = NASTY[n % len(NASTY)]
        dataset._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, dataset.original_encoding[0], True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset.save_as(damaged)
            except (ValueError, AttributeError, TypeError):  # pydicom writes no such element
                continue
        tried += 1
        for reader in (dicom.read, dicom.read_header):
            assert is_read_or_refused(reader, damaged)
        found = read_headers([DiskFile(str(damaged), damaged.stat().st_size, 0)], HeaderParser())
        assert found.count + found.others + len(found.problems) == 1
    assert tried > 20
