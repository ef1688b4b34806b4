"""Which DICOM objects a folder or a list of files holds.

Knows the preamble, files without it, DICOMDIR and objects that are not images. Only the header elements that the reader
needs are parsed. Does not know how images belong together.
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.formats.checks import check_file
from voxloom.formats.dicom.plain import read_plain_header
from voxloom.formats.dicom.strangers import refuse_lost

_PIECE = 1 << 20
#: A deflated data set beyond this size and ratio is not an image; pydicom would unpack and parse it for minutes.
_DEFLATED_BYTES, _DEFLATED_RATIO = 4 << 20, 100
_DICOMDIR = "1.2.840.10008.1.3.10"
_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesDescription", "SeriesNumber", "FrameOfReferenceUID", "InstanceNumber", "ImageType", "Manufacturer", "StudyDate",
    "PatientSex", "PatientAge", "BodyPartExamined", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "ImagerPixelSpacing", "SliceThickness", "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "NumberOfFrames", "GridFrameOffsetVector", "DoseGridScaling", "DoseUnits", "DoseSummationType", "Units",
    "RescaleType", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
    "EchoTime", "RepetitionTime", "InversionTime", "FlipAngle", "TriggerTime", "TemporalPositionIdentifier",
    "DiffusionBValue", "AcquisitionNumber", "AcquisitionTime", "ContentTime", "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
]  # fmt: skip


@dataclass(frozen=True)
class Found:
    """One image object: its file and the header elements that were asked for."""

    path: Path
    header: Any


def find_images(source: str | Path | Sequence[str | Path]) -> list[Found]:
    """The image objects of a folder, a file or a list of files, in no particular order.

    In a folder DICOMDIR, files of other kinds and objects without pixels are passed over; when the folder itself has no
    DICOM file, its subfolders are searched. A listed file must be DICOM.

    Raises BadInput when nothing is found, when the objects hold no pixels, for a file that is cut, and for one that is
    not readable but looks like a slice (see ``strangers``).
    """
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        paths = _dicom_files(Path(source))
    else:
        paths = [Path(source)] if isinstance(source, (str, Path)) else [Path(p) for p in source]
        if not paths:
            raise BadInput("is empty", name_of(source), "Give the files of one series")
        for path in paths:
            check_file(path)
            if not looks_like_dicom(path):
                raise BadInput("is not a DICOM file", path, "Leave it out of the list")
    images, others, unknown = [], Counter[str](), None
    for path, header in zip(paths, _headers(paths), strict=True):
        if _is_image(header, path):
            _check_size(header, path)
            images.append(Found(path, header))
        else:
            others[_kind(header)] += 1
            unknown = unknown or (path if not _class_uid(header) else None)
    if images and unknown is not None:
        what = "is a DICOM file that ends before it says what it is, among the files of a series"
        raise BadInput(what, unknown, "Copy it again, or remove it if it is not a slice")
    if not images:
        kinds = ", ".join(f"{n} x {kind}" for kind, n in others.most_common(5))
        raise BadInput(f"holds no pixel data ({kinds})", name_of(source), "Give the series of images")
    return images


#: The headers that were parsed last, by their files and when these were written.
_LAST: tuple[tuple[tuple[str, int, int, int], ...], list[Any]] = ((), [])


def _headers(paths: Sequence[Path]) -> list[Any]:
    """The reader's elements of every file. A series that was just read is not parsed again: results refer to its headers."""
    global _LAST
    stamps = tuple((str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()])
    known, headers = _LAST
    if known != stamps:
        headers = [read_dataset(path, headers_only=True) for path in paths]
        _LAST = (stamps, headers)
    return headers


def name_of(source: str | Path | Sequence[str | Path]) -> str:
    """How messages call a source: its path, or the folder of the listed files."""
    if isinstance(source, (str, Path)):
        return str(source)
    return f"{Path(source[0]).parent} ({len(source)} files)" if source else "list of DICOM files"


def looks_like_dicom(path: Path) -> bool:
    """Whether the file has the DICOM preamble, or begins like a data set without it (group 0002 or 0008)."""
    with path.open("rb") as f:
        start = f.read(132)
    if start[128:] == b"DICM":
        return True
    if len(start) < 132:
        return False
    little = start[:2] in (b"\x08\x00", b"\x02\x00") and start[3] == 0 and start[2] < 0x20
    big = start[:2] == b"\x00\x08" and start[2] == 0 and start[3] < 0x20 and start[4:6].isalpha()
    return little or big


