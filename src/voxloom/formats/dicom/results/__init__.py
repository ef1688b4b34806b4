"""What was found in a DICOM series, as DICOM: segmentations, contours, reports and previews; and the first two back.

Knows volumes, marks and figures, and no run: who answers for a result is told by ``Author``. ``terms`` holds the values, ``codes``
what labels mean, ``source`` the series that results belong to.
"""

from voxloom.formats.dicom.results.codes import Table, read_codes, shipped
from voxloom.formats.dicom.results.preview import write_preview
from voxloom.formats.dicom.results.report import Stored, write_report
from voxloom.formats.dicom.results.rtstruct import write_rtstruct
from voxloom.formats.dicom.results.seg import write_probabilities, write_seg
from voxloom.formats.dicom.results.source import SourceSeries, open_source
from voxloom.formats.dicom.results.terms import (
    NOTE,
    Author,
    Code,
    Figure,
    Findings,
    Mark,
    Meaning,
    Segment,
    Statement,
)

__all__ = [
    "NOTE",
    "Author",
    "Code",
    "Figure",
    "Findings",
    "Mark",
    "Meaning",
    "Segment",
    "SourceSeries",
    "Statement",
    "Stored",
    "Table",
    "open_source",
    "read_codes",
    "shipped",
    "write_preview",
    "write_probabilities",
    "write_report",
    "write_rtstruct",
    "write_seg",
]
