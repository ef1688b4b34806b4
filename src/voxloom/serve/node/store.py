"""The queue on disk: every series in a folder of its own, each step flushed before it counts.

``series/KEY/in/KEY.dcm`` are the instances as received, ``apart/`` those whose UID another content already has, ``state.json`` what is
done with them (``state``), ``scan-vN/`` the instances of a version (links), ``vN-RULE/`` a result. Names are hashes of UIDs. Knows no
network and no rules.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal
from uuid import uuid4

from filelock import FileLock, Timeout

from voxloom.errors import BadInput
from voxloom.files import read_json
from voxloom.serve.node.durable import PART, flush, make_folder, write_json, write_part
from voxloom.serve.node.instance import Instance, key_of, private_values, same_content
from voxloom.serve.node.state import SeriesState, Task

#: What became of an instance: new, there already, or kept apart since its UID has another content.
Kept = Literal["new", "known", "apart"]


class FullError(Exception):
    """A series has as many instances as are allowed."""


class Series:
    """One series on disk. Its lock is held while its names or its state change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder.name
        self.lock = threading.RLock()
        self.instances: set[str] = set()
        self.state = SeriesState()
        self.last = 0.0
        self.gone = False
        self.private: tuple[str, ...] = ()

    @property
    def received(self) -> Path:
        """Folder of its instances."""
        return self.folder / "in"

    @property
    def is_receiving(self) -> bool:
        """Whether it has instances that no version took."""
        return len(self.instances) > len(self.state.members)

    def file_of(self, instance: str) -> Path:
        """Where the instance of this key lies."""
        return self.received / f"{instance}.dcm"

    def load(self) -> None:
        """Take over what lies on the disk."""
        self.instances = {path.stem for path in self.received.glob("*.dcm")}
        path = self.folder / "state.json"
        if path.exists():
            self.state = SeriesState.from_json(read_json(path))

    def change(self, how: Callable[[SeriesState], SeriesState]) -> SeriesState:
        """Move its state on; on return the new one is on the disk."""
        with self.lock:
            new = how(self.state)
            if not self.gone:
                write_json(self.folder / "state.json", new.to_json())
                self.state = new
            return self.state

    def result_folder(self, task: Task) -> Path:
        """Where the result of a task lies."""
        return self.folder / task.name

    def scan_folder(self, version: int) -> Path:
        """A folder with the instances of the last version and nothing else, for who reads a folder as one series."""
        folder = self.folder / f"scan-v{version}"
        folder.mkdir(mode=0o700, exist_ok=True)
        for member in self.state.members:
            target = folder / f"{member}.dcm"
            if not target.exists():
                _link(self.file_of(member), target)
        return folder

    def private_values(self) -> tuple[str, ...]:
        """What its headers say of the patient, read from one of its instances where no sender has told it since the start."""
        if not self.private and self.instances:
            from pydicom import dcmread

            path = self.file_of(next(iter(self.instances)))
            self.private = private_values(dcmread(path, stop_before_pixels=True))
        return self.private


class Store:
    """The queue. One process at a time holds it.

    Raises
    ------
    BadInput : another process uses the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("incoming", "series", "wishes"):
            make_folder(folder / name)
        self._lock = FileLock(folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BadInput("another node uses this queue", folder, "Stop it, or name another folder") from None
        self._known: dict[str, Series] = {}
        self._guard = threading.Lock()
        _sweep(folder)
        for path in sorted((folder / "series").iterdir()):
            series = Series(path)
            series.load()
            self._known[series.key] = series

    @property
    def scratch(self) -> Path:
        """A folder for what is only needed for a moment; what a crash leaves in it is removed at the next start."""
        return self.folder / "incoming"

    def close(self) -> None:
        """Let another process use it."""
        self._lock.release()

    def all(self) -> list[Series]:
        """All series."""
        with self._guard:
            return list(self._known.values())

    def get(self, key: str) -> Series | None:
        """The series of a key."""
        with self._guard:
            return self._known.get(key)

    def free_bytes(self) -> int:
        """What is left on its disk."""
        about = os.statvfs(self.folder)
        return about.f_bavail * about.f_frsize

    def keep(self, instance: Instance, *, at: float, sender: str, most: int) -> tuple[Series, Kept]:
        """Take an instance; on return it is on the disk.

        Parameters
        ----------
        at : the time that a stable age is counted from.
        most : instances of one series.

        Raises
        ------
        FullError : the series has as many instances as are allowed.
        OSError : the disk is full or broken.
        """
        part = write_part(self.folder / "incoming", [instance.meta, instance.body])
        try:
            while True:
                series = self._open(key_of(instance.series))
                with series.lock:
                    if not series.gone:
                        return series, self._place(series, instance, part, at, sender, most)
        finally:
            part.unlink(missing_ok=True)

    def _place(self, series: Series, instance: Instance, part: Path, at: float, sender: str, most: int) -> Kept:
        key = key_of(instance.uid)
        target = series.file_of(key)
        series.private = instance.private
        kept: Kept = "new"
        if key in series.instances:
            kept = "known" if _equal(part, target) or same_content(part, target) else "apart"
        elif len(series.instances) >= most:
            raise FullError
        if kept == "apart":
            make_folder(series.folder / "apart")
            target = series.folder / "apart" / f"{key}-{instance.digest[:16]}.dcm"
        if kept != "known":
            part.replace(target)
        flush(target.parent)
        if kept == "new":
            series.instances.add(key)
            series.last = at
            if not series.state.sender:
                series.state = replace(series.state, sender=sender)
        return kept

    def _open(self, key: str) -> Series:
        """The series of a key, made where it is new."""
        with self._guard:
            series = self._known.get(key)
            if series is None:
                series = Series(self.folder / "series" / key)
                make_folder(series.received)
                self._known[key] = series
            return series

    def drop(self, series: Series) -> None:
        """Remove a series and all that belongs to it."""
        with series.lock:
            with self._guard:
                series.gone = True
                self._known.pop(series.key, None)
            aside = self.folder / "incoming" / f"{uuid4().hex}{PART}"
            series.folder.rename(aside)
            flush(series.folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def place_result(made: Path, folder: Path) -> None:
    """Give a folder of results its name; on return all of it is on the disk."""
    for path in made.iterdir():
        flush(path)
    flush(made)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
    flush(folder.parent)


def states_in(folder: Path) -> Iterator[Series]:
    """The series of a queue that perhaps another process uses, as they are now."""
    for path in sorted((folder / "series").glob("*")):
        series = Series(path)
        try:
            series.load()
        except (BadInput, OSError):  # removed in this moment
            continue
        yield series


def _link(source: Path, target: Path) -> None:
    """Another name for a file, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _equal(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes."""
    import filecmp

    return filecmp.cmp(one, other, shallow=False)


def _sweep(folder: Path) -> None:
    """Remove what a crash left half done: parts of files, and unfinished predictions."""
    for path in [*(folder / "incoming").iterdir(), *(folder / "series").glob(f"*/.*{PART}")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
