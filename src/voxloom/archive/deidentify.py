"""Headers without identity, after the basic profile of DICOM PS3.15 Annex E.

The profile names what must go. This goes further: an element stays only when it is on the list of harmless ones below,
and a text only when it is a known code (``codes``); UIDs are replaced, dates moved, and everything else (names, places,
free text, private elements, curves, overlays) goes. Pixels are not cleaned. Knows no files.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from voxloom.archive.codes import code_of
from voxloom.archive.identity import Identity

#: Numbers and codes that describe the image and its acquisition, not the person or the place.
KEPT = frozenset([
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "Modality", "Manufacturer", "ManufacturerModelName",
    "PatientSex", "PatientAge", "BodyPartExamined", "ScanningSequence", "SequenceVariant", "ScanOptions",
    "MRAcquisitionType", "SequenceName", "AngioFlag", "SliceThickness", "KVP", "RepetitionTime", "EchoTime",
    "InversionTime", "NumberOfAverages", "ImagingFrequency", "ImagedNucleus", "EchoNumbers", "MagneticFieldStrength",
    "SpacingBetweenSlices", "NumberOfPhaseEncodingSteps", "EchoTrainLength", "PercentSampling",
    "PercentPhaseFieldOfView", "PixelBandwidth", "TriggerTime", "ReconstructionDiameter",
    "DistanceSourceToDetector", "DistanceSourceToPatient", "GantryDetectorTilt", "TableHeight", "ExposureTime",
    "XRayTubeCurrent", "Exposure", "FilterType", "GeneratorPower", "FocalSpots", "ConvolutionKernel", "FlipAngle",
    "AcquisitionMatrix", "InPlanePhaseEncodingDirection", "VariableFlipAngleFlag", "SAR", "dBdt",
    "PatientPosition", "DiffusionBValue", "DiffusionGradientOrientation", "DiffusionDirectionality",
    "SeriesNumber", "AcquisitionNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "TemporalPositionIdentifier", "NumberOfTemporalPositions", "SliceLocation", "ImagesInAcquisition",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns",
    "PixelSpacing", "ImagerPixelSpacing", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation",
    "SmallestImagePixelValue", "LargestImagePixelValue", "PixelPaddingValue", "BurnedInAnnotation",
    "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "RescaleType", "LossyImageCompression",
    "LossyImageCompressionRatio", "LossyImageCompressionMethod", "PixelData", "AcquisitionType", "SpiralPitchFactor",
    "SingleCollimationWidth", "TotalCollimationWidth", "TableSpeed", "TableFeedPerRotation",
    "EffectiveEchoTime", "FrameAcquisitionNumber", "StackID", "InStackPositionNumber", "TemporalPositionIndex",
    "FrameType", "DimensionIndexValues", "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence",
    "PixelValueTransformationSequence", "FrameContentSequence", "MREchoSequence", "MRDiffusionSequence",
    "MRTimingAndRelatedParametersSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "FrameVOILUTSequence", "PixelPaddingRangeLimit", "Units", "DoseGridScaling", "DoseUnits", "DoseType",
    "DoseSummationType", "GridFrameOffsetVector",
])  # fmt: skip
#: UIDs that tie objects together: replaced by others, the same for the same.
UIDS = frozenset(["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "ConcatenationUID"])
#: Dates that are moved with all others of the patient, or left empty.
DATES = frozenset(["StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"])
#: Must be there, and are empty.
EMPTY = (
    "PatientBirthDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "PositionReferenceIndicator",
)
_NUMBERS = ("DS", "IS", "US", "SS", "UL", "SL", "FL", "FD", "UV", "SV")
_TYPES = ("ImageType", "FrameType")
#: Beyond this age (years) people are few enough to be found; the age is given as 90.
_OLDEST = 89


def deidentify(dataset: Any, identity: Identity, person: str) -> Any:
    """A new pydicom data set with nothing that tells who, where or when.

    Parameters
    ----------
    dataset : of one object; it is left as it is.
    identity : gives pseudonyms, UIDs and dates.
    person : the patient id behind the pseudonym.

    Codes of the profile and its options (113100; 113107 with moved dates; 113108) say what was done.
    """
    from pydicom.dataset import Dataset

    clean = _kept(dataset, identity, person)
    for keyword in EMPTY:
        setattr(clean, keyword, "")
    clean.PatientName = clean.PatientID = identity.patient(person)
    clean.PatientIdentityRemoved = "YES"
    clean.DeidentificationMethod = "Voxloom: PS3.15 Annex E basic profile, by a list of what is kept"
    codes = [
        ("113100", "Basic Application Confidentiality Profile"),
        ("113108", "Retain Patient Characteristics Option"),
    ]
    if identity.dates == "shift":
        codes.append(("113107", "Retain Longitudinal Temporal Information Modified Dates Option"))
        clean.LongitudinalTemporalInformationModified = "MODIFIED"
    else:
        clean.LongitudinalTemporalInformationModified = "REMOVED"
    items = []
    for value, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
        items.append(item)
    clean.DeidentificationMethodCodeSequence = items
    return clean


def _kept(dataset: Any, identity: Identity, person: str) -> Any:
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    clean = Dataset()
    for element in dataset:
        keyword = element.keyword
        if keyword in UIDS:
            setattr(clean, keyword, identity.uid(str(element.value)))
        elif keyword in DATES:
            setattr(clean, keyword, identity.date(str(element.value), person) or "")
        elif keyword == "PatientAge":
            clean.PatientAge = age_of(str(element.value)) or ""
        elif keyword in KEPT and element.VR == "SQ":
            setattr(clean, keyword, Sequence([_kept(item, identity, person) for item in element.value]))
        elif keyword in KEPT:
            _keep(element, clean)
    return clean


def _keep(element: Any, clean: Any) -> None:
    """Add a number, the pixels or known codes to ``clean``; a text that is not a code of its element goes."""
    keyword = element.keyword
    if keyword == "PixelData":
        clean.add(element)
    elif keyword == "SOPClassUID":
        if str(element.value).startswith("1.2.840.10008."):
            clean.SOPClassUID = element.value
    elif element.VR in _NUMBERS:
        if _is_number(element.value):
            clean.add(element)
    elif element.VR in ("CS", "LO", "SH"):
        values = [str(v) for v in element.value] if _is_several(element.value) else [str(element.value or "")]
        codes = [code_of(keyword, value) for value in values]
        if keyword in _TYPES:  # the place of a value says what it means: the first two are always there
            codes = [code or ("OTHER" if place < 2 else None) for place, code in enumerate(codes)]
        setattr(clean, keyword, [code for code in codes if code])


def _is_several(value: Any) -> bool:
    return isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue"


def _is_number(value: Any) -> bool:
    values = list(value) if _is_several(value) else [value]
    return all(v in (None, "") or isinstance(v, (int, float, Decimal)) for v in values)


def age_of(value: str | None) -> str | None:
    """A DICOM age (``055Y``), at most ``090Y``; None when it is not an age."""
    text = (value or "").strip()
    if len(text) != 4 or not text[:3].isdigit() or text[3] not in "DWMY":
        return None
    return "090Y" if text[3] == "Y" and int(text[:3]) > _OLDEST else text


def header_facts(dataset: Any) -> dict[str, Any]:
    """A cleaned header as plain values for JSON: numbers, texts and lists, without pixels and sequences."""
    facts: dict[str, Any] = {}
    for element in dataset:
        if element.VR == "SQ" or element.keyword in ("PixelData", "") or element.is_empty:
            continue
        facts[element.keyword] = _plain(element.value)
    return facts


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue":
        return [_plain(v) for v in value]
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) or type(value).__name__ == "DSdecimal" else str(value)
