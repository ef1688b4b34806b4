"""What has a folder in the queue and a state of its own: a series, or a study whose series are the channels of a run.

Knows where its parts lie. Does not know who moves a state on.
"""

from __future__ import annotations

import os
import shutil
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from voxloom.errors import VoxloomError
from voxloom.files import read_json
from voxloom.serve.node.durable import write_json
from voxloom.serve.node.instance import key_of, private_values
from voxloom.serve.node.state import SeriesState, State, StudyState, Task

S = TypeVar("S", bound=State)


class Held(ABC, Generic[S]):
    """A folder with a state. Its lock is held while its names or its state change.

    Attributes
    ----------
    kind : "series" or "study", as logs and lists call it.
    key : ``key_of`` its UID.
    gone : it was removed.
    """

    kind: ClassVar[str]

    def __init__(self, folder: Path, state: S) -> None:
        self.folder = folder
        self.key = folder.name
        self.lock = threading.RLock()
        self.state: S = state
        self.gone = False

    @property
    def named(self) -> dict[str, str]:
        """How the audit log names it."""
        return {self.kind: self.key}

    def load(self) -> None:
        """Take over what lies on the disk."""
        path = self.folder / "state.json"
        if path.exists():
            self.state = type(self.state).from_json(read_json(path))

    def change(self, how: Callable[[S], S]) -> S:
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

    @abstractmethod
    def scan_folder(self, task: Task) -> Path:
        """A folder with the images that a task is about and nothing else, for who reads a folder as one scan.

        Raises VoxloomError where they are not there any more.
        """

    def told(self, text: str, task: Task) -> str:
        """A message of a task, with words in the place of folders of the queue."""
        return text.replace(str(self.folder), f"the {self.kind}")

    @abstractmethod
    def private_values(self) -> tuple[str, ...]:
        """What the headers of its images say of the patient."""


class Series(Held[SeriesState]):
    """One series on disk."""

    kind = "series"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, SeriesState())
        self.instances: set[str] = set()
        self.last = 0.0
        self.private: tuple[str, ...] = ()
        self._study: str | None = None

    @property
    def received(self) -> Path:
        """Folder of its instances."""
        return self.folder / "in"

    @property
    def is_receiving(self) -> bool:
        """Whether it has instances that no version took."""
        return len(self.instances) > len(self.state.members)

    @property
    def content(self) -> str:
        """What stands for the instances of its last version."""
        return key_of(",".join(self.state.members))

    @property
    def study(self) -> str:
        """The key of its study; "" where its headers name none."""
        if not self.state.study and self._study is None and self.instances:
            self.belongs_to(str(self._header("StudyInstanceUID").get("StudyInstanceUID") or ""))
        return self.state.study or self._study or ""

    def belongs_to(self, study: str) -> None:
        """Take over the StudyInstanceUID of its first instance; those of later ones change nothing."""
        if self._study is None:
            self._study = key_of(study) if study else ""

    def patient(self) -> str:
        """The PatientID of one of its instances, which is never told."""
        return str(self._header("PatientID").get("PatientID") or "").strip()

    def file_of(self, instance: str) -> Path:
        """Where the instance of this key lies."""
        return self.received / f"{instance}.dcm"

    def load(self) -> None:
        """Take over what lies on the disk."""
        self.instances = {path.stem for path in self.received.glob("*.dcm")}
        super().load()

    def scan_folder(self, task: Task) -> Path:
        """The instances of the last version."""
        return self.linked(self.folder / f"scan-v{task.version}")

    def linked(self, folder: Path) -> Path:
        """A folder with the instances of the last version, under further names."""
        folder.mkdir(mode=0o700, exist_ok=True)
        for member in self.state.members:
            target = folder / f"{member}.dcm"
            if not target.exists():
                _link(self.file_of(member), target)
        return folder

    def private_values(self) -> tuple[str, ...]:
        """Read from one of its instances where no sender has told it since the start."""
        if not self.private and self.instances:
            self.private = private_values(self._header())
        return self.private

    def _header(self, *names: str) -> Any:
        """Elements of one of its instances; all of them where none is named."""
        from pydicom import dcmread

        path = self.file_of(next(iter(self.instances)))
        return dcmread(path, stop_before_pixels=True, specific_tags=list(names) or None)


class Study(Held[StudyState]):
    """One study, of which several series are what a rule asks for.

    Parameters
    ----------
    series_of : the series of a key; None where it is not there any more.
    """

    kind = "study"

    def __init__(self, folder: Path, series_of: Callable[[str], Series | None]) -> None:
        super().__init__(folder, StudyState())
        self._series_of = series_of

    @property
    def series(self) -> list[Series]:
        """The series that fit a channel of a rule, as far as they are there."""
        keys = dict.fromkeys(part.series for parts in self.state.found.values() for part in parts)
        return [one for key in keys if (one := self._series_of(key)) is not None]

    def scan_folder(self, task: Task) -> Path:
        """A folder per channel, numbered as ``predict`` takes the channels of a scan."""
        found = [(part, self._series_of(part.series)) for part in task.parts]
        if lost := [part.channel for part, series in found if series is None or series.content != part.content]:
            raise VoxloomError(f"the series of channel {lost[0]} is not there any more, or has other images now")
        folder = self.folder / f"scan-{task.name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        for part, series in found:
            assert series is not None
            series.linked(folder / _numbered(part.number))
        return folder

    def told(self, text: str, task: Task) -> str:
        """A message of a task, with words in the place of folders of the queue."""
        for part in task.parts:
            place = self.folder / f"scan-{task.name}" / _numbered(part.number)
            text = text.replace(str(place), f"channel {part.channel}")
        return super().told(text, task)

    def private_values(self) -> tuple[str, ...]:
        """Those of all its series, the longest first."""
        values = {value for one in self.series for value in one.private_values()}
        return tuple(sorted(values, key=len, reverse=True))


def several_patients(series: Sequence[Series]) -> bool:
    """Whether series of one study name different patients."""
    return len({one.patient() for one in series}) > 1


def _numbered(channel: int) -> str:
    return f"study_{channel:04d}"


def _link(source: Path, target: Path) -> None:
    """Another name for a file, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
