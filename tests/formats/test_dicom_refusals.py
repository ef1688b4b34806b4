"""Every DICOM folder that Voxloom refuses, with the line that it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless, generate_uid

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume, write_volume
from voxloom.notes import collect
from voxloom.volume import Volume

Series = Callable[..., Path]


def refused(folder: Path, reason: str) -> str:
    """Both readers refuse the folder for the reason, in one line."""
    with pytest.raises(BadInput, match=reason) as caught:
        read_volume(folder)
    with pytest.raises(BadInput, match=reason):
        read_header(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_slice(series: Series) -> None:
    folder = series()
    (folder / "0003.dcm").unlink()
    refused(folder, r"1 slice is missing, at 5\.0 mm along the normal \(step 2\.50 mm\)")


def test_missing_slices(series: Series) -> None:
    folder = series()
    for name in ("0002.dcm", "0004.dcm", "0005.dcm"):
        (folder / name).unlink()
    with pytest.raises(BadInput):
        read_volume(folder)


def test_several_missing_slices_are_listed(series: Series) -> None:
    folder = series()
    (folder / "0004.dcm").unlink()
    (folder / "0003.dcm").unlink()
    refused(folder, r"2 slices are missing, at 5\.0, 7\.5 mm")


def test_unequal_spacing(series: Series) -> None:
    def stretch(k: int, slice_: Any) -> None:
        slice_.ImagePositionPatient = [0, 0, [0, 2.5, 5, 8.7, 12.4, 16.1][k]]

    line = refused(series(stretch), r"the slices are unequally spaced: 2\.5, 3\.7 mm apart")
    assert "--resample-tilt" in line


def test_rounded_positions_are_accepted(series: Series) -> None:
    def rounded(k: int, slice_: Any) -> None:
        slice_.ImagePositionPatient = [0, 0, round(0.625 * k, 1)]

    assert read_volume(series(rounded)).shape == (4, 5, 6)


def test_several_series(series: Series) -> None:
    def split(k: int, slice_: Any) -> None:
        slice_.SeriesInstanceUID = f"1.2.{k // 4}"
        slice_.SeriesDescription = ["T1", "T2"][k // 4]
        slice_.SeriesNumber = [7, 8][k // 4]

    reason = (
        r"holds 2 series: 1\.2\.0 \(number 7, T1, 4 files such as 0001\.dcm\); "
        r"1\.2\.1 \(number 8, T2, 2 files such as 0005\.dcm\)\. Choose one"
    )
    folder = series(split)
    refused(folder, reason)
    for name in ("1.2.1", "8", "t2"):
        assert read_volume(folder, series=name).shape == read_header(folder, series=name).shape == (4, 5, 2)
    with pytest.raises(BadInput, match=r"no series is named 3; there are 1\.2\.0 .* Choose by the UID"):
        read_volume(folder, series="3")


def test_two_series_of_one_name_are_not_guessed(series: Series) -> None:
    def split(k: int, slice_: Any) -> None:
        slice_.SeriesInstanceUID = f"1.2.{k // 3}"
        slice_.SeriesDescription = "T1"

    folder = series(split)
    with pytest.raises(BadInput, match=r"2 series are named T1; there are 1\.2\.0 .*; 1\.2\.1 "):
        read_volume(folder, series="T1")
    assert read_volume(folder, series="1.2.1").shape == (4, 5, 3)


def test_only_dicom_has_series(upright: Volume, tmp_path: Path) -> None:
    path = write_volume(upright, tmp_path / "a.nii.gz")
    for reader in (read_volume, read_header):
        with pytest.raises(BadInput, match="holds no DICOM series 'T1'"):
            reader(path, series="T1")


def test_several_echoes(series: Series) -> None:
    def echo(k: int, slice_: Any) -> None:
        slice_.EchoTime = [4.92, 7.38][k % 2]

    refused(series(echo), r"mixes 2 echoes in one series: 4\.92 ms \(3 images\), 7\.38 ms \(3 images\)")


def test_several_patients_and_parts_of_a_signal(series: Series) -> None:
    def patient(k: int, slice_: Any) -> None:
        slice_.PatientID = "Doe" if k else "Roe"

    said = refused(series(patient, "patients"), "holds images of 2 patients under one series")
    assert "Doe" not in said.replace(str(Path.cwd()), "")

    def part(k: int, slice_: Any) -> None:
        slice_.ImageType = ["ORIGINAL", "PRIMARY", "M" if k < 3 else "P", "ND"]

    refused(series(part, "parts"), "mixes images of the kinds M and P")


def test_what_a_reader_must_know_of_places_is_told(series: Series) -> None:
    def detector(k: int, slice_: Any) -> None:
        slice_.ImagerPixelSpacing = slice_.PixelSpacing
        del slice_.PixelSpacing

    def frame(k: int, slice_: Any) -> None:
        slice_.FrameOfReferenceUID = f"1.2.{k // 3}"

    for edit, told in ((detector, "the pixel size is that of the detector"), (frame, "name 2 frames of reference")):
        with collect() as heard:
            read_volume(series(edit, told[:9]))
        assert [note.text for note in heard if told in note.text and note.is_warning]


def test_duplicates(series: Series) -> None:
    folder = series()
    copy = pydicom.dcmread(shutil.copy(folder / "0002.dcm", folder / "copy.dcm"))
    copy.SOPInstanceUID = generate_uid()
    copy.save_as(folder / "copy.dcm")
    refused(folder, r"1 slice lies at the position of another, such as 0002\.dcm and copy\.dcm at 2\.5 mm")


def test_time_frames(series: Series) -> None:
    def frames(k: int, slice_: Any) -> None:
        slice_.ImagePositionPatient = [0, 0, 2.5 * (k // 2)]
        slice_.TemporalPositionIdentifier = k % 2 + 1

    refused(series(frames), "is 4D: every position 2 times, with time frame 1, 2")


@pytest.mark.parametrize("degrees", [-18.5, 5, 30])
def test_gantry_tilt(degrees: float, series: Series) -> None:
    angle = np.radians(degrees)

    def tilt(k: int, slice_: Any) -> None:
        slice_.ImageOrientationPatient = [1, 0, 0, 0, round(np.cos(angle), 6), round(np.sin(angle), 6)]

    line = refused(series(tilt), f"the gantry was tilted by {abs(degrees):.1f} degrees")
    assert "--resample-tilt" in line


def test_slices_beside_their_line(series: Series) -> None:
    def shift(k: int, slice_: Any) -> None:
        slice_.ImagePositionPatient = [3.0 * (k == 2), 0, 2.5 * k]

    refused(series(shift), r"do not lie on one line \(off by 3\.0 mm\)")


def test_mixed_sizes_and_directions(series: Series) -> None:
    def direction(k: int, slice_: Any) -> None:
        if k == 0:
            slice_.ImageOrientationPatient = [0, 1, 0, 0, 0, 1]

    def size(k: int, slice_: Any) -> None:
        if k == 0:
            slice_.Rows, slice_.Columns = slice_.Columns, slice_.Rows

    def pixel(k: int, slice_: Any) -> None:
        if k == 0:
            slice_.PixelSpacing = [1, 1]

    refused(series(direction, "direction"), "mixes images of 2 directions")
    refused(series(size, "size"), "mixes images of 2 sizes: 4 x 5, 5 x 4")
    refused(series(pixel, "pixel"), "mixes 2 pixel sizes")


@pytest.mark.parametrize(
    ("uid", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set Storage"),
        ("1.2.840.10008.5.1.4.1.1.88.22", "Enhanced SR Storage"),
    ],
)
def test_no_pixel_data(uid: str, name: str, series: Series) -> None:
    def strip(_: int, slice_: Any) -> None:
        slice_.SOPClassUID = slice_.file_meta.MediaStorageSOPClassUID = uid
        del slice_.Rows, slice_.Columns, slice_.PixelData

    refused(series(strip), rf"holds no pixel data \(6 x {name}\)")


def test_objects_without_pixels_are_passed_over(series: Series) -> None:
    folder = series()
    other = pydicom.dcmread(shutil.copy(folder / "0002.dcm", folder / "DICOMDIR"))
    other.SOPClassUID = other.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    other.save_as(folder / "DICOMDIR")
    assert read_volume(folder).shape == (4, 5, 6)


def test_missing_pixels_in_one_file(series: Series) -> None:
    def strip(k: int, slice_: Any) -> None:
        if k == 3:
            del slice_.PixelData

    with pytest.raises(BadInput, match=r"0004\.dcm: holds no pixel data"):
        read_volume(series(strip))


def test_half_copied_file(series: Series) -> None:
    folder = series()
    path = folder / "0004.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(BadInput, match=r"0004\.dcm: the pixels .* cannot be decoded"):
        read_volume(folder)
    path.write_bytes(content[:400])
    with pytest.raises(BadInput):
        read_volume(folder)


def test_damaged_compressed_pixels(series: Series) -> None:
    def damage(k: int, slice_: Any) -> None:
        slice_.compress(RLELossless, generate_instance_uid=False)
        if k == 2:
            slice_.PixelData = slice_.PixelData[:20] + b"\xff" * (len(slice_.PixelData) - 20)

    with pytest.raises(BadInput, match=r"0003\.dcm: the pixels \(RLE Lossless\) cannot be decoded"):
        read_volume(series(damage))


def test_multi_frame_without_positions(series: Series) -> None:
    def pile(_: int, slice_: Any) -> None:
        slice_.NumberOfFrames = 2
        slice_.PixelData = slice_.PixelData * 2

    refused(series(pile) / "0001.dcm", "is a multi-frame MR Image Storage without a position per frame")


def test_headers_without_geometry(series: Series) -> None:
    def lose(keyword: str) -> Callable[[int, Any], None]:
        return lambda _, slice_: delattr(slice_, keyword)

    def crooked(_: int, slice_: Any) -> None:
        slice_.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]

    refused(series(lose("ImagePositionPatient"), "a"), "carry no position or orientation")
    refused(series(lose("PixelSpacing"), "b"), "carry no pixel size")
    refused(series(crooked, "c"), "not a pair of perpendicular unit vectors")


def test_folders_and_lists_without_dicom(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(BadInput, match="holds no DICOM file"):
        read_volume(tmp_path)
    (tmp_path / "more.txt").write_text("nothing")
    with pytest.raises(BadInput, match=r"notes\.txt: is not a DICOM file"):
        read_volume([tmp_path / "notes.txt", tmp_path / "more.txt"])
    with pytest.raises(BadInput, match="list of DICOM files: is empty"):
        read_volume([])
