"""The files below some folders, in order, without opening any.

Knows links (what they lead to counts once), unreadable folders and names that are not text. Bounded memory: files come one by one.
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
            raise BadInput("is not a folder, zip or tar archive", folder, "Give the folder that holds it")
        found.append(str(path))
    return [a for a in sorted(set(found)) if not any(a != b and is_inside(a, b) for b in found)]


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies below it, by name."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def is_container(name: str) -> bool:
    """Whether a file is opened as a zip or tar archive, by its ending."""
    return name.lower().endswith(CONTAINERS)


def files_below(roots: Sequence[str]) -> Iterator[Seen]:
    """Every file of the trees ``roots`` once, folder by folder in the order of names.

    A link to what lies in one of the trees is passed over, since it is met there; of several links to another file or
    folder the first counts, and so does the first name of a file that has several (hard links).
    """
    known = _Known([os.path.realpath(root) for root in roots])
    for root in roots:
        if os.path.isdir(root):
            yield from _files_of_tree(root, known)
        else:
            about = os.stat(root)
            yield Seen(root, about.st_size, about.st_mtime_ns)


class _Known:
    """What links and hard links have led to already."""

    def __init__(self, roots: list[str]) -> None:
        self._roots = roots
        self._targets: set[str] = set()
        self._files: set[tuple[int, int]] = set()

    def is_new(self, path: str) -> bool:
        """Whether a path that was reached through a link is not met elsewhere, and was not met before."""
        real = os.path.realpath(path)
        if real in self._targets or any(is_inside(real, root) for root in self._roots):
            return False
        self._targets.add(real)
        return True

    def is_first_name(self, about: os.stat_result) -> bool:
        """Whether no other name of the file came before."""
        if about.st_nlink < 2:
            return True
        key = (about.st_dev, about.st_ino)
        if key in self._files:
            return False
        self._files.add(key)
        return True


def _files_of_tree(root: str, known: _Known) -> Iterator[Seen]:
    waiting = [(root, False)]
    while waiting:
        folder, linked = waiting.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            yield Seen(folder, 0, 0, f"cannot be listed ({error.strerror})")
            continue
        inner = []
        for entry in entries:
            through = linked or entry.is_symlink()
            if entry.is_dir():
                if not through or known.is_new(entry.path):
                    inner.append((entry.path, through))
            elif not (through and os.path.exists(entry.path)) or known.is_new(entry.path):
                seen = _look(entry, known)
                if seen is not None:
                    yield seen
        waiting += reversed(inner)


def _look(entry: os.DirEntry[str], known: _Known) -> Seen | None:
    """A file, or why it cannot be opened; None for a further name of a file that was met."""
    name = entry.path
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return Seen(name.encode("utf-8", "backslashreplace").decode(), 0, 0, "has a name that is not Unicode text")
    try:
        about = entry.stat()
    except OSError as error:
        return Seen(name, 0, 0, f"cannot be read ({error.strerror})")
    if not entry.is_file():
        return Seen(name, 0, 0, "is a device or pipe")
    return Seen(name, about.st_size, about.st_mtime_ns) if known.is_first_name(about) else None
