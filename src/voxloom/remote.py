"""Data sets and runs that lie elsewhere: ``s3://``, ``gs://``, ``http(s)://``, ``memory://``, through fsspec.

Knows addresses, a copy of what was fetched on the local disk, and how a folder is sent. A file is fetched again when its size, ETag,
checksum or time of change at the source is another. An object store cannot rename, so that a folder cannot appear there as a whole:
``DONE`` is written last, with the hash of every file, and who reads a folder that has none knows that it is not complete.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from voxloom.digests import file_digests
from voxloom.errors import BadInput, MissingExtra, VoxloomError
from voxloom.files import PART, atomic_path, read_json, write_json
from voxloom.progress import Progress

#: Kind of address -> the package that fsspec needs for it, and our extra.
KINDS = {
    "s3": ("s3fs", "s3"),
    "gs": ("gcsfs", "gs"),
    "http": ("aiohttp", "http"),
    "https": ("aiohttp", "http"),
    "memory": ("", ""),
}
#: Written last beside what was sent; what the local copy of a remote folder knows of its source.
DONE, KNOWN = "voxloom-complete.json", ".voxloom-remote.json"
#: Seconds between two writings of what is known: with every file of thousands it would grow quadratically.
BOOK_EVERY = 1.0
_ADDRESS = re.compile(r"([a-z][a-z0-9+]+):/{1,2}(?!/)(.*)", re.DOTALL)
#: What tells that a file at the source has changed, where the source tells it.
_MARKS = ("size", "ETag", "etag", "md5Hash", "crc32c", "LastModified", "updated", "mtime", "created")


def address_of(path: object) -> str | None:
    """The address that a path or text means, ``kind://place``; None for a local one. A ``Path`` has lost one of two slashes."""
    found = _ADDRESS.fullmatch(str(path)) if isinstance(path, (str, Path)) else None
    return None if found is None or len(found[1]) == 1 else f"{found[1]}://{found[2]}"


