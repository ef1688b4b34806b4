"""What a prediction may be written over: an earlier prediction of the same scan, never a scan, a label map or another file.

Knows the note ``predictions.json`` in a folder of predictions, which lists the files that ``voxloom predict`` writes there and the
scan that each came from.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.digests import file_digests
from voxloom.errors import BadInput
from voxloom.files import atomic_path, read_json, write_json

NOTE = "predictions.json"


@dataclass(frozen=True)
class Origin:
    """The scan of a prediction: its files, the file or folder that names it, and the series that is read of a folder."""

    path: Path
    files: Sequence[Path]
    series: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[Path, tuple[Path, ...], tuple[str, ...]]:
        """Equal for the results of one scan, which is read once."""
        return self.path, tuple(self.files), self.series

    def digest(self) -> str:
        """SHA-256 over the content of the files, whatever their names and order, and over the choice of the series."""
        digests = [*sorted(file_digests(self.files).values()), *self.series]
        return hashlib.sha256("".join(digests).encode()).hexdigest()


@dataclass(frozen=True)
class _Before:
    """A folder as it was before anything was written there: whether it was there, its note, and each file's inode and time."""

    folder: bool
    note: bytes | None
    files: Mapping[str, tuple[int, int] | None]

    @classmethod
    def of(cls, out: Path, names: Iterable[str]) -> _Before:
        note = out / NOTE
        return cls(out.is_dir(), note.read_bytes() if note.is_file() else None, {n: _state(out / n) for n in names})

    def written(self, out: Path) -> list[str]:
        """The files that are new, or were written anew, since."""
        return [name for name, state in self.files.items() if _state(out / name) != state]

    def restore(self, out: Path) -> None:
        """Leave the note as it was, and no folder that was made in vain."""
        if self.note is not None:
            with atomic_path(out / NOTE) as temporary:
                temporary.write_bytes(self.note)
            return
        (out / NOTE).unlink(missing_ok=True)
        if not self.folder:
            with contextlib.suppress(OSError):  # not empty, or gone already
                out.rmdir()


def _state(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written anew; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


@contextlib.contextmanager
def claim_outputs(out: Path, origins: Mapping[str, Origin], tell: Callable[[str], None]) -> Iterator[None]:
    """Refuse to write over what is not an earlier prediction of the same scan, and note what is written while the block runs.

    All files are noted before the block, so that work that is killed can be begun again. When it ends, also by an error, those that
    were not written are no longer noted, and where none was the folder is as it was.

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
    own, sources = _noted(out / NOTE)
    _refuse_strangers(out, origins, own)
    told = {origin.key: _told(origin) for origin in {origin.key: origin for origin in origins.values()}.values()}
    said = {name: told[origin.key] for name, origin in origins.items()}
    for name in origins:
        if name in sources and (out / name).exists():
            _refuse_other(out / name, sources[name], said[name], tell)
    before = _Before.of(out, origins)
    if not own.issuperset(origins) or any(sources.get(name) != new for name, new in said.items()):
        _write(out, own.union(origins), {**sources, **said})
    try:
        yield
    finally:
        written = before.written(out)
        if not written:
            before.restore(out)
        elif len(written) < len(origins):
            _write(out, own.union(written), {**sources, **{name: said[name] for name in written}})


def _refuse_strangers(out: Path, origins: Mapping[str, Origin], own: set[str]) -> None:
    """Refuse to write over the scans themselves, and over files that are not in the note."""
    read = {file.resolve() for origin in origins.values() for file in (origin.path, *origin.files)}
    for name in origins:
        path = out / name
        if path.resolve() in read:
            raise BadInput("the prediction would be written over its own scan", path, "Choose another folder with -o")
        if path.exists() and name not in own:
            fix = "Choose another folder with -o, or move the file away"
            raise BadInput("there is such a file, and it is not an earlier prediction", path, fix)


def _write(out: Path, files: Iterable[str], sources: Mapping[str, Mapping[str, Any]]) -> None:
    write_json(out / NOTE, {"files": sorted(files), "sources": dict(sources)})


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
