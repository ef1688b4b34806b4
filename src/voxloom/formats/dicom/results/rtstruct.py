"""Label maps as RT Structure Sets: a region (ROI) per label, closed contours per slice.

Knows the structure set, contours and observations (DICOM PS3.3 A.19, C.8.8.5, C.8.8.6, C.8.8.8). The number of a region is the label's
value. Contours pass between pixel centers, so that reading them gives the same mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.formats.dicom.results.colors import color_of
from voxloom.formats.dicom.results.contours import outlines
from voxloom.formats.dicom.results.seg import check_mask
from voxloom.formats.dicom.results.source import SourceSeries
from voxloom.formats.dicom.results.terms import Author, Code, Segment
from voxloom.formats.dicom.results.write import begun, item, line, refused, saved

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
_NUMBER = 904


def write_rtstruct(
    mask: NDArray[Any], segments: Sequence[Segment], source: SourceSeries, path: Path, author: Author
) -> Path:
    """Write a label map as RTSTRUCT.

    Parameters
    ----------
    mask : label values (I, J, K) on the grid of ``source``.
    segments : every value of ``mask`` but 0 must have one; a label without voxels is a region without contours.

    Raises
    ------
    BadInput : as ``write_seg``.
    """
    ordered = sorted(segments, key=lambda one: one.value)
    check_mask(mask, ordered, source)
    with refused(source.where, "structure set"):
        dataset = begun(
            source, author, RTSTRUCT_CLASS, "RTSTRUCT", _NUMBER, "Structure set", [one.name for one in ordered]
        )
        now = datetime.now()
        dataset.StructureSetLabel = line("Voxloom", 16)
        dataset.StructureSetName = line(author.name)
        dataset.StructureSetDescription = author.note
        dataset.StructureSetDate, dataset.StructureSetTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
        dataset.FrameOfReferenceUID = source.header.FrameOfReferenceUID
        dataset.PositionReferenceIndicator = source.header.PositionReferenceIndicator
        dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source)]
        dataset.StructureSetROISequence = [_region(one, source, author) for one in ordered]
        dataset.ROIContourSequence = [_contours(mask == one.value, one, source) for one in ordered]
        dataset.RTROIObservationsSequence = [_observed(n, one) for n, one in enumerate(ordered, start=1)]
        dataset.ApprovalStatus = "UNAPPROVED"
        return saved(dataset, path)


def _frame_of_reference(source: SourceSeries) -> Any:
    header = source.header
    series = item(
        SeriesInstanceUID=header.SeriesInstanceUID,
        ContourImageSequence=[_image(one) for one in source.headers],
    )
    study = item(
        ReferencedSOPClassUID=_STUDY_CLASS,
        ReferencedSOPInstanceUID=header.StudyInstanceUID,
        RTReferencedSeriesSequence=[series],
    )
    return item(FrameOfReferenceUID=header.FrameOfReferenceUID, RTReferencedStudySequence=[study])


def _image(header: Any, frame: int | None = None) -> Any:
    image = item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if frame is not None:
        image.ReferencedFrameNumber = frame
    return image


def _region(segment: Segment, source: SourceSeries, author: Author) -> Any:
    region = item(
        ROINumber=segment.value,
        ReferencedFrameOfReferenceUID=source.header.FrameOfReferenceUID,
        ROIName=line(segment.name),
        ROIGenerationAlgorithm="MANUAL" if author.by_hand else "AUTOMATIC",
    )
    if not author.by_hand:
        region.ROIGenerationDescription = line(f"{author.name} {author.version}")
    return region


def _contours(mask: NDArray[np.bool_], segment: Segment, source: SourceSeries) -> Any:
    found = item(
        ROIDisplayColor=list(segment.meaning.color or color_of(segment.value)), ReferencedROINumber=segment.value
    )
    contours = []
    for k in np.flatnonzero(mask.any(axis=(0, 1))).tolist():
        for points in outlines(mask[:, :, k]):
            contours.append(_contour(points, k, source))
    if contours:
        found.ContourSequence = contours
    return found


def _contour(points: NDArray[np.float64], k: int, source: SourceSeries) -> Any:
    at = source.positions_of(points, k)
    contour = item(ContourGeometricType="CLOSED_PLANAR", NumberOfContourPoints=len(at))
    if (plane := source.plane(k)) is not None:
        header, frame = plane
        contour.ContourImageSequence = [_image(header, frame)]
    contour.ContourData = [f"{v:.4f}" for v in at.ravel().tolist()]
    return contour


def _observed(number: int, segment: Segment) -> Any:
    meaning = segment.meaning
    observed = item(
        ObservationNumber=number,
        ReferencedROINumber=segment.value,
        RTROIInterpretedType="ORGAN" if meaning.category.value == "91723000" else "",
        ROIInterpreter="",
    )
    if not meaning.generic:
        observed.RTROIIdentificationCodeSequence = [_coded(meaning.type)]
    return observed


def _coded(code: Code) -> Any:
    return item(CodeValue=code.value, CodingSchemeDesignator=code.scheme, CodeMeaning=code.meaning)
