"""What every result object shares: who made it, its series, new identifiers, and how it gets onto the disk.

Knows the equipment, series and content elements (DICOM PS3.3 C.7.5.1, C.7.3.1). Does not know kinds of results.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.files import atomic_path
from voxloom.formats.dicom.results.source import SourceSeries
from voxloom.formats.dicom.results.terms import NOTE, Author

MAKER = "Voxloom"
_UTF8 = "ISO_IR 192"


def software() -> str:
    """Version of Voxloom."""
    return version("voxloom")


def line(text: str, most: int = 64) -> str:
    """Text as DICOM's short kinds take it: one line, no backslash, not too long."""
    plain = " ".join(text.replace("\\", "/").split())
    return plain if len(plain) <= most else f"{plain[: most - 3].rstrip()}..."


def described(what: str, author: Author) -> str:
    """Description of a series: what it holds, of whom, and what it is for."""
    note = "" if author.by_hand else f" - {NOTE}"
    return line(f"{what}, {line(author.name, 64 - len(what) - len(note) - 2)}{note}")


def characters(header: Any, texts: Iterable[str]) -> str | list[str] | None:
    """The character set of a source where it has room for all ``texts``, so that names stay the same bytes; else UTF-8."""
    from pydicom.charset import python_encoding

    own = header.get("SpecificCharacterSet") or None
    names = [own] if isinstance(own, str) else list(own or [])
    if any(name not in python_encoding for name in names):
        return _UTF8
    fits = "ascii" if len(names) != 1 else python_encoding[names[0]]
    own_texts = () if names else (str(header.get(keyword) or "") for keyword in _TAKEN)  # a source need not say its set
    try:
        for text in (*texts, *own_texts):
            text.encode(fits)
    except UnicodeEncodeError:
        return _UTF8
    return names[0] if len(names) == 1 else names or None


def new_uid() -> str:
    """A UID that nobody else has."""
    from pydicom.uid import generate_uid

    return str(generate_uid())


@contextlib.contextmanager
def refused(where: str, what: str) -> Iterator[None]:
    """What the library has against a source becomes one line (BadInput); its warnings are not for users."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise BadInput(
            f"cannot carry a {what} ({reason})", where, "Export the series again from its archive"
        ) from error


def item(**elements: Any) -> Any:
    """An item of a sequence with these elements, by keyword."""
    from pydicom.dataset import Dataset

    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


#: What objects take over from their source: patient and study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2).
_TAKEN = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge", "PatientSize", "PatientWeight",
    "PatientIdentityRemoved", "DeidentificationMethod", "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "StudyDescription",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def begun(
    source: SourceSeries,
    author: Author,
    sop_class: str,
    modality: str,
    number: int,
    what: str,
    texts: Iterable[str] = (),
) -> Any:
    """An object of its own series in the study of its source, as yet without content.

    Parameters
    ----------
    sop_class, modality : of the object.
    number : of the series.
    what : it holds, for the description.
    texts : that it will hold and the character set must have room for.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword in _TAKEN:
        if keyword in source.header:
            dataset[keyword] = source.header[keyword]
    if characters_used := characters(source.header, (author.name, author.note, *texts)):
        dataset.SpecificCharacterSet = characters_used
    now = datetime.now()
    dataset.SOPClassUID, dataset.SOPInstanceUID = UID(sop_class), new_uid()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    dataset.InstanceCreationDate, dataset.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    dataset.Modality, dataset.SeriesInstanceUID, dataset.SeriesNumber = modality, new_uid(), number
    dataset.SeriesDescription, dataset.InstanceNumber = described(what, author), 1
    dataset.SeriesDate, dataset.SeriesTime = dataset.InstanceCreationDate, dataset.InstanceCreationTime
    dataset.OperatorsName = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = MAKER, line(author.name)
    dataset.SoftwareVersions = line(f"{MAKER} {software()}")
    dataset.DeviceSerialNumber = line(author.version or "none")
    return dataset


def saved(dataset: Any, path: Path) -> Path:
    """Write an object, whole or not at all."""
    with atomic_path(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)
    return path
