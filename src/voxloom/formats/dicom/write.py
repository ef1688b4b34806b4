"""Writes a Volume as a DICOM series of single-frame MR or CT slices.

Knows the modules of the MR and CT Image IODs (DICOM PS3.3 A.4 and A.3): patient, study, series, frame of reference,
equipment, plane, pixels. Does not anonymize, compress, or write SEG.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.formats.itk import LPS_RAS
from voxloom.volume import Volume

_CLASSES = {"MR": "1.2.840.10008.5.1.4.1.1.4", "CT": "1.2.840.10008.5.1.4.1.1.2"}
#: Elements that follow from the volume; a template cannot set them.
_OWN = frozenset([
    "SOPClassUID", "SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "SliceThickness", "SpacingBetweenSlices", "Rows", "Columns", "BitsAllocated", "BitsStored",
    "HighBit", "PixelRepresentation", "SamplesPerPixel", "PhotometricInterpretation", "RescaleSlope",
    "RescaleIntercept", "PixelData", "NumberOfFrames",
])  # fmt: skip
_EMPTY = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator",
]  # fmt: skip
_MR = {
    "ScanningSequence": "RM",
    "SequenceVariant": "NONE",
    "ScanOptions": "",
    "MRAcquisitionType": "",
    "RepetitionTime": None,
    "EchoTime": None,
    "EchoTrainLength": None,
    "InversionTime": None,
}
_CT = {"KVP": None, "AcquisitionNumber": None, "RescaleType": "HU"}


@dataclass(frozen=True, eq=False)
class _Stored:
    """Integers as written, (I, J, K), and how they become values again."""

    values: NDArray[Any]
    slope: float
    intercept: float


def write_series(volume: Volume, folder: Path, *, template: Mapping[str, Any] | None = None) -> list[Path]:
    """Write slices ``0001.dcm``, ... along k into a new folder; returns them in the order of k.

    Parameters
    ----------
    volume : one channel, (1, I, J, K), whose axes are perpendicular. Integers of up to 16 bits are stored as they are;
        others are scaled to 16 bits with slope and intercept (the largest error is 1/131070 of the range).
    folder : is made; it must not exist or be empty. It appears complete or not at all.
    template : DICOM keyword to value, e.g. ``{"Modality": "CT", "PatientID": "P1", "SeriesDescription": "thin"}``. What
        is not given comes from ``volume.meta``, else is empty; modality is MR. A ``slice_thickness`` in ``volume.meta`` tells of gaps
        between the slices; without it they are as thick as they are apart. UIDs are new unless given; slices' own
        UIDs follow from the series UID, so that a given one makes the series reproducible.

    Raises
    ------
    BadInput : several channels, sheared axes, an unknown keyword or one that follows from the volume, a modality other
        than MR and CT, a folder with content.
    """
    header = _header(volume, template or {})
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("exists already and is not an empty folder", folder, "Choose a new folder")
    if volume.channels != 1:
        raise BadInput(f"a series holds one channel, not {volume.channels}", folder, "Write each channel alone")
    cosines = _cosines(volume, folder)
    stored = _to_16_bits(volume.data[0])
    folder.parent.mkdir(parents=True, exist_ok=True)
    names = [f"{k + 1:04d}.dcm" for k in range(volume.shape[2])]
    with tempfile.TemporaryDirectory(prefix=".part", dir=folder.parent) as temporary:
        finished = Path(temporary) / folder.name
        finished.mkdir()
        for k, name in enumerate(names):
            _slice(header, volume, cosines, stored, k).save_as(finished / name, enforce_file_format=True)
        if folder.exists():
            folder.rmdir()
        finished.rename(folder)
    return [folder / name for name in names]


def _header(volume: Volume, template: Mapping[str, Any]) -> dict[str, Any]:
    """What all slices share: template over the volume's meta over empty elements."""
    from pydicom.uid import generate_uid

    meta = volume.meta
    modality = str(template.get("Modality") or meta.get("modality") or "MR")
    if modality not in _CLASSES:
        raise BadInput(f"cannot write modality {modality}", None, 'Set template={"Modality": "MR"} or "CT"')
    _check_keywords(template)
    now = datetime.now()
    return {
        **dict.fromkeys(_EMPTY, ""),
        "PatientID": meta.get("patient_id", ""),
        "StudyDate": now.strftime("%Y%m%d"),
        "StudyTime": now.strftime("%H%M%S"),
        "SeriesNumber": 1,
        "SeriesDescription": meta.get("series_description", ""),
        "PatientPosition": "HFS",
        "ImageType": ["DERIVED", "SECONDARY", "AXIAL" if modality == "CT" else "OTHER"],
        **(_CT if modality == "CT" else _MR),
        "StudyInstanceUID": meta.get("study_uid") or generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": meta.get("frame_of_reference_uid") or generate_uid(),
        **template,
        "Modality": modality,
        "SOPClassUID": _CLASSES[modality],
    }


