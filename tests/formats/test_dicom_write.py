"""Written DICOM series: what they hold, what a template may say, and what cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from voxloom.errors import BadInput
from voxloom.formats import read_volume, write_dicom_series
from voxloom.volume import Volume


@pytest.mark.parametrize("modality", ["MR", "CT"])
def test_the_modules_are_there(modality: str, upright: Volume, tmp_path: Path) -> None:
    files = write_dicom_series(upright, tmp_path / "s", template={"Modality": modality, "PatientID": "P1"})
    assert [f.name for f in files] == [f"{k:04d}.dcm" for k in range(1, 7)]
    slices = [pydicom.dcmread(f) for f in files]
    assert len({s.SOPInstanceUID for s in slices}) == 6
    assert len({s.SeriesInstanceUID for s in slices}) == 1
    one = slices[0]
    assert one.SOPClassUID.name == f"{modality} Image Storage"
    assert one.file_meta.MediaStorageSOPInstanceUID == one.SOPInstanceUID
    required = (
        "PatientName PatientID PatientBirthDate PatientSex StudyInstanceUID StudyDate StudyTime StudyID "
        "AccessionNumber ReferringPhysicianName SeriesNumber FrameOfReferenceUID PositionReferenceIndicator "
        "Manufacturer ImageType"
    )
    own = "KVP AcquisitionNumber" if modality == "CT" else "ScanningSequence SequenceVariant EchoTime RepetitionTime"
    assert not [keyword for keyword in f"{required} {own}".split() if keyword not in one]


def test_template_is_written_and_reproducible(upright: Volume, tmp_path: Path) -> None:
    template = {
        "SeriesInstanceUID": "1.2.3.4",
        "StudyInstanceUID": "1.2.3",
        "FrameOfReferenceUID": "1.2.9",
        "StudyDate": "20260101",
        "StudyTime": "120000",
        "EchoTime": 90.5,
        "SliceLocation": 3,
    }
    first = write_dicom_series(upright, tmp_path / "a", template=template)
    second = write_dicom_series(upright, tmp_path / "b", template=template)
    assert [f.read_bytes() for f in first] == [f.read_bytes() for f in second]
    assert pydicom.dcmread(first[0]).EchoTime == 90.5


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "uint16", "int16"])
def test_small_integers_are_exact(dtype: str, tmp_path: Path) -> None:
    data = np.arange(60).reshape(1, 3, 4, 5).astype(dtype)
    if dtype not in ("bool", "uint8", "uint16"):
        data = data - np.asarray(30, dtype)
    v = read_volume(write_dicom_series(Volume(data, np.diag([-1, -1, 2, 1.0])), tmp_path / "s"))
    assert v.data.dtype.kind in "iu"
    assert (v.data == data).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
def test_floats_keep_16_bits(scale: float, tmp_path: Path) -> None:
    data = (np.random.default_rng(0).normal(size=(1, 6, 7, 8)) * scale).astype(np.float32)
    v = read_volume(write_dicom_series(Volume(data, np.diag([-1, -1, 2, 1.0])), tmp_path / "s"))
    assert np.abs(v.data - data).max() <= 0.6 * np.ptp(data) / 65535


def test_constant_floats(tmp_path: Path) -> None:
    v = Volume(np.full((1, 2, 3, 4), 0.25, np.float32), np.diag([-1, -1, 2, 1.0]))
    np.testing.assert_allclose(read_volume(write_dicom_series(v, tmp_path / "s")).data, 0.25)


def test_meta_is_carried_over(upright: Volume, tmp_path: Path) -> None:
    meta = {"modality": "CT", "patient_id": "P9", "study_uid": "1.2.3", "frame_of_reference_uid": "1.2.4"}
    again = read_volume(write_dicom_series(Volume(upright.data, upright.affine, meta), tmp_path / "s"))
    assert {key: again.meta[key] for key in meta} == meta


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ({"PatientsName": "X"}, "PatientsName is not a DICOM keyword. Did you mean PatientName"),
        ({"PixelSpacing": [1, 1]}, "PixelSpacing follows from the volume"),
        ({"Modality": "PT"}, "cannot write modality PT"),
    ],
)
def test_wrong_templates(template: dict[str, object], reason: str, upright: Volume, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=reason):
        write_dicom_series(upright, tmp_path / "s", template=template)
    assert not list(tmp_path.iterdir())


def test_what_dicom_cannot_hold(upright: Volume, tmp_path: Path) -> None:
    sheared = upright.affine.copy()
    sheared[0, 2] = 0.8
    with pytest.raises(BadInput, match=r"the axes lean by \d+\.\d degrees"):
        write_dicom_series(Volume(upright.data, sheared), tmp_path / "s")
    with pytest.raises(BadInput, match="holds one channel, not 2"):
        write_dicom_series(Volume(np.repeat(upright.data, 2, axis=0), upright.affine), tmp_path / "s")


def test_a_folder_with_content_is_left_alone(upright: Volume, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    write_dicom_series(upright, tmp_path / "s")
    with pytest.raises(BadInput, match="is not an empty folder"):
        write_dicom_series(upright, tmp_path / "s")
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
