"""Structured reports (DICOM PS3.16 TID 1500, through highdicom): sizes of segments, predicted classes and numbers, landmarks.

Knows measurement groups: of a segment (TID 1411, or 1501 where no segmentation is stored), of a point (TID 1410 with a spatial
coordinate, SCOORD3D), of the whole scan (TID 1501). What has no standard code gets one of the scheme 99VOXLOOM.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.formats.dicom.results.seg import concept
from voxloom.formats.dicom.results.source import SourceSeries
from voxloom.formats.dicom.results.terms import NOTE, Author, Code, Figure, Findings, Mark, Segment, Statement
from voxloom.formats.dicom.results.write import MAKER, characters, described, line, new_uid, refused, saved, software

_NUMBER = 905
_SCHEME = "99VOXLOOM"
#: Codes of figures that have one.
FIGURES = {
    "Volume": Code("118565006", "SCT", "Volume"),
    "Maximum 3D Diameter": Code("L0JK", "IBSI", "Maximum 3D Diameter"),
    "Long Axis": Code("103339001", "SCT", "Long Axis"),
    "Short Axis": Code("103340004", "SCT", "Short Axis"),
}
_UNITS = {"1": "no units", "mL": "milliliter", "mm": "millimeter"}
_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")
_LANDMARK = "Anatomical landmark"


@dataclass(frozen=True)
class Stored:
    """A stored segmentation that a report refers to: the object, and the number of each segment by its name."""

    dataset: Any
    numbers: Mapping[str, int]


def write_report(
    findings: Findings,
    segments: Sequence[Segment],
    source: SourceSeries,
    path: Path,
    author: Author,
    stored: Stored | None = None,
) -> Path:
    """Write what was found as a Comprehensive 3D SR.

    Parameters
    ----------
    findings : its figures, statements and marks; a figure with a ``label`` is one of that segment.
    segments : what labels are.
    stored : the segmentation of the same findings, so that a reader finds the voxels of each figure.

    Raises
    ------
    BadInput : a source that a report cannot refer to.
    """
    from highdicom.sr import Comprehensive3DSR, MeasurementReport

    known = {one.name: one for one in segments}
    groups = [
        _of_label(known[name], _of(findings, name), source, author, stored) for name in known if _of(findings, name)
    ]
    groups += [_of_mark(mark, source, author) for mark in findings.marks]
    groups.append(_of_scan(_of(findings, ""), findings.statements, author))
    texts = [
        author.name,
        author.note,
        *known,
        *(m.name for m in findings.marks),
        *(s.answer for s in findings.statements),
    ]
    with refused(source.where, "report"):
        report = MeasurementReport(
            observation_context=_observer(author),
            procedure_reported=concept(_PROCEDURE),
            imaging_measurements=groups,
        )
        dataset = Comprehensive3DSR(
            evidence=[*source.headers, *([stored.dataset] if stored else [])],
            content=report[0],
            series_instance_uid=new_uid(),
            series_number=_NUMBER,
            sop_instance_uid=new_uid(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=line(author.name),
            software_versions=line(f"{MAKER} {software()}"),
            device_serial_number=line(author.version or "none"),
            series_description=described("Report", author),
            specific_character_set=characters(source.header, texts),
            is_complete=True,
        )
        return saved(dataset, path)


def _of(findings: Findings, label: str) -> list[Figure]:
    return [figure for figure in findings.figures if figure.label == label]


def _observer(author: Author) -> Any:
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        ObservationContext,
        ObserverContext,
        PersonObserverIdentifyingAttributes,
    )
    from pydicom.sr.codedict import codes

    if author.by_hand:
        person = PersonObserverIdentifyingAttributes(line(author.name).replace("^", " "))
        return ObservationContext(observer_person_context=ObserverContext(codes.DCM.Person, person))
    device = DeviceObserverIdentifyingAttributes(
        uid=_uid_of(author), name=line(author.name), manufacturer_name=MAKER, model_name=line(author.name),
        serial_number=line(author.version or "none"),
    )  # fmt: skip
    return ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, device))


def _uid_of(author: Author) -> str:
    """One UID for all reports of the same weights."""
    from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[author.name, author.version]))


def _algorithm(author: Author) -> Any:
    from highdicom.sr import AlgorithmIdentification

    if author.by_hand:
        return None
    parameters = [f"{name}={value}" for name, value in author.parameters]
    return AlgorithmIdentification(
        name=line(author.name),
        version=line(author.version or "none"),
        parameters=parameters or None,
        manufacturer=MAKER,
    )


def _tracked(name: str) -> Any:
    from highdicom.sr import TrackingIdentifier

    return TrackingIdentifier(uid=new_uid(), identifier=line(name))


def _of_label(
    segment: Segment, figures: Sequence[Figure], source: SourceSeries, author: Author, stored: Stored | None
) -> Any:
    from highdicom.sr import (
        FindingSite,
        MeasurementsAndQualitativeEvaluations,
        ReferencedSegment,
        SourceSeriesForSegmentation,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    meaning = segment.meaning
    sides = [one for one in meaning.modifiers if one.meaning in ("Left", "Right")]
    site = meaning.region or (meaning.type if sides else None)
    sites = [FindingSite(concept(site), concept(sides[0]) if sides else None)] if site else None
    tracked, finding, algorithm = _tracked(segment.name), concept(meaning.type), _algorithm(author)
    measured = [one for figure in figures for one in _measured(figure)]
    if stored is None:
        return MeasurementsAndQualitativeEvaluations(
            tracked, finding_type=finding, finding_sites=sites, algorithm_id=algorithm, measurements=measured
        )
    region = ReferencedSegment(
        stored.dataset.SOPClassUID,
        stored.dataset.SOPInstanceUID,
        stored.numbers[segment.name],
        source_series=SourceSeriesForSegmentation(source.header.SeriesInstanceUID),
    )
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracked,
        referenced_segment=region,
        finding_type=finding,
        finding_sites=sites,
        algorithm_id=algorithm,
        measurements=measured,
    )


def _of_mark(mark: Mark, source: SourceSeries, author: Author) -> Any:
    from highdicom.sr import ImageRegion3D, PlanarROIMeasurementsAndQualitativeEvaluations

    x, y, z = mark.position
    place = ImageRegion3D("POINT", np.array([[-x, -y, z]]), source.header.FrameOfReferenceUID)
    sure = [] if mark.confidence is None else _measured(Figure("Confidence", mark.confidence))
    return PlanarROIMeasurementsAndQualitativeEvaluations(
        _tracked(mark.name),
        referenced_region=place,
        finding_type=private(_LANDMARK),
        algorithm_id=_algorithm(author),
        measurements=sure or None,
    )


def _of_scan(figures: Sequence[Figure], statements: Sequence[Statement], author: Author) -> Any:
    """The group of the whole scan; it says what the report is for, so that there always is one."""
    from highdicom.sr import MeasurementsAndQualitativeEvaluations

    measured = [one for figure in figures for one in _measured(figure)]
    answers = [] if author.by_hand else [_answer("Note", NOTE)]
    for statement in statements:
        answers.append(_answer(statement.name, statement.answer))
        if statement.note:
            answers.append(_answer(f"{statement.name}: note", statement.note))
        if statement.probability is not None:
            measured += _measured(Figure(f"{statement.name}: probability of {statement.answer}", statement.probability))
    return MeasurementsAndQualitativeEvaluations(
        _tracked("Whole scan"),
        algorithm_id=_algorithm(author),
        measurements=measured or None,
        qualitative_evaluations=answers or None,
    )


def _answer(name: str, value: str) -> Any:
    from highdicom.sr import QualitativeEvaluation

    return QualitativeEvaluation(private(name), private(value))


def _measured(figure: Figure) -> list[Any]:
    """A number, with the ends of its interval as numbers of their own."""
    from highdicom.sr import Measurement

    unit = concept(Code(figure.unit, "UCUM", _UNITS.get(figure.unit, figure.unit)))
    name = FIGURES.get(figure.name)
    found = [Measurement(concept(name) if name else private(figure.name), _short(figure.value), unit)]
    if figure.low is not None and figure.high is not None:
        share = "" if figure.promise is None else f" at {100 * figure.promise:g} %"
        for end, value in (("lower", figure.low), ("upper", figure.high)):
            found.append(Measurement(private(f"{figure.name}: {end} limit{share}"), _short(value), unit))
    return found


def _short(value: float) -> float:
    """As many digits as DICOM's decimal string holds for sure."""
    return float(f"{value:.8g}")


def private(text: str) -> Any:
    """A concept of our own scheme, whose value follows from its meaning."""
    meaning = line(text)
    return concept(Code(f"V{hashlib.sha256(meaning.encode()).hexdigest()[:12].upper()}", _SCHEME, meaning))
