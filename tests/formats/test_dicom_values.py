"""What the stored numbers of DICOM mean: polarity, scale, padding, bits, palettes, dose and PET."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import RLELossless

from voxloom.errors import BadInput
from voxloom.formats import read_header, read_volume
from voxloom.volume import Volume

Series = Callable[..., Path]


def stored(slice_: Any, values: Any, bits: int = 16, high: int | None = None) -> None:
    """Put ``values`` (rows, columns) into a slice, with ``bits`` stored below ``high``."""
    values = np.ascontiguousarray(values)
    slice_.BitsStored, slice_.HighBit = bits, bits - 1 if high is None else high
    slice_.PixelRepresentation = int(values.dtype.kind == "i")
    slice_.PixelData = values.tobytes()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("some", [False, True], ids=["all", "every second"])
def test_monochrome1_has_the_polarity_of_monochrome2(signed: bool, some: bool, series: Series, upright: Volume) -> None:
    def turn(k: int, slice_: Any) -> None:
        values = slice_.pixel_array.astype(np.int16 if signed else np.uint16)
        if not (some and k % 2):
            slice_.PhotometricInterpretation = "MONOCHROME1"
            values = ~values if signed else 127 - values
        stored(slice_, values)

    volume = read_volume(series(turn))
    np.testing.assert_array_equal(volume.data, upright.data)
    assert "MONOCHROME1 (white is the smallest number): turned" in volume.meta["geometry_note"]
    assert ("3 of 6 slices" in volume.meta["geometry_note"]) == some


def test_measured_values_stay_whatever_they_are_shown_like(series: Series, upright: Volume) -> None:
    def turn(_: int, slice_: Any) -> None:
        slice_.PhotometricInterpretation = "MONOCHROME1"
        slice_.RescaleSlope, slice_.RescaleIntercept = 1, -1024

    volume = read_volume(series(turn, Modality="CT"))
    np.testing.assert_array_equal(volume.data, upright.data - 1024)
    assert "the measured values are read as they are" in volume.meta["geometry_note"]


@pytest.mark.parametrize("slope", ["0", "nan"])
def test_a_slope_that_leaves_no_image_is_refused(slope: str, series: Series) -> None:
    def scale(k: int, slice_: Any) -> None:
        slice_.RescaleSlope = slope if k == 2 else 1

    with pytest.raises(BadInput, match=rf"0003\.dcm: RescaleSlope is {slope}"):
        read_volume(series(scale))


def test_a_scale_that_some_slices_lack_is_refused(series: Series) -> None:
    def scale(k: int, slice_: Any) -> None:
        slice_.RescaleIntercept, slice_.RescaleSlope = -1024, 1
        if k == 4:
            del slice_.RescaleSlope, slice_.RescaleIntercept

    with pytest.raises(BadInput, match=r"1 of 6 slices lack RescaleSlope and RescaleIntercept, such as 0005\.dcm"):
        read_volume(series(scale))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_bits_beyond_those_stored_are_no_values(kind: type, compressed: bool, series: Series, upright: Volume) -> None:
    def litter(_: int, slice_: Any) -> None:
        values = slice_.pixel_array.astype(np.int32) - (60 if kind is np.int16 else 0)
        rubbish = (np.arange(values.size).reshape(values.shape) % 16) << 12
        stored(slice_, ((values & 0xFFF) | rubbish).astype(np.uint16), 12)
        slice_.PixelRepresentation = int(kind is np.int16)
        if compressed:
            slice_.compress(RLELossless, generate_instance_uid=False)

    expected = upright.data - (60 if kind is np.int16 else 0)
    np.testing.assert_array_equal(read_volume(series(litter)).data, expected)


def test_values_in_the_highest_bits_are_moved_down(series: Series, upright: Volume) -> None:
    def up(_: int, slice_: Any) -> None:
        stored(slice_, (slice_.pixel_array.astype(np.uint16) << 4), 12, 15)

    def claimed(_: int, slice_: Any) -> None:
        slice_.BitsStored, slice_.HighBit = 12, 15

    for edit, name in ((up, "up"), (claimed, "claimed")):
        np.testing.assert_array_equal(read_volume(series(edit, name)).data, upright.data)


@pytest.mark.parametrize(
    ("value", "told", "kept"),
    [(65535, 65535, False), (65535, -1, False), (0, 0, True)],
    ids=["above the image", "written with a sign", "the darkest anyway"],
)
def test_padding_neither_outshines_nor_outweighs_the_image(value: int, told: int, kept: bool, series: Series) -> None:
    def pad(_: int, slice_: Any) -> None:
        values = slice_.pixel_array.astype(np.uint16) + 10
        values[0] = value
        stored(slice_, values)
        slice_.add_new(0x00280120, "US" if told >= 0 else "SS", told)

    volume = read_volume(series(pad))
    assert set(np.unique(volume.data[:, :, 0])) == ({0} if kept else {16}), "16 is the smallest number of the rest"
    assert ("20.0 % of the voxels are padding" in volume.meta.get("geometry_note", "")) != kept


def test_palette_indices_become_their_colors(series: Series, upright: Volume) -> None:
    table = (np.arange(128)[:, None] * [1, 2, 3] % 256).astype(np.uint16) << 8

    def paint(_: int, slice_: Any) -> None:
        slice_.PhotometricInterpretation = "PALETTE COLOR"
        stored(slice_, slice_.pixel_array.astype(np.uint16))
        for n, color in enumerate(("Red", "Green", "Blue")):
            slice_.add_new(f"{color}PaletteColorLookupTableDescriptor", "US", [128, 0, 16])
            slice_.add_new(f"{color}PaletteColorLookupTableData", "OW", table[:, n].tobytes())

    folder = series(paint)
    volume = read_volume(folder)
    assert (volume.channels, read_header(folder).channels, read_header(folder).dtype) == (3, 3, "uint8")
    for n in range(3):
        np.testing.assert_array_equal(volume.data[n], upright.data[0] * (n + 1) % 256)


def test_grey_and_color_do_not_mix(series: Series) -> None:
    def paint(k: int, slice_: Any) -> None:
        if k == 3:
            slice_.PhotometricInterpretation = "PALETTE COLOR"

    with pytest.raises(BadInput, match="mixes grey images and PALETTE COLOR"):
        read_volume(series(paint))


def test_dose_is_scaled_and_lies_where_its_offsets_say() -> None:
    """pydicom's rtdose: 15 planes of 10 x 10, 1,254,000 x 1e-6."""
    path = Path(str(get_testdata_file("rtdose.dcm")))
    volume = read_volume(path)
    header = pydicom.dcmread(path)
    assert volume.shape == read_header(path).shape == (10, 10, 15)
    assert float(volume.data.max()) == pytest.approx(1.254)
    step = header.GridFrameOffsetVector[1] - header.GridFrameOffsetVector[0]
    assert volume.spacing[2] == pytest.approx(abs(step))
    x, y, z = map(float, header.ImagePositionPatient)
    first = (volume.affine @ [0, 0, 0, 1])[:3] if step > 0 else (volume.affine @ [0, 0, 14, 1])[:3]
    np.testing.assert_allclose(first, (-x, -y, z), atol=1e-6)
    k = 4 if step > 0 else 10
    np.testing.assert_allclose(volume.data[0, :, :, k], header.pixel_array[4].T * float(header.DoseGridScaling))
    assert "dose in shares of a reference" in volume.meta["geometry_note"]


