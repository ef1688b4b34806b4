"""Hashes of source files that are not computed again while a file stays as it was.

Knows how a file is recognized (path, size, inode, times of change of content and of record) and where hashes are remembered: in this
process, and in a JSON file for later ones. Does not know what the files mean.

A hash is remembered only of a file that had settled before it was read: within the last seconds a file may change twice under one
time stamp, as the clocks of file systems tick in steps of up to two seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from voxloom.cpu import usable_cores
from voxloom.errors import BadInput
from voxloom.files import read_json, sha256_file, write_json

#: A file that changed less than this many seconds before it was read is read anew next time.
SETTLED_SECONDS = 5.0

#: What a file looks like from outside: size, inode, and when its content and its record changed (nanoseconds).
Look = tuple[int, int, int, int]
_known: dict[str, tuple[Look, str]] = {}


def file_digests(paths: Iterable[Path], memo: Path | None = None) -> dict[Path, str]:
    """Hex SHA-256 of every file, each read at most once, by threads (hashing leaves Python's lock).

    Parameters
    ----------
    paths : the files.
    memo : a JSON file in which hashes are remembered between processes. It may be missing, damaged or read-only.

    Raises
    ------
    BadInput : a file cannot be read.
    """
    wanted = list(dict.fromkeys(paths))
    remembered = {**_remembered(memo), **_known}
    try:
        with ThreadPoolExecutor(usable_cores()) as pool:
            found = list(pool.map(lambda path: _digest(path, remembered), wanted))
    except OSError as error:
        raise BadInput(f"cannot be read ({error.strerror})", error.filename) from error
    fresh = {os.path.abspath(path): entry for path, (_, entry) in zip(wanted, found, strict=True) if entry}
    _known.update(fresh)
    if memo is not None and any(remembered.get(key) != entry for key, entry in fresh.items()):
        _remember(memo, fresh)
    return {path: digest for path, (digest, _) in zip(wanted, found, strict=True)}


def _digest(path: Path, remembered: Mapping[str, tuple[Look, str]]) -> tuple[str, tuple[Look, str] | None]:
    """The hash, and what may be remembered of the file."""
    before = _look(path)
    known = remembered.get(os.path.abspath(path))
    if known is not None and known[0] == before:
        return known[1], known
    latest = time.time_ns() - int(SETTLED_SECONDS * 1e9)
    digest = sha256_file(path)
    settled = max(before[2:]) < latest and _look(path) == before
    return digest, (before, digest) if settled else None


def _look(path: Path) -> Look:
    found = path.stat()
    return found.st_size, found.st_ino, found.st_mtime_ns, found.st_ctime_ns


def _remembered(memo: Path | None) -> dict[str, tuple[Look, str]]:
    """What a memo says; nothing when it is missing or damaged."""
    if memo is None or not memo.is_file():
        return {}
    try:
        value: Any = read_json(memo)
        return {path: ((int(a), int(b), int(c), int(d)), str(digest)) for path, ((a, b, c, d), digest) in value.items()}
    except (BadInput, ValueError, TypeError, AttributeError):
        return {}


def _remember(memo: Path, fresh: Mapping[str, tuple[Look, str]]) -> None:
    """Add to a memo what is new; files that are gone are forgotten."""
    both = {**_remembered(memo), **fresh}
    try:
        write_json(memo, {path: entry for path, entry in sorted(both.items()) if os.path.exists(path)})
    except OSError:
        return  # a read-only cache is used all the same
