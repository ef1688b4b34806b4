"""Unpacking archives from strangers: no path leaves the folder, no links, no devices, no bombs.

Knows .zip and .tar (plain or compressed). Counts the bytes it really writes, whatever the archive declares. Does not
know data sets.
"""

from __future__ import annotations

import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from voxloom.errors import BadInput

_BLOCK = 1 << 20
_MOST_FILES = 1_000_000
#: Left by macOS and Windows; never part of a data set.
_LITTER = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")
_BROKEN = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class _Entry:
    """A regular file in an archive and how to open it."""

    name: str
    stream: IO[bytes]


def unpack(archive: Path, folder: Path, *, largest: int) -> int:
    """Unpack an archive into a new or empty folder; returns the number of files.

    Parameters
    ----------
    archive : .zip or .tar, compressed or not; the kind is read from the content.
    folder : made if it is missing. Nothing is written outside of it.
    largest : most bytes to write.

    Raises
    ------
    BadInput : the archive is broken or no archive, holds an absolute path, ``..``, a link, a device, two files of one
        name, or more than ``largest`` bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = count = 0
    try:
        for entry in _entries(archive):
            count += 1
            if count > _MOST_FILES:
                raise BadInput(f"holds more than {_MOST_FILES} files", archive, "Do not use this archive")
            target = folder / safe_name(entry.name, archive)
            target.parent.mkdir(parents=True, exist_ok=True)
            written += _write(entry.stream, target, largest - written, archive)
    except _BROKEN as e:
        raise BadInput(f"cannot be unpacked ({e})", archive, "Download it again") from e
    return count


def safe_name(name: str, archive: Path) -> Path:
    """The name as a relative path that stays inside (BadInput for absolute paths, drives, ``..``)."""
    plain = name.replace("\\", "/")
    parts = PurePosixPath(plain).parts
    if not parts or plain.startswith("/") or ".." in parts or ":" in plain or "\0" in plain:
        raise BadInput(f"holds the path {name!r}, which leaves the folder", archive, "Do not use this archive")
    return Path(*parts)


def lift_only_folder(folder: Path) -> Path:
    """The folder itself, or the one folder that holds everything in it, as archives often have."""
    for _ in range(4):
        inside = [p for p in folder.iterdir() if p.name not in _LITTER]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        folder = inside[0]
    return folder


def is_archive(path: Path) -> bool:
    """Whether the file's content is a zip or tar archive."""
    return zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _entries(archive: Path) -> Iterator[_Entry]:
    if zipfile.is_zipfile(archive):
        return _zip_entries(archive)
    return _tar_entries(archive)


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            mode = info.external_attr >> 16
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                _refuse_special(info.filename, archive)
            if info.is_dir() or _litter(info.filename):
                continue
            with file.open(info) as stream:
                yield _Entry(info.filename, stream)


def _tar_entries(archive: Path) -> Iterator[_Entry]:
    with tarfile.open(archive) as file:
        for member in file:
            if not (member.isreg() or member.isdir()):
                _refuse_special(member.name, archive)
            if member.isdir() or _litter(member.name):
                continue
            stream = file.extractfile(member)
            assert stream is not None, "a regular member has content"
            with stream:
                yield _Entry(member.name, stream)


def _refuse_special(name: str, archive: Path) -> None:
    raise BadInput(f"holds a link or device ({name})", archive, "Do not use this archive")


def _litter(name: str) -> bool:
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return any(part in _LITTER or part.startswith("._") for part in parts)


def _write(stream: IO[bytes], target: Path, allowed: int, archive: Path) -> int:
    written = 0
    with _new_file(target, archive) as out:
        while block := stream.read(_BLOCK):
            written += len(block)
            if written > allowed:
                raise BadInput("unpacks to more bytes than this data set can have", archive, "Do not use this archive")
            out.write(block)
    return written


@contextmanager
def _new_file(target: Path, archive: Path) -> Iterator[IO[bytes]]:
    try:
        out = target.open("xb")
    except FileExistsError as e:
        raise BadInput(f"holds two files named {target.name}", archive, "Do not use this archive") from e
    with out:
        yield out
