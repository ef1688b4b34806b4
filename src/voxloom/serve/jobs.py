"""Jobs: what was asked for, how far it is, and how it ended. Knows no network and no file; safe for several threads."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from voxloom.errors import BadInput

State = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

#: Ended jobs that are remembered; older ones are forgotten, so that a service that runs for months does not grow.
REMEMBERED = 2000


@dataclass(frozen=True)
class Job:
    """One job as it stands now.

    Parameters
    ----------
    id : never guessed and never a path.
    kind : "predict", "rank", "explain" or "train".
    progress : 0 to 1.
    message : of the step at work, or the one line that says why it failed.
    created, started, ended : seconds since the epoch; None before.
    about : what was asked for, e.g. run and case.
    result : of a job that is done: plain values.
    error : of a failed job: "what", "where", "fix".
    """

    id: str
    kind: str
    created: float
    about: Mapping[str, Any] = field(default_factory=dict)
    state: State = "queued"
    progress: float = 0.0
    message: str = "Waiting"
    started: float | None = None
    ended: float | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str | None] | None = None

    @property
    def has_ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


class Board:
    """All jobs of a service. Every change is told to those who wait, and to ``on_end`` where a job ends."""

    def __init__(self, on_end: Callable[[Job], None] = lambda job: None) -> None:
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._on_end = on_end

    def add(self, kind: str, about: Mapping[str, Any]) -> Job:
        """A new queued job."""
        job = Job(secrets.token_hex(8), kind, time.time(), dict(about))
        with self._changed:
            self._jobs[job.id] = job
            self._forget()
        return job

    def get(self, name: str) -> Job:
        """A job by its id (BadInput where there is none)."""
        with self._changed:
            if name not in self._jobs:
                raise BadInput("there is no such job", "job", "It may be too long ago: list the jobs")
            return self._jobs[name]

    def all(self) -> list[Job]:
        """All jobs that are remembered, the oldest first."""
        with self._changed:
            return list(self._jobs.values())

    def start(self, name: str) -> bool:
        """Say that a queued job is at work; False where it was cancelled meanwhile."""
        with self._changed:
            if self._jobs[name].state != "queued":
                return False
            self._jobs[name] = replace(self._jobs[name], state="running", started=time.time(), message="Starting")
            self._changed.notify_all()
            return True

    def queue_again(self, name: str) -> None:
        """Say that a job waits once more, e.g. a training that is taken up again."""
        with self._changed:
            found = self._jobs[name]
            self._jobs[name] = replace(found, state="queued", message="Waiting", ended=None, error=None)
            self._changed.notify_all()

    def tell(self, name: str, progress: float, message: str) -> None:
        """Say how far a running job is."""
        with self._changed:
            if self._jobs[name].state == "running":
                self._jobs[name] = replace(self._jobs[name], progress=min(max(progress, 0.0), 1.0), message=message)
                self._changed.notify_all()

    def finish(self, name: str, result: Mapping[str, Any]) -> None:
        """Say that a job is done."""
        self._end(name, "done", "Done", result=dict(result))

    def fail(self, name: str, error: Mapping[str, str | None]) -> None:
        """Say that a job failed, and why."""
        self._end(name, "failed", str(error["what"]), error=dict(error))

    def cancel(self, name: str, message: str = "Cancelled") -> bool:
        """Say that a job was cancelled; False where it had ended before."""
        return self._end(name, "cancelled", message)

    def wait(self, name: str, timeout: float | None = None) -> Job:
        """Block until a job ends, or for ``timeout`` seconds; the job as it then stands."""
        until = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while not (job := self.get(name)).has_ended:
                left = None if until is None else until - time.monotonic()
                if left is not None and left <= 0:
                    break
                self._changed.wait(left)
            return job

    def _end(
        self,
        name: str,
        state: State,
        message: str,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, str | None] | None = None,
    ) -> bool:
        with self._changed:
            found = self._jobs[name]
            if found.has_ended:
                return False
            job = replace(found, state=state, message=message, ended=time.time(), result=result or {}, error=error)
            if state == "done":
                job = replace(job, progress=1.0)
            self._jobs[name] = job
            self._changed.notify_all()
        self._on_end(job)
        return True

    def _forget(self) -> None:
        ended = [name for name, job in self._jobs.items() if job.has_ended]
        for name in ended[: max(0, len(ended) - REMEMBERED)]:
            del self._jobs[name]
