"""What is known of a series or a study: which instances were taken together, which rules it met, and how far each of them is.

Knows the states and their JSON. A series is *receiving* while it has instances that no version took. Closing it makes a version
with one task for each rule it met: *ready* -> *predicted* (the result's files are on the disk, with their UIDs) -> *sent*, or
*dead*. A task of a study is *waiting* before that, until there is a series for each channel. Does not know who moves it on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Self

SendState = Literal["waiting", "sent", "dead"]
TaskState = Literal["waiting", "ready", "predicted", "sent", "dead", "superseded"]


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
class Fit:
    """A channel of a rule that a series is fit for."""

    rule: str
    channel: str


@dataclass(frozen=True, order=True)
class Part:
    """One series of a study as one channel of a run.

    Parameters
    ----------
    number, channel : which channel, counted as the run counts them, from 0.
    series : its key.
    content : stands for its instances: other ones have another.
    """

    number: int
    channel: str
    series: str
    content: str


@dataclass(frozen=True)
class Task:
    """What one rule makes of one version of a series, or of a study.

    Parameters
    ----------
    rule, run, formats : as they were when the version was closed; later changes of the settings do not touch it.
    version : of the series; of a study how often the rule was begun.
    state, attempts, due, error : of the prediction; of a waiting task until when it waits (0: not said yet), and for what.
    files : the result, relative to the folder of the series.
    sends : by destination.
    parts : of a study, the series that are predicted together; none while it is not decided which.
    note : what a person should know of the result.
    """

    rule: str
    run: str
    formats: tuple[str, ...]
    version: int
    sends: Mapping[str, Send]
    predicting: Literal["waiting", "ready", "done", "dead", "superseded"] = "ready"
    attempts: int = 0
    due: float = 0.0
    error: str = ""
    files: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    note: str = ""

    @property
    def name(self) -> str:
        """What it is called in lists, and the folder of its result."""
        return f"v{self.version}-{self.rule}"

    @property
    def state(self) -> TaskState:
        """How far it is."""
        if self.predicting != "done":
            return self.predicting
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
class State:
    """What is done with a series or a study.

    Parameters
    ----------
    tasks : of all versions.
    made : keys of the series UIDs of its results, so that they are known when they come back.
    changed : when it was last moved on (seconds since 1970).
    """

    tasks: tuple[Task, ...] = ()
    made: tuple[str, ...] = ()
    changed: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a task of it is not finished."""
        return any(task.is_open for task in self.tasks)

    @property
    def is_waiting(self) -> bool:
        """Whether a task of it waits for series."""
        return any(task.state == "waiting" for task in self.tasks)

    @property
    def is_dead(self) -> bool:
        """Whether a task of it has failed for good."""
        return any(task.state == "dead" for task in self.tasks)

    def with_task(self, task: Task) -> Self:
        """The same with a task in the place of the one of its name."""
        return replace(self, tasks=tuple(task if one.name == task.name else one for one in self.tasks))

    def again(self, name: str | None) -> Self:
        """The same with dead tasks (of this name) begun again where they failed; what was sent is not sent twice."""
        state = self
        for task in self.tasks:
            if name in (None, task.name) and task.state == "dead":
                state = state.with_task(self._begun_again(task))
        return state

    def _begun_again(self, task: Task) -> Task:
        if task.predicting == "dead":
            return replace(task, predicting="ready", attempts=0, due=0.0)
        return replace(task, sends={to: Send() if send.state == "dead" else send for to, send in task.sends.items()})

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From what ``to_json`` gave."""
        return cls(**{**value, "made": tuple(value["made"]), "tasks": tuple(_task(one) for one in value["tasks"])})


@dataclass(frozen=True)
class SeriesState(State):
    """One series.

    Parameters
    ----------
    version : how often it was closed; 0 where it never was.
    members : keys of the instances of the last version.
    sender : AE title of who sent it.
    study : key of its study; "" where its headers name none.
    fits : channels that it may be.
    """

    version: int = 0
    members: tuple[str, ...] = ()
    sender: str = ""
    study: str = ""
    fits: tuple[Fit, ...] = ()

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From what ``to_json`` gave, or an earlier version of it, without studies."""
        fits = tuple(Fit(**one) for one in value.get("fits", ()))
        return super().from_json({**value, "members": tuple(value["members"]), "fits": fits})


@dataclass(frozen=True)
class StudyState(State):
    """One study.

    Parameters
    ----------
    found : by rule, the series that fit its channels when this was last looked at.
    """

    found: Mapping[str, tuple[Part, ...]] = field(default_factory=dict)

    def _begun_again(self, task: Task) -> Task:
        if task.predicting == "dead" and not task.parts:  # nobody could tell which series: looked at anew
            return replace(task, predicting="waiting", due=0.0, error="")
        return super()._begun_again(task)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From what ``to_json`` gave."""
        found = {rule: tuple(Part(**one) for one in parts) for rule, parts in value["found"].items()}
        return super().from_json({**value, "found": found})


def _task(value: Mapping[str, Any]) -> Task:
    sends = {name: Send(**one) for name, one in value["sends"].items()}
    parts = tuple(Part(**one) for one in value.get("parts", ()))
    own = {"sends": sends, "formats": tuple(value["formats"]), "files": tuple(value["files"]), "parts": parts}
    return Task(**{**value, **own})
