"""One DICOM series in, one Volume out, and back.

The way of a series: ``files`` finds the objects, ``frames`` tells of every image plane where it lies, ``series`` makes
sure that they belong together, ``stack`` orders them and derives the affine, ``pixels`` decodes, ``tilt`` straightens a
tilted series on request. ``write`` goes the other way.
"""

from voxloom.formats.dicom.choose import choose_series, first_series_uid
from voxloom.formats.dicom.read import read, read_header
from voxloom.formats.dicom.write import write_series

__all__ = ["choose_series", "first_series_uid", "read", "read_header", "write_series"]
