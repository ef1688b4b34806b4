"""The quick reader of plain DICOM files says what pydicom says, or leaves the file to it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pydicom.data
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import iter_pixels
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from voxloom.formats import read_volume
from voxloom.formats.dicom import pixels as pixels_module
from voxloom.formats.dicom.files import _TAGS
from voxloom.formats.dicom.plain import read_plain_header, read_plain_pixels

FILES = sorted(p for p in Path(pydicom.data.__file__).parent.rglob("*.dcm") if p.is_file())
PIXELS = (np.arange(12, dtype=np.int16).reshape(3, 4) - 5) * 7


def scan(**changes: object) -> Dataset:
    """An image with what real ones have: padding, text, private elements, sequences within sequences."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, "1.2.3.4", "CT"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.PatientID, dataset.SeriesDescription = "P1", "body 5.0"
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [-1.5, 2, 3.25], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.EchoTime, dataset.InstanceNumber = [0.5, 0.7], None, 7
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = 3, 4, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 1
    dataset.PixelPaddingValue = -2000
    dataset.RescaleSlope, dataset.RescaleIntercept = "1.5", "-1024"
    inner = Dataset()
    inner.ReferencedSOPInstanceUID = "1.2.9"
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = Sequence([inner])
    item.PurposeOfReferenceCodeSequence.is_undefined_length = True
    dataset.ReferencedImageSequence = Sequence([item, Dataset()])
    private = dataset.private_block(0x0009, "SOMEONE", create=True)
    private.add_new(1, "OB", b"\x01\x02" * 50)
    dataset.PixelData = PIXELS.tobytes()
    dataset["PixelData"].VR = "OW"
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def saved(dataset: Dataset, path: Path, syntax: str = ExplicitVRLittleEndian, undefined: bool = False) -> Path:
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    if "ReferencedImageSequence" in dataset:
        dataset["ReferencedImageSequence"].is_undefined_length = undefined
        dataset.ReferencedImageSequence[0].is_undefined_length_sequence_item = undefined
    dataset.save_as(path, enforce_file_format=True)
    return path


def by_pydicom(path: Path) -> pydicom.FileDataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=True)
        found.file_meta.walk(lambda *_: None)
        found.walk(lambda *_: None)
    return found


def assert_same(path: Path) -> None:
    quick, slow = read_plain_header(path, _TAGS), by_pydicom(path)
    assert quick == slow
    assert repr(quick) == repr(slow)
    assert quick.file_meta == slow.file_meta
    assert [(e.VR, type(e.value)) for e in quick] == [(e.VR, type(e.value)) for e in slow]
    assert quick.original_encoding == slow.original_encoding
    assert quick.original_character_set == slow.original_character_set


@pytest.mark.parametrize("undefined", [False, True], ids=["known lengths", "unknown lengths"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_header_and_pixels_are_pydicoms(syntax: str, undefined: bool, tmp_path: Path) -> None:
    path = saved(scan(), tmp_path / "a.dcm", syntax, undefined)
    assert_same(path)
    assert read_plain_header(path, _TAGS).PixelPaddingValue == -2000
    quick = read_plain_pixels(path, lowest_bits=True)
    assert quick is not None
    np.testing.assert_array_equal(quick, PIXELS)


def test_values_of_one_file_are_not_those_of_the_next(tmp_path: Path) -> None:
    for number in range(3):
        path = saved(scan(InstanceNumber=number, SeriesDescription=f"s{number}"), tmp_path / f"{number}.dcm")
        assert_same(path)
    header = read_plain_header(path, _TAGS)
    header.InstanceNumber = 99
    assert read_plain_header(path, _TAGS).InstanceNumber == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_files_of_every_kind_are_read_alike_or_left(path: Path) -> None:
    header = read_plain_header(path, _TAGS)
    if header is not None:
        assert_same(path)
    quick = read_plain_pixels(path, lowest_bits=True)
    if quick is not None:
        np.testing.assert_array_equal(quick, next(iter_pixels(pydicom.dcmread(path, force=True))))
    known = {"CT_small.dcm": (True, True), "MR_small.dcm": (True, True), "MR_small_implicit.dcm": (True, True)}
    known |= {"CT_small_jpeg.dcm": (True, False), "MR_small_bigendian.dcm": (False, False)}
    if path.name in known:
        assert (header is not None, quick is not None) == known[path.name]


@pytest.mark.parametrize("syntax", [ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_other_syntaxes_are_left(syntax: str, tmp_path: Path) -> None:
    path = saved(scan(), tmp_path / "a.dcm", syntax)
    assert read_plain_header(path, _TAGS) is None
    assert read_plain_pixels(path, lowest_bits=True) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"SpecificCharacterSet": "ISO 2022 IR 87"},
        {"SeriesDescription": "Schädel"},
        {"SharedFunctionalGroupsSequence": Sequence([Dataset()])},
    ],
    ids=["character set", "not ASCII", "functional groups"],
)
def test_headers_that_need_more_are_left(changes: dict[str, object], tmp_path: Path) -> None:
    assert read_plain_header(saved(scan(**changes), tmp_path / "a.dcm"), _TAGS) is None


@pytest.mark.parametrize(
    "changes",
    [{"NumberOfFrames": 2}, {"SamplesPerPixel": 3}, {"BitsStored": 17}, {"Rows": 4}, {"BitsAllocated": 32}],
    ids=lambda changes: next(iter(changes)),
)
def test_pixels_that_need_more_are_left(changes: dict[str, object], tmp_path: Path) -> None:
    path = saved(scan(**changes), tmp_path / "a.dcm")
    assert read_plain_pixels(path, lowest_bits=True) is None


def test_what_lies_above_the_stored_bits_is_no_image(tmp_path: Path) -> None:
    """Old files keep overlays in the unused bits (PS3.5 8.1.1)."""
    clean = np.abs(PIXELS).astype(np.uint16)
    path = saved(
        scan(PixelData=(clean | 0xF000).tobytes(), PixelRepresentation=0, PixelPaddingValue=0), tmp_path / "a.dcm"
    )
    for lowest, wanted in ((True, clean), (False, clean | 0xF000)):
        quick = read_plain_pixels(path, lowest_bits=lowest)
        assert quick is not None
        np.testing.assert_array_equal(quick, wanted)


@pytest.mark.parametrize("left", [140, 300, 600, -1])
def test_a_cut_file_is_left(left: int, tmp_path: Path) -> None:
    path = saved(scan(), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes()[:left])
    assert read_plain_pixels(path, lowest_bits=True) is None


def test_a_long_header_is_read_on(tmp_path: Path) -> None:
    dataset = scan()
    dataset.private_block(0x0019, "LONG", create=True).add_new(1, "OB", bytes(300_000))
    assert_same(saved(dataset, tmp_path / "a.dcm"))


def test_a_series_is_read_alike_by_both(series: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = series()
    quick = read_volume(folder)
    monkeypatch.setattr(pixels_module, "read_plain_pixels", lambda *_, **__: None)
    monkeypatch.setattr("voxloom.formats.dicom.files.read_plain_header", lambda *_: None)
    monkeypatch.setattr("voxloom.formats.dicom.files._LAST", ((), []))
    slow = read_volume(folder)
    np.testing.assert_array_equal(quick.data, slow.data)
    assert quick.data.dtype == slow.data.dtype
    assert quick.affine.tobytes() == slow.affine.tobytes()
    assert quick.meta == slow.meta