def test_dose_that_cannot_be_known_is_refused(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("rtdose.dcm")))
    absolute = [float(v) + float(dataset.ImagePositionPatient[2]) for v in dataset.GridFrameOffsetVector]
    whole = read_volume(str(get_testdata_file("rtdose.dcm")))
    dataset.GridFrameOffsetVector = absolute
    dataset.save_as(tmp_path / "absolute.dcm")
    np.testing.assert_allclose(read_volume(tmp_path / "absolute.dcm").affine, whole.affine, atol=1e-6)
    dataset.GridFrameOffsetVector = [1.0, *absolute[1:]]
    dataset.save_as(tmp_path / "odd.dcm")
    with pytest.raises(BadInput, match="GridFrameOffsetVector does not begin at the position"):
        read_volume(tmp_path / "odd.dcm")
    dataset.GridFrameOffsetVector = absolute[:-1]
    dataset.save_as(tmp_path / "short.dcm")
    with pytest.raises(BadInput, match="has 15 dose planes, but 14 offsets"):
        read_volume(tmp_path / "short.dcm")
    del dataset.DoseGridScaling
    dataset.save_as(tmp_path / "unscaled.dcm")
    with pytest.raises(BadInput, match="without DoseGridScaling: the dose is unknown"):
        read_volume(tmp_path / "unscaled.dcm")


def test_pet_units_are_told(series: Series) -> None:
    def units(_: int, slice_: Any) -> None:
        slice_.Modality, slice_.Units = "PT", "BQML"

    volume = read_volume(series(units))
    assert volume.meta["dicom"]["units"] == "BQML"
    assert "PET values in BQML, not SUV" in volume.meta["geometry_note"]


def test_jpeg_of_12_bits_is_decoded() -> None:
    """The pixels that pydicom's own tests expect of its file."""
    volume = read_volume(str(get_testdata_file("JPGExtended.dcm")))
    assert (volume.shape, volume.data.dtype) == ((256, 1024, 1), np.uint16)
    assert (volume.data[0, 140, 420, 0], volume.data[0, 120, 230, 0]) == (244, 95)


@pytest.mark.parametrize("fault", ["no start", "no end", "another size"])
def test_damaged_jpeg_of_12_bits_is_refused(fault: str, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(str(get_testdata_file("JPGExtended.dcm")))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    parts = {"no start": b"\0" * 8 + frame[8:], "no end": frame[: len(frame) // 2], "another size": frame}
    dataset.PixelData = encapsulate([parts[fault]])
    dataset["PixelData"].is_undefined_length = True
    if fault == "another size":
        dataset.Rows, dataset.Columns = 512, 512
    dataset.save_as(tmp_path / "a.dcm")
    with pytest.raises(BadInput, match=r"the pixels \(JPEG Extended .* cannot be decoded"):
        read_volume(tmp_path / "a.dcm")
