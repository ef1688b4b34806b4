"""The queue on disk: every series in a folder of its own, each step flushed before it counts.

``series/KEY/in/KEY.dcm`` are the instances as received, ``apart/`` those whose UID another content already has, ``state.json`` what is
done with them (``state``), ``scan-vN/`` the instances of a version (links) while it is predicted, ``vN-RULE/`` a result.
``studies/KEY/`` are studies whose series are channels of one run: ``state.json`` and ``vN-RULE/`` again. Names are hashes of UIDs.
Knows no network and no rules.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from filelock import FileLock, Timeout

from voxloom.errors import BadInput
from voxloom.serve.node.durable import PART, flush, make_folder, write_part
from voxloom.serve.node.held import Held, Series, Study
from voxloom.serve.node.instance import Instance, key_of, same_content

#: What became of an instance: new, there already, or kept apart since its UID has another content.
Kept = Literal["new", "known", "apart"]


class FullError(Exception):
    """A series has as many instances as are allowed."""


class Store:
    """The queue. One process at a time holds it.

    Raises
    ------
    BadInput : another process uses the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("incoming", "series", "studies", "wishes"):
            make_folder(folder / name)
        self._lock = FileLock(folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise BadInput("another node uses this queue", folder, "Stop it, or name another folder") from None
        self._known: dict[str, Series] = {}
        self._studies: dict[str, Study] = {}
        self._guard = threading.Lock()
        _sweep(folder)
        for path in sorted((folder / "series").iterdir()):
            series = self._known[path.name] = Series(path)
            series.load()
        for path in sorted((folder / "studies").iterdir()):
            study = self._studies[path.name] = Study(path, self._known.get)
            study.load()

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

    def studies(self) -> list[Study]:
        """All studies whose series are channels of a run."""
        with self._guard:
            return list(self._studies.values())

    def held(self) -> list[Held[Any]]:
        """All that has tasks: series and studies."""
        return [*self.all(), *self.studies()]

    def get(self, key: str) -> Series | Study | None:
        """The series or the study of a key."""
        with self._guard:
            return self._known.get(key) or self._studies.get(key)

    def study(self, key: str) -> Study:
        """The study of a key, made where it is new."""
        with self._guard:
            study = self._studies.get(key)
            if study is None:
                study = Study(self.folder / "studies" / key, self._known.get)
                make_folder(study.folder)
                self._studies[key] = study
            return study

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
        series.belongs_to(instance.study)
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

    def drop(self, one: Series | Study) -> None:
        """Remove a series, or a study with its series, and all that belongs to it."""
        if isinstance(one, Study):
            for series in one.series:  # first: what is left of a study after a crash is removed with it
                self.drop(series)
        with one.lock:
            with self._guard:
                one.gone = True
                known: dict[str, Any] = self._known if isinstance(one, Series) else self._studies  # type: ignore[assignment]
                known.pop(one.key, None)
            aside = self.folder / "incoming" / f"{uuid4().hex}{PART}"
            one.folder.rename(aside)
            flush(one.folder.parent)
        shutil.rmtree(aside, ignore_errors=True)


def place_result(made: Path, folder: Path) -> None:
    """Give a folder of results its name; on return all of it is on the disk."""
    for path in made.iterdir():
        flush(path)
    flush(made)
    shutil.rmtree(folder, ignore_errors=True)
    made.rename(folder)
    flush(folder.parent)


def states_in(folder: Path) -> Iterator[Series | Study]:
    """The series and studies of a queue that perhaps another process uses, as they are now."""
    known: dict[str, Series] = {}
    for path in sorted((folder / "series").glob("*")):
        series = Series(path)
        if _is_there(series):
            known[series.key] = series
            yield series
    for path in sorted((folder / "studies").glob("*")):
        study = Study(path, known.get)
        if _is_there(study):
            yield study


def _is_there(one: Series | Study) -> bool:
    """Whether its state could be read; it may be removed in this moment."""
    try:
        one.load()
    except (BadInput, OSError):
        return False
    return True


def _equal(one: Path, other: Path) -> bool:
    """Whether two files have the same bytes."""
    import filecmp

    return filecmp.cmp(one, other, shallow=False)


def _sweep(folder: Path) -> None:
    """Remove what a crash left half done: parts of files, and unfinished predictions."""
    parts = [path for name in ("series", "studies") for path in (folder / name).glob(f"*/.*{PART}")]
    for path in [*(folder / "incoming").iterdir(), *parts]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
