"""The members of zip and tar archives, each with its first bytes.

Knows nested names, links and damaged archives. Nothing is unpacked to disk; a member's header is all that is read of a
zip, a compressed tar has to be read through.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator

from voxloom.archive.read import Member
from voxloom.errors import BadInput

#: What damaged archives raise.
_FAULTS = (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, RuntimeError, NotImplementedError)
#: Bytes of a member that are kept; a longer header is a problem that is listed.
_KEPT = 256 << 10


def members(file: str, time: int) -> Iterator[Member]:
    """Every regular member of a container. Raises BadInput where the archive is damaged or needs a password."""
    try:
        yield from _of_zip(file, time) if file.lower().endswith(".zip") else _of_tar(file, time)
    except _FAULTS as error:
        raise BadInput(f"cannot be unpacked ({error})", file, "Copy it again") from None


def extract(file: str, names: list[str]) -> Iterator[tuple[str, bytes]]:
    """Name and whole content of some members. Raises BadInput where one is gone or the archive is damaged."""
    wanted = set(names)
    try:
        if file.lower().endswith(".zip"):
            with zipfile.ZipFile(file) as archive:
                for name in names:
                    wanted.discard(name)
                    yield name, archive.read(name)
        else:
            with tarfile.open(file) as tar:
                for info in tar:
                    stream = tar.extractfile(info) if info.isreg() and info.name in wanted else None
                    if stream is not None:
                        wanted.discard(info.name)
                        yield info.name, stream.read()
    except (*_FAULTS, KeyError) as error:
        raise BadInput(f"cannot be unpacked ({error})", file, "Copy it again, then index again") from None
    if wanted:
        raise BadInput(f"has no member {min(wanted)} any more", file, "Index the archive again")


def _of_zip(file: str, time: int) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as stream:
                    yield Member(file, info.filename, info.file_size, time, stream.read(_KEPT))


def _of_tar(file: str, time: int) -> Iterator[Member]:
    with tarfile.open(file) as tar:
        for info in tar:
            stream = tar.extractfile(info) if info.isreg() else None
            if stream is not None:
                with stream:
                    yield Member(file, info.name, info.size, time, stream.read(_KEPT))
            tar.members = []  # type: ignore[attr-defined]  # tarfile keeps every member otherwise
