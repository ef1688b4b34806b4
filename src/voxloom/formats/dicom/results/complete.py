"""What a header must hold before results can refer to it: type-2 elements, values that fit their kind, a frame of reference.

The one place that fills and mends what a source lacks or has wrong (DICOM PS3.3 C.7.1 to C.7.4, PS3.5 6.2). The source itself is
never changed.
"""

from __future__ import annotations

import re
import warnings
from copy import deepcopy
from typing import Any

#: Elements of the patient and the study that must be there, if only empty.
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime", "AccessionNumber",
    "ReferringPhysicianName",
)  # fmt: skip
#: Identification and patient: what results take over from their source.
_GROUPS = (0x0008, 0x0010)
_CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4", "PT": "1.2.840.10008.5.1.4.1.1.128"}
_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_AGE = re.compile(r"(\d{1,3})\s*([DWMY]?)", re.IGNORECASE)
_SEX = {"M": "M", "F": "F", "O": "O", "MALE": "M", "FEMALE": "F", "OTHER": "O"}
_CODE = re.compile(r"[A-Z0-9 _]{0,16}")


def completed(header: Any) -> tuple[Any, list[str]]:
    """A copy of a source's header that results may be made from, and notes for people on what was made up.

    Wrong values of texts and dates are mended where their meaning is plain (``42`` years become ``042Y``), else left out: a
    result must not carry on what a validator objects to.
    """
    from pydicom.uid import generate_uid

    notes: list[str] = []
    copy = deepcopy(header)
    _mend_all(copy)
    for keyword in _TYPE_2:
        if keyword not in copy:
            setattr(copy, keyword, "")
    removed = str(copy.get("PatientIdentityRemoved") or "") == "YES" and not copy.get(
        "DeidentificationMethodCodeSequence"
    )
    if removed and not copy.get("DeidentificationMethod"):
        copy.DeidentificationMethod = "not told by the source"
    if not copy.get("Modality"):
        copy.Modality = "OT"
    notes += identified(copy)
    if not copy.get("StudyInstanceUID"):
        copy.StudyInstanceUID = generate_uid(entropy_srcs=["study", str(copy.get("SeriesInstanceUID", ""))])
        notes.append("the source names no study: one was made up, and a PACS will not file the results beside it")
    if not copy.get("FrameOfReferenceUID"):
        # from the series, so that all results of it share one
        copy.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", str(copy.get("SeriesInstanceUID", ""))])
        notes.append("the source names no frame of reference: one was made up for the results (FrameOfReferenceUID)")
    copy.PositionReferenceIndicator = str(copy.get("PositionReferenceIndicator") or "")
    return copy, notes


def identified(header: Any) -> list[str]:
    """Fill class and UIDs of an object in place: from its meta group, else by modality and content; notes on what was made up."""
    from pydicom.uid import generate_uid

    meta = getattr(header, "file_meta", None)
    said = {k: meta.get(f"MediaStorage{k}") if meta is not None else None for k in ("SOPClassUID", "SOPInstanceUID")}
    if not header.get("SOPClassUID"):
        header.SOPClassUID = said["SOPClassUID"] or _CLASSES.get(str(header.get("Modality")), _CAPTURE)
    places = [
        str(header.get(k, ""))
        for k in ("StudyInstanceUID", "ImagePositionPatient", "InstanceNumber", "AcquisitionTime")
    ]
    made_up = []
    for keyword, own in (("SeriesInstanceUID", None), ("SOPInstanceUID", said["SOPInstanceUID"])):
        if not header.get(keyword):
            setattr(
                header,
                keyword,
                own or generate_uid(entropy_srcs=[keyword, *places[: 1 if keyword == "SeriesInstanceUID" else 4]]),
            )
            made_up += [] if own else [keyword]
    return [f"the source has no {' and no '.join(made_up)}: made up, so nothing can be referred to"] if made_up else []


def _mend_all(dataset: Any) -> None:
    """Mend or drop the elements of identification and patient whose values do not fit their kind; sequences are looked through."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element in list(dataset):
            if element.tag.group not in _GROUPS:
                continue
            if element.VR == "SQ":
                for item in element.value or ():
                    _mend_all(item)
            elif not _fits(element):
                value = _mended(element)
                if value is None:
                    del dataset[element.tag]
                else:
                    element.value = value


def _fits(element: Any) -> bool:
    """Whether the values are what their kind (VR) allows."""
    from pydicom.config import RAISE
    from pydicom.valuerep import validate_value

    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            if value not in (None, ""):
                validate_value(element.VR, str(value), RAISE)
    except Exception:  # pydicom raises ValueError, and others for values of another type
        return False
    return _known_sex(element)


def _known_sex(element: Any) -> bool:
    return element.keyword != "PatientSex" or str(element.value or "") in ("", "M", "F", "O")


def _mended(element: Any) -> Any:
    """A value that fits, None where none is plain."""
    text = str(element.value).strip()
    if element.keyword == "PatientSex":
        return _SEX.get(text.upper(), "")
    if element.VR == "AS":
        match = _AGE.fullmatch(text)
        return f"{int(match[1]):03d}{(match[2] or 'Y').upper()}" if match else None
    if element.VR == "CS" and element.VM == 1 and _CODE.fullmatch(text.upper()):
        return text.upper()
    if element.VR == "DA" and re.fullmatch(r"\d{4}[-./]\d{2}[-./]\d{2}", text):
        return re.sub(r"\D", "", text)
    if element.VR in ("LO", "SH") and element.VM == 1:
        return " ".join(text.replace("\\", " ").split())[: 64 if element.VR == "LO" else 16]
    if element.VR == "DS" and element.VM == 1:
        return _decimal(element.value)
    if element.VR == "PN":
        return "^".join(part[:64] for part in text.replace("=", " ").replace("\\", " ").split("^")[:5])
    return None


def _decimal(value: Any) -> Any:
    """A number in at most 16 characters, None for what is none."""
    from pydicom.valuerep import DSfloat

    try:
        return DSfloat(float(value), auto_format=True)
    except (TypeError, ValueError, OverflowError):
        return None
