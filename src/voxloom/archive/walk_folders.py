"""The files below some folders, in order, without opening any.

Knows links (followed once), unreadable folders and names that are no text. Bounded memory: files come one by one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import BadInput

#: Endings of containers whose members are read.
CONTAINERS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")


@dataclass(frozen=True)
class Seen:
    """A file, or a reason why something could not be looked at.

    Parameters
    ----------
    path : absolute.
    size, time : bytes, and time of the last change in ns.
    problem : why it is not to be opened, or None.
    """

    path: str
    size: int
    time: int
    problem: str | None = None


def roots_of(folders: Sequence[str | Path]) -> list[str]:
    """Absolute paths of the folders or containers to index, without those that lie inside another.

    Raises BadInput when there is none, or one does not exist.
    """
    if not folders:
        raise BadInput("no folder is given", None, "Name the folders to index")
    found = []
    for folder in folders:
        path = Path(os.path.abspath(folder))
        if not path.exists():
            raise BadInput("does not exist", folder, "Check the path")
        if not path.is_dir() and not is_container(path.name):
            raise BadInput("is no folder, zip or tar archive", folder, "Give the folder that holds it")
        found.append(str(path))
    return [a for a in sorted(set(found)) if not any(a != b and is_inside(a, b) for b in found)]


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies below it, by name."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_container(name: str) -> bool:
    """Whether a file is opened as a zip or tar archive, by its ending."""
    return name.lower().endswith(CONTAINERS)


def files_below(root: str) -> Iterator[Seen]:
    """Every file of a tree, folder by folder in the order of names; links to folders are followed once."""
    if not os.path.isdir(root):
        about = os.stat(root)
        yield Seen(root, about.st_size, about.st_mtime_ns)
        return
    known = {os.path.realpath(root)}
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Seen(folder, 0, 0, f"cannot be listed ({error.strerror})")
            continue
        inner = []
        for entry in entries:
            if not entry.is_dir():
                yield _look(entry)
            elif not entry.is_symlink() or (real := os.path.realpath(entry.path)) not in known:
                if entry.is_symlink():
                    known.add(real)
                inner.append(entry.path)
        waiting += reversed(inner)


def _look(entry: os.DirEntry[str]) -> Seen:
    name = entry.path
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return Seen(name.encode("utf-8", "backslashreplace").decode(), 0, 0, "has a name that is no Unicode text")
    try:
        about = entry.stat()
    except OSError as error:
        return Seen(name, 0, 0, f"cannot be read ({error.strerror})")
    if not entry.is_file():
        return Seen(name, 0, 0, "is a device or pipe")
    return Seen(name, about.st_size, about.st_mtime_ns)