def _check_keywords(template: Mapping[str, Any]) -> None:
    from pydicom.datadict import keyword_dict, tag_for_keyword

    for key in template:
        if key in _OWN:
            raise BadInput(f"{key} follows from the volume and cannot be in the template", None, "Leave it out")
        if tag_for_keyword(key) is None:
            near = get_close_matches(key, keyword_dict, 1)
            raise BadInput(f"{key} is not a DICOM keyword", None, f"Did you mean {near[0]}?" if near else None)


def _cosines(volume: Volume, folder: Path) -> NDArray[np.float64]:
    """(3, 3) unit vectors of i, j, k in LPS as columns."""
    axes = (LPS_RAS @ volume.affine)[:3, :3] / volume.spacing
    lean = float(np.degrees(np.arcsin(min(np.abs(axes.T @ axes - np.eye(3)).max(), 1.0))))
    if lean > 0.01:
        raise BadInput(f"the axes lean by {lean:.1f} degrees, slices need right angles", folder, "Resample it first")
    return axes


def _to_16_bits(data: NDArray[Any]) -> _Stored:
    if data.dtype.kind == "b":
        data = data.astype(np.uint8)
    low, high = float(data.min()), float(data.max())
    if data.dtype.kind in "iu":
        for kind in (np.uint16, np.int16) if data.dtype.kind == "u" else (np.int16, np.uint16):
            if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
                return _Stored(data.astype(kind), 1.0, 0.0)
    # 16 characters of a DS must hold the slope exactly, or the error would add up over the range
    slope = float(f"{(high - low) / 65535:.9e}") or 1.0
    intercept = float(f"{low:.8e}")
    values = np.clip(np.rint((data.astype(np.float64) - intercept) / slope), 0, 65535)
    return _Stored(values.astype(np.uint16), slope, intercept)


def _slice(header: dict[str, Any], volume: Volume, axes: NDArray[np.float64], stored: _Stored, k: int) -> Any:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    position = (LPS_RAS @ volume.affine @ [0, 0, k, 1])[:3]
    spacing = volume.spacing
    pixels = np.ascontiguousarray(stored.values[:, :, k].T).astype(stored.values.dtype.newbyteorder("<"))
    slice_ = Dataset()
    for keyword, value in header.items():
        setattr(slice_, keyword, value)
    slice_.SOPInstanceUID = generate_uid(entropy_srcs=[str(header["SeriesInstanceUID"]), str(k)])
    slice_.InstanceNumber = k + 1
    slice_.ImagePositionPatient = [_decimal(v) for v in position]
    slice_.ImageOrientationPatient = [_decimal(v) for v in (*axes[:, 0], *axes[:, 1])]
    slice_.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[0])]
    slice_.SliceThickness = _decimal(float(volume.meta.get("slice_thickness", spacing[2])))
    slice_.SpacingBetweenSlices = _decimal(spacing[2])
    slice_.Columns, slice_.Rows = volume.shape[:2]
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated, slice_.BitsStored, slice_.HighBit = 16, 16, 15
    slice_.PixelRepresentation = int(pixels.dtype.kind == "i")
    slice_.RescaleSlope, slice_.RescaleIntercept = _decimal(stored.slope), _decimal(stored.intercept)
    slice_.PixelData = pixels.tobytes()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return slice_


def _decimal(value: float) -> Any:
    """A number as DICOM's decimal string, in at most 16 characters."""
    from pydicom.valuerep import DSfloat

    return DSfloat(float(value), auto_format=True)
