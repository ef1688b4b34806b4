"""Versions of what people draw: every save is a new pair of files, and no file is ever written over.

``NNNN.nii.gz`` or ``NNNN.mrk.json`` holds the drawing, ``NNNN.json`` who made it, when, from which prediction, and the hash of the
drawing. Savers take turns, and a finished file is linked to its name, which the system refuses where the name exists. A drawing
without its ``.json`` (a machine that lost power in between) is not a version, and its number stays taken.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from voxloom.errors import BadInput
from voxloom.files import part_path, read_json, sha256_file, write_json
from voxloom.serve.refusals import NotThere

Kind = Literal["label", "points"]
ENDING: Mapping[str, str] = {"label": ".nii.gz", "points": ".mrk.json"}
_NUMBER = re.compile(r"(\d{4,})\.(?:nii\.gz|mrk\.json|json)")


@dataclass(frozen=True)
class Version:
    """One save.

    Parameters
    ----------
    version : 1, 2, 3 ... of the case.
    author : who drew, "" where the service does not know people.
    time : UTC, ISO 8601.
    tag : e.g. "final" or "draft".
    parent : what it was made from: {"run", "weights"} of a prediction, {"version"} of a case, or nothing.
    seconds : that were spent drawing; None where nobody measured.
    sha256 : of the drawing's bytes.
    """

    version: int
    kind: Kind
    author: str
    time: str
    tag: str
    parent: Mapping[str, Any]
    seconds: float | None
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON keeps and tells it: ``parent`` is ``from``."""
        values = asdict(self)
        values["from"] = values.pop("parent")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Version:
        """The inverse of ``to_dict``."""
        parent = dict(values.get("from") or {})
        names = ("version", "kind", "author", "time", "tag", "seconds", "sha256")
        return cls(parent=parent, **{name: values[name] for name in names})


class Drawings:
    """The versions of one case, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Version]:
        """All versions, the first first."""
        found = []
        for path in sorted(self.folder.glob("[0-9]*.json")):
            if path.name.endswith(".mrk.json"):
                continue
            with contextlib.suppress(BadInput, KeyError, TypeError):  # a foreign file is not a version
                found.append(Version.from_dict(read_json(path)))
        return sorted(found, key=lambda version: version.version)

    def get(self, number: int) -> Version:
        """A version by its number (NotThere where there is none)."""
        found = {version.version: version for version in self.all()}
        if number not in found:
            raise NotThere(f"there is no version {number}", "version", "List the versions of the case")
        return found[number]

    def file(self, version: Version) -> Path:
        """The drawing (BadInput where its bytes are not those that were saved)."""
        path = self.folder / f"{version.version:04d}{ENDING[version.kind]}"
        if sha256_file(path) != version.sha256:
            raise BadInput("the drawing is not as it was saved", f"version {version.version}", "Look into the back-up")
        return path

    def save(
        self, source: Path, kind: Kind, *, author: str, tag: str, parent: Mapping[str, Any], seconds: float | None
    ) -> Version:
        """Keep a drawing as the next version; ``source`` stays where it is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        waiting = part_path(self.folder, ENDING[kind])
        try:
            with source.open("rb") as a, waiting.open("wb") as b:
                shutil.copyfileobj(a, b, 1 << 20)
                b.flush()
                os.fsync(b.fileno())
            digest = sha256_file(waiting)
            with FileLock(self.folder / ".lock"):
                number = self._next()
                os.link(waiting, self.folder / f"{number:04d}{ENDING[kind]}")
                time = datetime.now(UTC).isoformat(timespec="milliseconds")
                version = Version(number, kind, author, time, tag, dict(parent), seconds, digest)
                write_json(self.folder / f"{number:04d}.json", version.to_dict())
                return version
        finally:
            waiting.unlink(missing_ok=True)

    def _next(self) -> int:
        """One more than the largest number that any file has."""
        return 1 + max((int(m[1]) for p in self.folder.iterdir() if (m := _NUMBER.fullmatch(p.name))), default=0)


def parent_of(text: str | None, runs: Mapping[str, str], drawings: Drawings) -> dict[str, Any]:
    """What a drawing was made from.

    Parameters
    ----------
    text : a run's name, a version's number, or nothing.
    runs : run -> hash of its weights.

    Raises
    ------
    BadInput : it is neither.
    """
    if not text:
        return {}
    if text in runs:
        return {"run": text, "weights": runs[text]}
    if text.isdigit():
        return {"version": drawings.get(int(text)).version}
    raise BadInput("is neither a run nor a version of the case", "parent", "Name what the drawing was made from")