def local_place(address: str) -> Path:
    """Where the copy of an address lies on this disk: below ``~/.cache/voxloom/remote`` (``XDG_CACHE_HOME`` is heeded)."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voxloom" / "remote"
    kind, _, place = address.partition("://")
    parts = [re.sub(r"[^\w.@=+-]", "_", part) for part in PurePosixPath(place).parts if part not in ("..", "/")]
    return home.joinpath(kind, *parts)


def fetch(address: str, progress: Progress | None = None) -> Path:
    """A local copy of a file or folder; what has not changed at the source is not fetched again, what is gone there is removed.

    Parameters
    ----------
    progress : called with (done, total) over the files.

    Raises
    ------
    BadInput : the address is wrong, nothing lies there, or it may not be read.
    MissingExtra : the package for this kind of address is not installed.
    VoxloomError : the source cannot be reached.
    """
    system, root = _open(address)
    target = local_place(address)
    with _told(address):
        whole = _listing(system, root)
    if not whole:
        raise BadInput("nothing lies there", address, "Check the address, and that the bucket or folder is not empty")
    book = target.with_name(f"{target.name}{KNOWN}")
    known = read_json(book) if book.is_file() else {}
    written = time.monotonic()
    try:
        for done, (name, marks) in enumerate(sorted(whole.items()), start=1):
            local = target / name if name else target
            if known.get(name) != marks or not local.is_file():
                with _told(address), atomic_path(local) as temporary:
                    system.get_file(f"{root}/{name}" if name else root, str(temporary))
                known[name] = marks
                if time.monotonic() > written + BOOK_EVERY:
                    write_json(book, known)
                    written = time.monotonic()
            if progress is not None:
                progress(done, len(whole))
        for name in set(known) - set(whole):
            (target / name).unlink(missing_ok=True)
            del known[name]
    finally:
        write_json(book, known)
    return target


def exists(address: str) -> bool:
    """Whether something lies at an address; errors as of ``fetch``."""
    system, root = _open(address)
    with _told(address):
        return bool(_listing(system, root))


def send(source: Path, address: str, progress: Progress | None = None) -> int:
    """Copy a file, or all files of a folder that the address does not hold with the same hash; how many were sent.

    Every file is written under its final name, since object stores cannot rename; ``DONE`` comes last.

    Raises
    ------
    As of ``fetch``; what was sent before stays.
    """
    system, root = _open(address)
    if source.is_file():
        with _told(address):
            _put(system, source, root)
        return 1
    files = sorted(p for p in source.rglob("*") if p.is_file() and PART not in p.name and p.name not in (DONE, ".lock"))
    digests = {str(p.relative_to(source).as_posix()): d for p, d in file_digests(files).items()}
    with _told(address):
        before = _sent(system, f"{root}/{DONE}")
        changed = [name for name, digest in digests.items() if before.get(name) != digest]
        if changed and before:
            system.rm_file(f"{root}/{DONE}")
        for done, name in enumerate(changed, start=1):
            _put(system, source / name, f"{root}/{name}")
            if progress is not None:
                progress(done, len(changed))
        write_json(source / DONE, digests)
        _put(system, source / DONE, f"{root}/{DONE}")
    return len(changed)


def _put(system: Any, source: Path, target: str) -> None:
    system.makedirs(target.rpartition("/")[0], exist_ok=True)
    system.put_file(str(source), target)


def _sent(system: Any, path: str) -> dict[str, str]:
    try:
        return dict(json.loads(system.cat_file(path)))
    except FileNotFoundError:
        return {}


def _open(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    kind, _, place = address.partition("://")
    if kind not in KINDS:
        raise BadInput(f"{kind}:// is not known", address, f"Known: {', '.join(f'{name}://' for name in KINDS)}")
    if not place.strip("/"):
        raise BadInput("the address names no place", address, f"Write {kind}://BUCKET/FOLDER")
    package, extra = KINDS[kind]
    try:
        import fsspec

        with _told(address):
            system, root = fsspec.core.url_to_fs(address.rstrip("/"))
    except ImportError as error:
        raise MissingExtra(package or "fsspec", extra or "http") from error
    return system, root.rstrip("/")


def _listing(system: Any, root: str) -> dict[str, dict[str, str]]:
    """What tells changes, by the path below the root ("" for a single file)."""
    try:
        info = system.info(root)
        if info["type"] == "file" and not _is_index(system, root, info):
            return {"": _marks(info)}
        found = system.find(root, detail=True)
    except FileNotFoundError as error:  # how fsspec says of a web server whatever went wrong
        cause = error.__cause__
        if cause is not None and (isinstance(cause, OSError) or getattr(cause, "status", 404) != 404):
            raise cause from error
        return {}
    below = {path[len(root) :].strip("/"): info for path, info in found.items() if path.startswith(root)}
    for other in ("", DONE):
        below.pop(other, None)
    return {name: _marks(_full(system, f"{root}/{name}", info)) for name, info in below.items()}


def _full(system: Any, path: str, info: dict[str, Any]) -> dict[str, Any]:
    """All that is told of a file: a web server's list of a folder tells neither size nor ETag."""
    return info if info.get("size") is not None else dict(system.info(path))


def _is_index(system: Any, root: str, info: dict[str, Any]) -> bool:
    """Whether a page of a web server lists a folder."""
    return str(info.get("mimetype", "")).startswith("text/html") and bool(system.ls(f"{root}/", detail=False))


def _marks(info: dict[str, Any]) -> dict[str, str]:
    return {name: str(info[name]) for name in _MARKS if info.get(name) is not None}


@contextmanager
def _told(address: str) -> Iterator[None]:
    """Errors of any file system as one line."""
    try:
        yield
    except (VoxloomError, ImportError):
        raise
    except FileNotFoundError as error:
        raise BadInput("nothing lies there", address, "Check the address") from error
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, PermissionError) or re.search(
            "credential|forbidden|denied|unauthorized|40[13]", said, re.I
        ):
            fix = "Give the credentials that its own tools use (AWS_PROFILE, gcloud auth application-default login)"
            raise BadInput(f"access was refused ({said})", address, fix) from error
        raise VoxloomError(f"{address}: cannot be reached ({' '.join(said.split())})") from error
