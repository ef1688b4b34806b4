"""What a prediction may be written over: an earlier prediction of the same scan, never a scan, a label map or another file.

Knows the note ``predictions.json`` in a folder of predictions, which lists the files that ``voxloom predict`` writes there and the
scan that each came from.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.digests import file_digests
from voxloom.errors import BadInput
from voxloom.files import read_json, write_json

NOTE = "predictions.json"


@dataclass(frozen=True)
class Origin:
    """The scan of a prediction: its files, the file or folder that names it, and the series that is read of a folder."""

    path: Path
    files: Sequence[Path]
    series: tuple[str, ...] = ()

    def digest(self) -> str:
        """SHA-256 over the content of the files, whatever their names and order, and over the choice of the series."""
        digests = [*sorted(file_digests(self.files).values()), *self.series]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


def claim_outputs(out: Path, origins: Mapping[str, Origin], tell: Callable[[str], None]) -> None:
    """Refuse to write over what is not an earlier prediction of the same scan, and note what will be written.

    Parameters
    ----------
    out : folder of the predictions.
    origins : the scan of each file that will be written there, by the file's name.
    tell : told of a scan that has changed since it was predicted into this folder.

    Raises
    ------
    BadInput : a file would be written over its own source, over one that ``voxloom predict`` did not write, or over the
        prediction of another scan.
    """
    read = {file.resolve() for origin in origins.values() for file in (origin.path, *origin.files)}
    own, sources = _noted(out / NOTE)
    for name in origins:
        path = out / name
        if path.resolve() in read:
            raise BadInput("the prediction would be written over its own scan", path, "Choose another folder with -o")
        if path.exists() and name not in own:
            fix = "Choose another folder with -o, or move the file away"
            raise BadInput("there is such a file, and it is not an earlier prediction", path, fix)
    said = {name: _told(origin) for name, origin in origins.items()}
    for name in origins:
        if name in sources and (out / name).exists():
            _refuse_other(out / name, sources[name], said[name], tell)
    if own.issuperset(origins) and all(sources.get(name) == new for name, new in said.items()):
        return
    write_json(out / NOTE, {"files": sorted(own.union(origins)), "sources": {**sources, **said}})


def _told(origin: Origin) -> dict[str, str]:
    return {"scan": os.path.abspath(origin.path), "sha256": origin.digest()}


def _refuse_other(path: Path, old: Mapping[str, Any], new: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Refuse to replace the prediction of another scan; a scan that changed in its place is told."""
    if old.get("sha256") == new["sha256"]:
        return
    if old.get("scan") != new["scan"]:
        what = f"is the prediction of another scan, {old.get('scan')}"
        raise BadInput(what, path, "Choose another folder with -o, or remove the file")
    tell(f"{path.name} is predicted anew: {new['scan']}, or the series that is read of it, has changed since")


def _noted(note: Path) -> tuple[set[str], dict[str, dict[str, Any]]]:
    """The files that are predictions, and the scans of those whose scan was noted (earlier versions did not)."""
    try:
        found = read_json(note) if note.is_file() else {"files": []}
        return set(map(str, found["files"])), dict(found.get("sources", {}))
    except (BadInput, KeyError, TypeError, ValueError, AttributeError):
        return set(), {}