def read_dataset(path: Path, *, headers_only: bool = False, everything: bool = False) -> Any:
    """Parse one file. Raises BadInput when it is damaged.

    Parameters
    ----------
    headers_only : stop before the pixels, and keep the reader's own elements.
    everything : keep all others too.
    """
    import pydicom

    tags = list(_TAGS) if headers_only and not everything else None
    try:
        with warnings.catch_warnings(), _BoundedFile(path) as file:
            warnings.simplefilter("ignore")
            if tags is not None and (plain := read_plain_header(path, tags)) is not None:
                return plain
            dataset = pydicom.dcmread(file, stop_before_pixels=headers_only, specific_tags=tags, force=True)
            if headers_only:  # pydicom parses values only when they are asked for
                dataset.file_meta.walk(lambda *_: None)
                dataset.walk(lambda *_: None)
            return dataset
    except BadInput:
        raise
    except Exception as error:  # a damaged file lets pydicom raise nearly anything
        reason = f"the DICOM file is damaged or cut ({error})"
        raise BadInput(reason, path, "Copy it again") from None


def syntax_of(dataset: Any) -> Any:
    """The transfer syntax (UID) of a parsed file; where its meta group is missing, the plain one that it was parsed in."""
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    told = dataset.file_meta.get("TransferSyntaxUID") if getattr(dataset, "file_meta", None) is not None else None
    if told:
        return told
    implicit, little = dataset.original_encoding
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian


class _BoundedFile(io.BufferedReader):
    """A file that is never asked for more bytes than it has left: a damaged length would take gigabytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._path, self._size = path, path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self.tell())
        if size is not None and size >= 0:
            return super().read(min(size, left))
        rest = super().read(left)  # pydicom reads to the end only to unpack the deflated transfer syntax as a whole
        _check_deflated(rest, self._path)
        return rest


def _check_deflated(packed: bytes, path: Path) -> None:
    """Refuse deflated bytes that unpack to gigabytes (BadInput); damaged ones are left to pydicom."""
    engine, unpacked = zlib.decompressobj(-zlib.MAX_WBITS), 0
    with contextlib.suppress(zlib.error):
        while packed and not engine.eof:
            unpacked += len(engine.decompress(packed, _PIECE))
            packed = engine.unconsumed_tail
            if unpacked > max(_DEFLATED_BYTES, _DEFLATED_RATIO * path.stat().st_size):
                raise BadInput("is deflated, and unpacks to far more than images do", path, "Save it uncompressed")


def _dicom_files(folder: Path) -> list[Path]:
    direct = sorted(p for p in folder.iterdir() if p.is_file())
    found = [p for p in direct if looks_like_dicom(p)]
    if not [p for p in found if p.name.upper() != "DICOMDIR"]:
        direct = sorted(p for p in folder.rglob("*") if p.is_file())
        found = [p for p in direct if looks_like_dicom(p)]
    if not found:
        raise BadInput("holds no DICOM file", folder, "Check the path")
    known = set(found)
    refuse_lost([p for p in found if p.name.upper() != "DICOMDIR"], [p for p in direct if p not in known])
    return found


def _is_image(header: Any, path: Path) -> bool:
    kind = _kind(header)
    if _class_uid(header) == _DICOMDIR:
        return False
    if "Rows" in header and "Columns" in header:
        return True
    if "Image Storage" in kind:
        raise BadInput(f"is a {kind} without rows and columns", path, "It was probably copied by half; copy it again")
    return False


def _check_size(header: Any, path: Path) -> None:
    """Refuse a file that is smaller than its uncompressed pixels (BadInput): it is cut."""
    syntax = syntax_of(header)
    if not syntax.is_transfer_syntax or syntax.is_encapsulated or syntax.is_deflated:
        return
    try:
        counts = [int(header.get(key) or 1) for key in ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")]
        needed = math.prod(counts) * int(header.get("BitsAllocated") or 1) // 8
    except (TypeError, ValueError):
        return  # told by who reads these elements
    if str(header.get("PhotometricInterpretation") or "").startswith("YBR_FULL_422"):
        needed = needed * 2 // 3
    if needed > 0 and path.stat().st_size < needed:
        size = path.stat().st_size
        what = f"is cut: its pixels need {needed:,} bytes, the file has {size:,}"
        raise BadInput(what, path, "Copy it again")


def _class_uid(header: Any) -> str:
    meta = getattr(header, "file_meta", None)
    return str(header.get("SOPClassUID") or (meta.get("MediaStorageSOPClassUID") if meta is not None else "") or "")


def _kind(header: Any) -> str:
    from pydicom.uid import UID

    uid = _class_uid(header)
    return UID(uid).name if uid else "object of unknown kind"
