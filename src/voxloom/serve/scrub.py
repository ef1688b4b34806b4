"""Errors as clients and logs may see them: what is wrong and what to do, without paths of the machine and names of files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from voxloom.errors import BadInput

#: A path, but no address of this service.
_PATH = re.compile(
    r"(?<![\w/])(?!/api\b)(?:(?:[A-Za-z]:)?[\\/]|\.{1,2}[\\/])[^\s'\",;:()]+|\b[\w.@^-]+[\\/][\w.@^-]+[\\/][^\s'\",;:()]+"
)
_FILE = re.compile(
    r"\b[^\s'\",;:()\\/]+\.(?:nii\.gz|nii|mha|mhd|nrrd|nhdr|dcm|dicom|ima|png|tiff?|jpe?g|npz|csv|mrk\.json)\b", re.I
)


def told(error: BadInput, place: str | None = None, names: Iterable[str] = ()) -> dict[str, str | None]:
    """The three parts of an error.

    Parameters
    ----------
    place : what stands in the place of a file, e.g. the case's id; None leaves it out.
    names : of files and folders that must not be told.
    """
    where = error.where if isinstance(error.where, str) and not _PATH.search(error.where) else place
    clean = [scrubbed(text, names) for text in (error.what, where, error.fix)]
    return {"what": clean[0], "where": clean[1] or None, "fix": clean[2] or None}


def told_of_job(error: Mapping[str, str | None], place: str | None, names: Iterable[str] = ()) -> dict[str, str | None]:
    """The same of an error that came from another process."""
    return told(BadInput(str(error["what"]), None, error["fix"]), place, names)


def scrubbed(text: str | None, names: Iterable[str] = ()) -> str:
    """A text in which paths and names of files are "the file"."""
    found = text or ""
    known = sorted((name for name in names if len(name) > 2), key=len, reverse=True)
    for whole in (name for name in known if "/" in name or "\\" in name):
        found = found.replace(whole, "the file")
    found = _FILE.sub("the file", _PATH.sub("the file", found))
    for name in (name for name in known if "/" not in name and "\\" not in name):
        found = found.replace(name, "the file")
    return found


def names_of(files: Iterable[Path]) -> set[str]:
    """Whole paths, names, and names of the folders of some files."""
    found: set[str] = set()
    for path in files:
        found |= {str(path), path.name, str(path.parent), path.parent.name}
    return found
