"""A DICOM series that is in order: sorted by position, scaled per slice, found whatever the files are called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, RLELossless

from voxloom.formats import read_header, read_volume, write_dicom_series
from voxloom.volume import Volume

Series = Callable[..., Path]


def test_sorted_by_position_not_by_name_or_number(series: Series, upright: Volume) -> None:
    def disorder(k: int, slice_: Any) -> None:
        slice_.InstanceNumber = (7 * k) % 6 + 1
        slice_.SliceThickness = 99
        slice_.SpacingBetweenSlices = 77

    folder = series(disorder)
    for k, name in enumerate("dfaceb"):
        (folder / f"{k + 1:04d}.dcm").rename(folder / name)
    (folder / "readme.txt").write_text("not DICOM")
    (folder / "empty.txt").touch()
    v = read_volume(folder)
    assert (v.data == upright.data).all()
    np.testing.assert_allclose(v.affine, upright.affine)
    assert [Path(f).name for f in v.meta["dicom"]["files"]] == list("dfaceb")
    assert len(set(v.meta["dicom"]["sop_instance_uids"])) == 6


def test_a_list_of_files_in_any_order(series: Series, upright: Volume) -> None:
    files = sorted(series().iterdir(), reverse=True)
    assert (read_volume(files).data == upright.data).all()
    half = read_volume(files[:3])
    assert half.shape == (4, 5, 3)
    np.testing.assert_allclose(half.affine[2, 3], 7.5)


def test_subfolder_is_found(series: Series, tmp_path: Path) -> None:
    series(name="study/one")
    assert read_volume(tmp_path / "study").shape == (4, 5, 6)


def test_meta(series: Series) -> None:
    folder = series(Modality="CT", PatientID="P7", SeriesDescription="thin", StudyInstanceUID="1.2.3")
    meta = read_volume(folder).meta
    assert meta["source"] == str(folder)
    assert (meta["modality"], meta["patient_id"], meta["series_description"]) == ("CT", "P7", "thin")
    assert meta["study_uid"] == "1.2.3"
    assert meta["frame_of_reference_uid"]
    assert meta["dicom"]["frame_numbers"] == (1,) * 6


def test_header_is_the_volumes(series: Series) -> None:
    folder = series()
    header, v = read_header(folder), read_volume(folder)
    assert (header.shape, header.channels, header.dtype) == (v.shape, v.channels, str(v.data.dtype))
    np.testing.assert_allclose(header.affine, v.affine)


def test_one_integer_scale_stays_integer(series: Series, upright: Volume) -> None:
    def hounsfield(_: int, slice_: Any) -> None:
        slice_.RescaleIntercept = -1024

    v = read_volume(series(hounsfield))
    assert v.data.dtype == np.int16
    assert (v.data == upright.data - 1024).all()


def test_scale_per_slice(series: Series, upright: Volume) -> None:
    def scale(k: int, slice_: Any) -> None:
        slice_.RescaleSlope, slice_.RescaleIntercept = 0.5 + k, -k

    v = read_volume(series(scale))
    assert v.data.dtype == np.float32
    k = np.arange(6)
    np.testing.assert_allclose(v.data, upright.data * (0.5 + k) - k, rtol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_compressed(syntax: Any, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 4000, (1, 64, 48, 3)).astype(np.uint16)
    for path in write_dicom_series(Volume(data, np.diag([-1.0, -1, 2, 1])), tmp_path / "s"):
        slice_ = pydicom.dcmread(path)
        slice_.compress(syntax, generate_instance_uid=False)
        slice_.save_as(path)
    assert (read_volume(tmp_path / "s").data == data).all()


def test_color(series: Series, upright: Volume) -> None:
    def paint(_: int, slice_: Any) -> None:
        grey = slice_.pixel_array.astype(np.uint8)
        slice_.SamplesPerPixel, slice_.PhotometricInterpretation, slice_.PlanarConfiguration = 3, "RGB", 0
        slice_.BitsAllocated = slice_.BitsStored = 8
        slice_.HighBit, slice_.PixelRepresentation = 7, 0
        slice_.PixelData = np.stack([grey, grey + 1, grey + 2], axis=-1).tobytes()

    folder = series(paint)
    v = read_volume(folder)
    assert v.data.shape == (3, 4, 5, 6)
    assert read_header(folder).channels == 3
    assert (v.data[2] == upright.data[0] + 2).all()


def test_single_slice_believes_its_thickness(series: Series) -> None:
    v = read_volume(series() / "0003.dcm")
    assert v.shape == (4, 5, 1)
    np.testing.assert_allclose(v.spacing, (1.5, 1.5, 2.5))


def test_picture_without_a_place(series: Series) -> None:
    path = series() / "0001.dcm"
    slice_ = pydicom.dcmread(path)
    del slice_.ImagePositionPatient, slice_.ImageOrientationPatient
    slice_.save_as(path)
    v = read_volume(path)
    assert v.shape == (4, 5, 1)
    assert "orientation is assumed" in v.meta["geometry_note"]


def enhance(volume: Volume, path: Path, *, modality: str, order: list[int], echo: list[float] | None = None) -> Path:
    """One enhanced multi-frame object with the slices of ``volume`` in the given order, slopes 1, 2, 3, ..."""
    files = write_dicom_series(volume, path.parent / "single", template={"Modality": modality})
    one = pydicom.dcmread(files[0])
    pixels = []
    frames = []
    for n, k in enumerate(order):
        slice_ = pydicom.dcmread(files[k])
        groups = Dataset()
        groups.PlanePositionSequence = Sequence([Dataset()])
        groups.PlanePositionSequence[0].ImagePositionPatient = slice_.ImagePositionPatient
        groups.PixelValueTransformationSequence = Sequence([Dataset()])
        groups.PixelValueTransformationSequence[0].RescaleSlope = k + 1
        groups.PixelValueTransformationSequence[0].RescaleIntercept = -1
        if echo is not None:
            groups.MREchoSequence = Sequence([Dataset()])
            groups.MREchoSequence[0].EffectiveEchoTime = echo[n]
        frames.append(groups)
        pixels.append(slice_.pixel_array)
    shared = Dataset()
    shared.PlaneOrientationSequence = Sequence([Dataset()])
    shared.PlaneOrientationSequence[0].ImageOrientationPatient = one.ImageOrientationPatient
    shared.PixelMeasuresSequence = Sequence([Dataset()])
    shared.PixelMeasuresSequence[0].PixelSpacing = one.PixelSpacing
    shared.PixelMeasuresSequence[0].SliceThickness = 50
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope"):
        delattr(one, keyword)
    one.SOPClassUID = f"1.2.840.10008.5.1.4.1.1.{'4' if modality == 'MR' else '2'}.1"
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID
    one.NumberOfFrames = len(order)
    one.SharedFunctionalGroupsSequence = Sequence([shared])
    one.PerFrameFunctionalGroupsSequence = Sequence(frames)
    one.PixelData = np.stack(pixels).tobytes()
    one.save_as(path)
    return path


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_enhanced_multi_frame(modality: str, volume: Volume, tmp_path: Path) -> None:
    order = [3, 0, 6, 2, 5, 1, 4]
    path = enhance(volume, tmp_path / "enhanced.dcm", modality=modality, order=order)
    v = read_volume(path)
    expected = volume.data * np.arange(1, 8) - 1
    np.testing.assert_allclose(v.affine, volume.affine, atol=1e-6)
    np.testing.assert_allclose(v.data, expected)
    assert v.meta["dicom"]["frame_numbers"] == tuple(order.index(k) + 1 for k in range(7))
    assert read_header(path).shape == (5, 6, 7)


def test_enhanced_with_echoes_is_refused(volume: Volume, tmp_path: Path) -> None:
    from voxloom.errors import BadInput

    order, echo = [0, 1, 2, 0, 1, 2], [4.0, 4.0, 4.0, 9.5, 9.5, 9.5]
    path = enhance(volume, tmp_path / "enhanced.dcm", modality="MR", order=order, echo=echo)
    with pytest.raises(BadInput, match=r"mixes 2 echoes in one series: 4 ms \(3 images\), 9.5 ms \(3 images\)"):
        read_volume(path)
