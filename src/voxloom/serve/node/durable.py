"""Files that a power cut cannot take back: written under another name, flushed with their folder, then renamed.

Knows fsync. Everything is made for the owner alone, since a queue holds patients' data.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

#: Ending of files that are being written; one that is found at a start was left by a crash.
PART = ".part"


def write_part(folder: Path, pieces: Iterable[bytes | memoryview]) -> Path:
    """A new file in ``folder`` with these bytes, flushed to the disk; its name ends with ``PART``."""
    path = folder / f".{uuid4().hex}{PART}"
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=0) as f:
            for piece in pieces:
                _write_all(f.fileno(), piece)
            os.fsync(f.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _write_all(handle: int, piece: bytes | memoryview) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(handle, left) :]


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON in the place of ``path``; on return it is on the disk."""
    part = write_part(path.parent, [json.dumps(value, ensure_ascii=False).encode()])
    part.replace(path)
    flush(path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, each on the disk on return."""
    missing = [one for one in (folder, *folder.parents) if not one.is_dir()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        flush(one.parent)


def flush(path: Path) -> None:
    """Bring a file's bytes, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
