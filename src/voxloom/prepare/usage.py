"""Which files of a cache are in use, and removing those that are not.

Every process that opens prepared cases notes their names in a hidden file of its own, which dies with it; what a living process has
noted is never removed. A file's time is that of its last use. Knows names and times, not what the files hold.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from voxloom.errors import BadInput
from voxloom.files import is_local, is_orphan, process_prefix, read_json, sweep_parts, write_text

CASE_ENDING = ".voxcase"
#: The hashes of source files that have not changed since they were read, and the folder of scans without their bias field.
DIGESTS, CORRECTED = "digests.json", "n4"
_IN_USE = "in-use"
_LOCK = ".cache-lock"
#: The files that a cache consists of, by the names that it gives them: prepared cases, and scans without their bias field.
_CASE_NAME = re.compile(r"[A-Za-z0-9._-]{1,80}-[0-9a-f]{32}\.voxcase")
_CORRECTED_NAME = re.compile(r"[0-9a-f]{40}\.voxcase")
#: Whether a process of another machine still runs cannot be told; what it noted counts for this long.
_FOREIGN_SECONDS = 30 * 86400.0
_noted: dict[Path, set[str]] = {}


@dataclass(frozen=True)
class CacheFile:
    """One file of a cache.

    Parameters
    ----------
    size : bytes.
    used : when it was used last, seconds since 1970.
    in_use : whether a running process uses it.
    """

    path: Path
    size: int
    used: float
    in_use: bool


def register(root: Path, names: Sequence[str]) -> None:
    """Note that this process uses files of a cache, until it ends. A cache that cannot be written to is used all the same."""
    noted = _noted.setdefault(root.resolve(), set())
    if noted.issuperset(names):
        return
    noted.update(names)
    place = _note_of(root)
    try:
        with FileLock(root / _LOCK):
            write_text(place, json.dumps(sorted(noted)))
    except OSError:
        return
    atexit.register(_forget, place)


def touch(path: Path) -> None:
    """Give a file of a cache the time of now, that of its last use."""
    with contextlib.suppress(OSError):  # the cache may be read-only
        os.utime(path)


def _note_of(root: Path) -> Path:
    return root.resolve() / f"{process_prefix()}{_IN_USE}"


def _forget(place: Path) -> None:
    with contextlib.suppress(OSError):
        if place == _note_of(place.parent):  # not in a forked child, which has another process's notes
            place.unlink()


def list_cache(root: Path) -> list[CacheFile]:
    """The files of a cache, the longest unused first.

    Raises
    ------
    BadInput : there is no such folder, or it holds no prepared case.
    """
    if not root.is_dir():
        raise BadInput("no such folder", root, "Name the cache: the folder `cache` beside a run")
    used = _names_in_use(root)
    found = list(_files(root, used))
    if not found and not (root / _LOCK).exists() and any(root.iterdir()):
        raise BadInput("not a cache (no prepared case in it)", root, "Name the cache: the folder `cache` beside a run")
    return sorted(found, key=lambda file: file.used)


def _files(root: Path, used: set[str]) -> Iterator[CacheFile]:
    for folder, pattern in ((root, _CASE_NAME), (root / CORRECTED, _CORRECTED_NAME)):
        for path in sorted(folder.glob(f"*{CASE_ENDING}")):
            with contextlib.suppress(FileNotFoundError):
                about = path.lstat()
                if pattern.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    yield CacheFile(path, about.st_size, about.st_mtime, path.name in used)


def _names_in_use(root: Path) -> set[str]:
    used: set[str] = set()
    for note in root.glob(f".*-{_IN_USE}"):
        with contextlib.suppress(OSError):
            foreign = not is_local(note)
            if is_orphan(note) or (foreign and time.time() - note.stat().st_mtime > _FOREIGN_SECONDS):
                note.unlink()
                continue
        with contextlib.suppress(BadInput):
            used.update(map(str, read_json(note)))
    return used


def clean_cache(root: Path, *, unused_days: float = 0.0, limit: int | None = None) -> list[CacheFile]:
    """Remove files of a cache that no running process uses; what was removed.

    Parameters
    ----------
    root : folder of the cache. Processes may work with it meanwhile: they make anew what they miss.
    unused_days : remove only files that were last used this many days ago.
    limit : remove only as many, the longest unused first, as the cache exceeds this number of bytes.

    Raises
    ------
    BadInput : it is not a cache, or it cannot be written to.
    """
    list_cache(root)
    removed = []
    try:
        with FileLock(root / _LOCK):
            sweep_parts(root)
            files = list_cache(root)
            total = sum(file.size for file in files)
            for file in files:
                if limit is not None and total <= limit:
                    break
                if file.in_use or time.time() - file.used < unused_days * 86400:
                    continue
                file.path.unlink(missing_ok=True)
                removed.append(file)
                total -= file.size
    except OSError as error:
        raise BadInput(f"the cache cannot be cleaned ({error.strerror})", root, "Who may write there?") from error
    return removed
