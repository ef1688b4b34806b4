"""What the columns of an archive's tables are called, and what they were called before.

Three kinds of names. A column with the **keyword** of an element (DICOM PS3.6, ``SeriesInstanceUID``) holds what the header says.
A column that begins with ``derived_`` holds what was worked out of elements, images or words. The others say where a row
comes from and count rows (``file``, ``instances``). Knows no header and no file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxloom.errors import BadInput

DERIVED = "derived_"
#: Old names whose columns carry the keyword of an element now.
_KEYWORDS = {
    "character_set": "SpecificCharacterSet", "image_type": "ImageType", "sop_class_uid": "SOPClassUID",
    "sop_instance_uid": "SOPInstanceUID", "study_date": "StudyDate", "acquisition_date": "AcquisitionDate",
    "study_time": "StudyTime", "acquisition_time": "AcquisitionTime", "content_time": "ContentTime", "modality": "Modality",
    "manufacturer": "Manufacturer", "institution": "InstitutionName", "study_description": "StudyDescription",
    "series_description": "SeriesDescription", "model": "ManufacturerModelName", "patient_name": "PatientName",
    "patient_id": "PatientID", "patient_birth_date": "PatientBirthDate", "patient_sex": "PatientSex",
    "patient_age": "PatientAge", "contrast_agent": "ContrastBolusAgent", "body_part_examined": "BodyPartExamined",
    "scanning_sequence": "ScanningSequence", "sequence_variant": "SequenceVariant", "scan_options": "ScanOptions",
    "acquisition_type": "MRAcquisitionType", "sequence_name": "SequenceName", "slice_thickness": "SliceThickness",
    "kvp": "KVP", "repetition_time": "RepetitionTime", "echo_time": "EchoTime", "inversion_time": "InversionTime",
    "field_strength_header": "MagneticFieldStrength", "spacing_between_slices": "SpacingBetweenSlices",
    "echo_train_length": "EchoTrainLength", "protocol_name": "ProtocolName", "trigger_time": "TriggerTime",
    "gantry_tilt": "GantryDetectorTilt", "kernel": "ConvolutionKernel", "flip_angle": "FlipAngle",
    "patient_position": "PatientPosition", "study_uid": "StudyInstanceUID", "series_uid": "SeriesInstanceUID",
    "series_number": "SeriesNumber", "acquisition_number": "AcquisitionNumber", "instance_number": "InstanceNumber",
    "frame_of_reference_uid": "FrameOfReferenceUID", "temporal_position": "TemporalPositionIdentifier",
    "images_in_acquisition": "ImagesInAcquisition", "samples": "SamplesPerPixel", "photometric": "PhotometricInterpretation",
    "frames": "NumberOfFrames", "rows": "Rows", "columns": "Columns", "bits_allocated": "BitsAllocated",
    "burned_in_annotation": "BurnedInAnnotation", "transfer_syntax_uid": "TransferSyntaxUID",
}  # fmt: skip
#: Elements of several numbers, and the old columns of their values.
PARTS = {
    "ImagePositionPatient": ("position_x", "position_y", "position_z"),
    "ImageOrientationPatient": ("row_x", "row_y", "row_z", "column_x", "column_y", "column_z"),
    "PixelSpacing": ("pixel_row", "pixel_column"),
}
#: Old names of what is worked out for an instance; the new ones begin with ``derived_``.
_OF_INSTANCES = ("b_value", "frame_locations", "pixel_row", "pixel_column")
#: The same for a series, a study and a patient.
_OF_SERIES = (
    "slices", "volumes", "multi_frame", "echo_times", "multi_echo", "b_values", "plane", "oblique_degrees", "weighting",
    "weighting_evidence", "weighting_confidence", "localizer", "localizer_evidence", "derived", "derived_evidence",
    "secondary_capture", "contrast", "contrast_evidence", "body_part", "body_part_evidence", "complete", "faults",
    "missing_slices", "uneven", "duplicates", "copies", "instance_number_gaps", "spacing", "spacing_min", "spacing_max",
    "spacing_header_wrong", "pixel_row", "pixel_column", "mixed_sizes", "field_of_view_rows", "field_of_view_columns",
    "vendor", "field_strength", "tilt_degrees", "burned_in", "duplicate_of",
)  # fmt: skip
_OF_STUDIES = ("modalities", "several_patients")
_OF_PATIENTS = ("several_names", "possibly_the_same", "namesakes")


def _prefixed(names: Iterable[str]) -> dict[str, str]:
    return {name: DERIVED + name for name in names}


_AXES = {old: f"{keyword}[{n + 1}]" for keyword, olds in PARTS.items() for n, old in enumerate(olds)}
#: By table: old name to the present one, which is SQL (``ImagePositionPatient[1]`` is the first of its values).
OLD_NAMES: Mapping[str, Mapping[str, str]] = MappingProxyType({
    "instances": {**_KEYWORDS, **_AXES, **_prefixed(_OF_INSTANCES)},
    "series": {**_KEYWORDS, **_prefixed(_OF_SERIES)},
    "studies": {**_KEYWORDS, **_prefixed(_OF_STUDIES)},
    "patients": {
        "patient_id": "PatientID", "name": "PatientName", "birth_date": "PatientBirthDate", "sex": "PatientSex",
        **_prefixed(_OF_PATIENTS),
    },
})  # fmt: skip


def present_name(name: str, table: str = "series") -> str:
    """What a column of ``table`` is called now; a name that is no old one stays."""
    return OLD_NAMES[table].get(name, name)


def old_name(name: str, table: str = "series") -> str:
    """What a column of ``table`` was called before, or its present name."""
    return next((old for old, now in OLD_NAMES[table].items() if now == name), name)


def renamed(old: Collection[str], table: str | None = None) -> str:
    """One line for a reader who used old names: ``plane is called derived_plane now, ...``; "" where nobody did.

    Parameters
    ----------
    old : the old names that were used.
    table : whose columns they are; None where it is not known, and the first that has the name counts.
    """
    tables = [table] if table is not None else list(OLD_NAMES)
    now = {name: next(OLD_NAMES[t][name] for t in tables if name in OLD_NAMES[t]) for name in dict.fromkeys(old)}
    if not now:
        return ""
    pairs = [f"{name} is called {new} now" for name, new in now.items()]
    return f"{', '.join(pairs)}; the old names go with the next release"


def of_old_rows(known: Iterable[str]) -> str:
    """The terms of a SELECT that give the columns of an instance table with old names their present ones.

    Parameters
    ----------
    known : columns of the old table, e.g. with the ``part`` of a folder that was cut.
    """
    terms: list[str] = []
    made = {old: keyword for keyword, olds in PARTS.items() for old in olds}
    for name in known:
        if name not in made:
            terms.append(f'"{name}" AS "{present_name(name, "instances")}"')
        elif name == PARTS[made[name]][0]:
            values = ", ".join(f'"{old}"' for old in PARTS[made[name]])
            terms.append(f'CASE WHEN "{name}" IS NOT NULL THEN [{values}] END AS "{made[name]}"')
    return ", ".join(
        [*terms, 'CAST(NULL AS DOUBLE[]) AS "ImagerPixelSpacing"', 'CAST(NULL AS DOUBLE) AS "DiffusionBValue"']
    )


def with_present_names(where: Mapping[str, Any], used: set[str], source: str | Path) -> dict[str, Any]:
    """Conditions on the series table under the present names; old names are added to ``used``.

    Raises BadInput, on ``source``, where a column has conditions under both names.
    """
    old = [name for name in where if name in OLD_NAMES["series"]]
    if both := [name for name in old if present_name(name) in where]:
        raise BadInput(f"{both[0]} and {present_name(both[0])} name one column", source, "Leave the second of them")
    used.update(old)
    return {present_name(name): value for name, value in where.items()}
