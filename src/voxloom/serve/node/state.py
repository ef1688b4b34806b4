"""What a series' own file says of it: which instances were taken together, which rules it met, and how far each of them is.

Knows the states and their JSON. A series is *receiving* while it has instances that no version took. Closing it makes a version
with one task for each rule it met: *ready* -> *predicted* (the result's files are on the disk, with their UIDs) -> *sent*, or
*dead*. Does not know who moves it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

SendState = Literal["waiting", "sent", "dead"]
TaskState = Literal["ready", "predicted", "sent", "dead", "superseded"]


@dataclass(frozen=True)
class Send:
    """One result on its way to one destination.

    Parameters
    ----------
    attempts, due : failed tries so far, and when the next one is allowed (seconds since 1970).
    error : of the last try.
    """

    state: SendState = "waiting"
    attempts: int = 0
    due: float = 0.0
    error: str = ""


@dataclass(frozen=True)
class Task:
    """What one rule makes of one version of a series.

    Parameters
    ----------
    rule, run, formats : as they were when the version was closed; later changes of the settings do not touch it.
    version : of the series.
    state, attempts, due, error : of the prediction.
    files : the result, relative to the folder of the series.
    sends : by destination.
    """

    rule: str
    run: str
    formats: tuple[str, ...]
    version: int
    sends: Mapping[str, Send]
    predicting: Literal["ready", "done", "dead", "superseded"] = "ready"
    attempts: int = 0
    due: float = 0.0
    error: str = ""
    files: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What it is called in lists, and the folder of its result."""
        return f"v{self.version}-{self.rule}"

    @property
    def state(self) -> TaskState:
        """How far it is."""
        if self.predicting == "dead" or self.predicting == "superseded":
            return self.predicting
        if self.predicting == "ready":
            return "ready"
        states = {send.state for send in self.sends.values()}
        return "predicted" if "waiting" in states else "dead" if "dead" in states else "sent"

    @property
    def is_open(self) -> bool:
        """Whether something is still to be done."""
        return self.state in ("ready", "predicted")

    def sent_to(self, destination: str, send: Send) -> Task:
        """The same with another state towards one destination."""
        return replace(self, sends={**self.sends, destination: send})


@dataclass(frozen=True)
class SeriesState:
    """One series.

    Parameters
    ----------
    version : how often it was closed; 0 where it never was.
    members : keys of the instances of the last version.
    tasks : of all versions.
    made : keys of the series UIDs of its results, so that they are known when they come back.
    changed : when it was last moved on (seconds since 1970).
    sender : AE title of who sent it.
    """

    version: int = 0
    members: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    made: tuple[str, ...] = ()
    changed: float = 0.0
    sender: str = ""

    @property
    def is_open(self) -> bool:
        """Whether a task of it is not finished."""
        return any(task.is_open for task in self.tasks)

    @property
    def is_dead(self) -> bool:
        """Whether a task of it has failed for good."""
        return any(task.state == "dead" for task in self.tasks)

    def with_task(self, task: Task) -> SeriesState:
        """The same with a task in the place of the one of its name."""
        return replace(self, tasks=tuple(task if one.name == task.name else one for one in self.tasks))

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> SeriesState:
        """From what ``to_json`` gave."""
        tasks = tuple(_task(one) for one in value["tasks"])
        return cls(**{**value, "members": tuple(value["members"]), "made": tuple(value["made"]), "tasks": tasks})


def _task(value: Mapping[str, Any]) -> Task:
    sends = {name: Send(**one) for name, one in value["sends"].items()}
    return Task(**{**value, "sends": sends, "formats": tuple(value["formats"]), "files": tuple(value["files"])})
