"""Files in, Volumes out, and back: NIfTI, MHD/MHA, NRRD, FreeSurfer, PNG, TIFF, JPEG and DICOM series.

Geometry is RAS+ millimetres on both ways. Heavy libraries are imported by the reader that needs them.
"""

from voxloom.formats.dispatch import (
    ENDINGS,
    IMAGE_ENDINGS,
    LOSSY,
    PICTURE_ENDINGS,
    ending_of,
    format_of,
    label_object,
    read_channels,
    read_header,
    read_label,
    read_marks,
    read_volume,
    result_ending,
    write_dicom_series,
    write_volume,
)
from voxloom.formats.header import Header

__all__ = [
    "ENDINGS",
    "IMAGE_ENDINGS",
    "LOSSY",
    "PICTURE_ENDINGS",
    "Header",
    "ending_of",
    "format_of",
    "label_object",
    "read_channels",
    "read_header",
    "read_label",
    "read_marks",
    "read_volume",
    "result_ending",
    "write_dicom_series",
    "write_volume",
]
