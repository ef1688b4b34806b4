"""The columns of the instance table, and the header elements that they are read from.

Knows tags, value kinds and keywords (DICOM PS3.6). Does not know how a file is parsed; ``names`` has the rule of the names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from voxloom.archive.names import PARTS, old_name

Kind = Literal["text", "number", "integer", "numbers"]


@dataclass(frozen=True)
class Element:
    """One header element that the catalogue keeps.

    Parameters
    ----------
    tag : group and element in one number, e.g. 0x00080018.
    column : name of the column: the keyword of the element, of a private one a name of our own.
    kind : "text" (several values joined by a backslash), "number" and "integer" (the first value), or "numbers"
        (``count`` of them, or none).
    vrs : value representations in which the fast parser takes the element; in another one pydicom reads the file.
    count : how many values "numbers" has.
    """

    tag: int
    column: str
    kind: Kind
    vrs: tuple[str, ...]
    count: int = 1


def _text(tag: int, column: str, vr: str = "LO") -> Element:
    return Element(tag, column, "text", (vr,))


def _number(tag: int, column: str, vr: str = "DS") -> Element:
    return Element(tag, column, "number", (vr,))


def _integer(tag: int, column: str, vr: str = "IS") -> Element:
    return Element(tag, column, "integer", (vr,))


def _numbers(tag: int, column: str, count: int) -> Element:
    return Element(tag, column, "numbers", ("DS",), count)


CHARACTER_SET = 0x00080005
META_CLASS = 0x00020002
META_INSTANCE = 0x00020003
TRANSFER_SYNTAX = 0x00020010

#: Every element in ascending order of its tag.
ELEMENTS: tuple[Element, ...] = (
    _text(CHARACTER_SET, "SpecificCharacterSet", "CS"),
    _text(0x00080008, "ImageType", "CS"),
    _text(0x00080016, "SOPClassUID", "UI"),
    _text(0x00080018, "SOPInstanceUID", "UI"),
    _text(0x00080020, "StudyDate", "DA"),
    _text(0x00080022, "AcquisitionDate", "DA"),
    _text(0x00080030, "StudyTime", "TM"),
    _text(0x00080032, "AcquisitionTime", "TM"),
    _text(0x00080033, "ContentTime", "TM"),
    _text(0x00080060, "Modality", "CS"),
    _text(0x00080070, "Manufacturer"),
    _text(0x00080080, "InstitutionName"),
    _text(0x00081030, "StudyDescription"),
    _text(0x0008103E, "SeriesDescription"),
    _text(0x00081090, "ManufacturerModelName"),
    _text(0x00100010, "PatientName", "PN"),
    _text(0x00100020, "PatientID"),
    _text(0x00100030, "PatientBirthDate", "DA"),
    _text(0x00100040, "PatientSex", "CS"),
    _text(0x00101010, "PatientAge", "AS"),
    _text(0x00180010, "ContrastBolusAgent"),
    _text(0x00180015, "BodyPartExamined", "CS"),
    _text(0x00180020, "ScanningSequence", "CS"),
    _text(0x00180021, "SequenceVariant", "CS"),
    _text(0x00180022, "ScanOptions", "CS"),
    _text(0x00180023, "MRAcquisitionType", "CS"),
    _text(0x00180024, "SequenceName", "SH"),
    _number(0x00180050, "SliceThickness"),
    _number(0x00180060, "KVP"),
    _number(0x00180080, "RepetitionTime"),
    _number(0x00180081, "EchoTime"),
    _number(0x00180082, "InversionTime"),
    _number(0x00180087, "MagneticFieldStrength"),
    _number(0x00180088, "SpacingBetweenSlices"),
    _integer(0x00180091, "EchoTrainLength"),
    _text(0x00181030, "ProtocolName"),
    _number(0x00181060, "TriggerTime"),
    _number(0x00181120, "GantryDetectorTilt"),
    _numbers(0x00181164, "ImagerPixelSpacing", 2),
    _text(0x00181210, "ConvolutionKernel", "SH"),
    _number(0x00181314, "FlipAngle"),
    _text(0x00185100, "PatientPosition", "CS"),
    _number(0x00189087, "DiffusionBValue", "FD"),
    _text(0x00190010, "creator_0019"),
    Element(0x0019100C, "b_value_siemens", "text", ("IS", "LO", "DS", "UN")),
    _text(0x0020000D, "StudyInstanceUID", "UI"),
    _text(0x0020000E, "SeriesInstanceUID", "UI"),
    _integer(0x00200011, "SeriesNumber"),
    _integer(0x00200012, "AcquisitionNumber"),
    _integer(0x00200013, "InstanceNumber"),
    _numbers(0x00200032, "ImagePositionPatient", 3),
    _numbers(0x00200037, "ImageOrientationPatient", 6),
    _text(0x00200052, "FrameOfReferenceUID", "UI"),
    _integer(0x00200100, "TemporalPositionIdentifier"),
    _integer(0x00201002, "ImagesInAcquisition"),
    _integer(0x00280002, "SamplesPerPixel", "US"),
    _text(0x00280004, "PhotometricInterpretation", "CS"),
    _integer(0x00280008, "NumberOfFrames"),
    _integer(0x00280010, "Rows", "US"),
    _integer(0x00280011, "Columns", "US"),
    _numbers(0x00280030, "PixelSpacing", 2),
    _integer(0x00280100, "BitsAllocated", "US"),
    _text(0x00280301, "BurnedInAnnotation", "CS"),
)

#: Read further on, for MR of two vendors only: GE's and Philips' b-values, and who owns their blocks.
LATE_ELEMENTS: tuple[Element, ...] = (
    _text(0x00430010, "creator_0043"),
    Element(0x00431039, "b_value_ge", "text", ("IS", "LO", "DS", "UN")),
    _text(0x20010010, "creator_2001"),
    _number(0x20011003, "b_value_philips", "FL"),
)
ALL_ELEMENTS = (*ELEMENTS, *LATE_ELEMENTS)
LAST_TAG = ELEMENTS[-1].tag
LAST_LATE_TAG = LATE_ELEMENTS[-1].tag

#: Needed to know the private b-values, then dropped.
HELPERS = frozenset({
    "b_value_siemens", "b_value_ge", "b_value_philips", "creator_0019", "creator_0043", "creator_2001",
})  # fmt: skip

#: Columns that say where a row comes from.
PLACE = ("file", "member", "file_size", "file_time")
#: Columns that are made of several elements, or of the file.
MADE = ("TransferSyntaxUID", "derived_b_value", "derived_frame_locations")
#: Columns of whole numbers.
INTEGERS = frozenset(("file_size", "file_time", *(e.column for e in ELEMENTS if e.kind == "integer")))
#: Columns of real numbers.
NUMBERS = frozenset(
    ("derived_b_value", *(e.column for e in ELEMENTS if e.kind == "number" and e.column not in HELPERS))
)
#: Columns of several real numbers.
LISTS = frozenset(("derived_frame_locations", *(e.column for e in ELEMENTS if e.kind == "numbers")))
#: All columns of the instance table, in order.
COLUMNS = (*PLACE, *(e.column for e in ELEMENTS if e.column not in HELPERS), *MADE)
#: Columns that an archive of the version before this one lacks: its pixel sizes and b-values hold these already.
ADDED = ("ImagerPixelSpacing", "DiffusionBValue")
#: Columns of such an archive (``names.of_old_rows`` gives them their present names).
OLD_COLUMNS = tuple(
    old for name in COLUMNS if name not in ADDED for old in PARTS.get(name, (old_name(name, "instances"),))
)
