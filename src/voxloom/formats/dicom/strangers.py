"""Files of a folder that are not readable DICOM, but look like slices that were lost: empty, cut or unfinished copies.

Knows names and the first bytes. Notes, pictures and the hidden files of an operating system are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from voxloom.errors import BadInput

#: Endings of DICOM files, and those that programs give to a file while they copy it.
DICOM_ENDINGS = (".dcm", ".dicom", ".ima")
_UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".incomplete", ".tmp")
_START = 132


def refuse_lost(dicom: Sequence[Path], others: Sequence[Path]) -> None:
    """Refuse a folder in which a file that is not readable DICOM stands where a slice should (BadInput).

    Parameters
    ----------
    dicom : the readable files.
    others : the rest of the files.

    Such a file ends like DICOM, is named like the readable files but for digits, or is blank (no bytes, or zeros) and,
    like them, has no ending.
    """
    shapes = {_shape(path.name) for path in dicom}
    bare = all(not ending(path) for path in dicom)
    for path in others:
        name = path.name
        if name.startswith("."):  # "._0001.dcm" of macOS is not a slice
            continue
        unfinished = next((e for e in _UNFINISHED if name.lower().endswith(e)), "")
        whole = name[: len(name) - len(unfinished)]
        named = _shape(whole) in shapes or whole.lower().endswith(DICOM_ENDINGS)
        if named or (bare and not ending(path) and is_blank(path)):
            what = f"{_fault(path, unfinished)}, among the files of a series: a slice may be lost"
            raise BadInput(what, path, "Copy it again, or remove it if it is not a slice")


def is_blank(path: Path) -> bool:
    """Whether the file has no bytes, or begins with zeros only where every DICOM file has some letters."""
    with path.open("rb") as f:
        return not f.read(_START).strip(b"\0")


def ending(path: Path) -> str:
    """The ending of a file name in lower case, ``""`` for the last number of a UID."""
    return "" if re.fullmatch(r"\.\d+", path.suffix) else path.suffix.lower()


def _shape(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _fault(path: Path, unfinished: str) -> str:
    if path.stat().st_size == 0:
        return "is empty (0 bytes)"
    return f"is an unfinished copy ({unfinished})" if unfinished else "is not readable DICOM"
