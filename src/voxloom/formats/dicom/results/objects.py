"""Whether a DICOM file holds a label map: a segmentation or a structure set. Reads the first elements only."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.formats.dicom.files import looks_like_dicom, read_dataset

#: Kind by SOP class: Segmentation, Label Map Segmentation and RT Structure Set Storage.
KINDS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "seg",
    "1.2.840.10008.5.1.4.1.1.66.7": "seg",
    "1.2.840.10008.5.1.4.1.1.481.3": "rtstruct",
}


def find_object(path: Path) -> tuple[str, Path] | None:
    """Kind and file of a label map in a DICOM file, or in a folder whose only DICOM file it is; None where there is none."""
    if path.is_dir():
        files = [p for p in sorted(path.iterdir()) if p.is_file() and not p.name.startswith(".")]
        if len(files) > 8:  # a series of slices; a look at each would take time
            return None
        found = [p for p in files if p.name.upper() != "DICOMDIR" and looks_like_dicom(p)]
        return find_object(found[0]) if len(found) == 1 else None
    if not path.is_file() or path.stat().st_size < 132 or not looks_like_dicom(path):
        return None
    kind = KINDS.get(_class_of(path))
    return None if kind is None else (kind, path)


def _class_of(path: Path) -> str:
    try:
        header = read_dataset(path, headers_only=True)
    except BadInput:  # told by who reads it
        return ""
    return str(header.get("SOPClassUID") or "")


#: What the name of a label map ends with before ``.dcm``; the first goes before the later ones where several are of one case.
LABEL_MAPS = ("seg", "seg-labelmap", "rtstruct", "seg-fractional")
_KIND_IN_NAME = re.compile(r"\.(seg-labelmap|seg-fractional|seg|rtstruct)$", re.IGNORECASE)


def objects_in(folder: Path, taken: Collection[str] = ()) -> dict[str, Path]:
    """Files of a folder that end in ``.dcm`` and hold a label map, by the case: ``CASE.seg.dcm``, ``CASE.rtstruct.dcm``, ``CASE.dcm``.

    Cases in ``taken`` are passed over; of several files of one case the first kind of seg, seg-labelmap, rtstruct and seg-fractional
    counts.
    """
    found: dict[str, tuple[int, Path]] = {}
    for path in sorted(folder.iterdir()):
        if not path.name.lower().endswith(".dcm") or path.name.startswith("."):
            continue
        match = _KIND_IN_NAME.search(path.name[: -len(".dcm")])
        case = case_of(path.name)
        if case in taken or find_object(path) is None:
            continue
        rank = LABEL_MAPS.index(match[1].lower()) if match else len(LABEL_MAPS)
        if case not in found or rank < found[case][0]:
            found[case] = (rank, path)
    return {case: path for case, (_, path) in found.items()}


def case_of(name: str) -> str:
    """The case that the name of a DICOM object tells: ``CASE.seg.dcm`` and ``CASE.dcm`` are of CASE."""
    return _KIND_IN_NAME.sub("", name[: -len(".dcm")] if name.lower().endswith(".dcm") else name)
