"""DICOM files with any header, made for the tests of the archive."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}
MR = "1.2.840.10008.5.1.4.1.1.4"
SAGITTAL, AXIAL, CORONAL = [0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]


def uid(*parts: object) -> str:
    """A UID that is always the same for the same parts."""
    return f"2.25.{int(hashlib.sha256('/'.join(map(str, parts)).encode()).hexdigest()[:30], 16)}"


def header(size: int = 8, **keywords: Any) -> Dataset:
    """An MR slice of ``size`` pixels a side; ``keywords`` set or, with None, remove elements."""
    made = Dataset()
    basic = {
        "SOPClassUID": MR, "SOPInstanceUID": uid("slice", sorted(map(str, keywords.items()))), "Modality": "MR",
        "PatientName": "Test^One", "PatientID": "P1", "StudyInstanceUID": uid("study"), "SeriesInstanceUID": uid("series"),
        "ImageType": ["ORIGINAL", "PRIMARY", "M"], "SliceThickness": 4, "RepetitionTime": 500, "EchoTime": 12,
        "ScanningSequence": "SE", "SequenceVariant": "SK", "ImagePositionPatient": [0, 0, 0],
        "ImageOrientationPatient": AXIAL, "PixelSpacing": [0.7, 0.7], "InstanceNumber": 1, "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "Rows": size, "Columns": size, "BitsAllocated": 16, "BitsStored": 16,
        "HighBit": 15, "PixelRepresentation": 0, "FrameOfReferenceUID": uid("frame"), "PixelData": bytes(size * size * 2),
        **keywords,
    }  # fmt: skip
    for keyword, value in basic.items():
        if value is not None:
            setattr(made, keyword, value)
    return made


def save(dataset: Dataset, path: Path, syntax: str = "explicit") -> Path:
    """Write a data set; the pixel data's VR is left to pydicom."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = SYNTAXES[syntax]
    dataset.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", MR)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", uid("none"))
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW"
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)
    return path
