"""Series that are ready become results: one after another, by the engine that holds the networks.

Knows tries and where a result is put. The files are made under another name and get theirs when all are on the disk; until the state
says *predicted*, nothing of them was sent, and a crash makes them again. Does not know how a run predicts.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from voxloom.serve.node.audit import AuditLog
from voxloom.serve.node.durable import PART
from voxloom.serve.node.held import Held
from voxloom.serve.node.instance import key_of, without_private
from voxloom.serve.node.metrics import Metrics
from voxloom.serve.node.settings import Predicting
from voxloom.serve.node.state import State, Task
from voxloom.serve.node.store import Store, place_result

_LOOK = 1.0


class StoppedError(Exception):
    """The node ends; the prediction is made after the next start."""


@dataclass(frozen=True)
class Wanted:
    """One prediction: which run sees which folder of DICOM files, and where its answer is put in which formats."""

    run: str
    scan: Path
    out: Path
    formats: tuple[str, ...]


@dataclass(frozen=True)
class Made:
    """An answer: its DICOM files, all in the folder that was named, the seconds of the network where they are known, and what a
    person should know of it."""

    files: Sequence[Path]
    seconds: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Needs:
    """What a run takes: its channels in their order, and whether it learned to do without some of them."""

    channels: tuple[str, ...]
    may_lack: bool = False


class Predicts(Protocol):
    """Who predicts."""

    def needs(self, run: str) -> Needs:
        """What a run takes."""

    def predict(self, wanted: Wanted, timeout: float, stopping: threading.Event) -> Made:
        """Carry out one prediction.

        Raises
        ------
        StoppedError : ``stopping`` was set before it was done.
        VoxloomError : it cannot be done, with the reason.
        """


class Predictor:
    """Predicts what is ready, the oldest first, in a thread of its own.

    Parameters
    ----------
    done : told that there is something to send.
    """

    def __init__(self, engine: Predicts, store: Store, how: Predicting, audit: AuditLog, metrics: Metrics) -> None:
        self._engine, self._store, self._how, self._audit, self._metrics = engine, store, how, audit, metrics
        self.done = lambda: None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="node-predicts", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """There may be something to predict."""
        self._wake.set()

    def stop(self, seconds: float = 10.0) -> None:
        """Leave what is being predicted to the next start."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            found = self._next()
            if found is None:
                self._wake.wait(_LOOK)
                continue
            self._try(*found)

    def _next(self) -> tuple[Held[Any], Task] | None:
        now = time.time()
        ready = [
            (series.state.changed, number, series, task)
            for number, series in enumerate(self._store.held())
            for task in series.state.tasks
            if task.predicting == "ready" and task.due <= now
        ]
        if not ready:
            return None
        _, _, series, task = min(ready, key=lambda one: one[:2])
        return series, task

    def _try(self, series: Held[Any], task: Task) -> None:
        started = time.monotonic()
        scan: Path | None = None
        made = series.folder / f".{uuid4().hex}{PART}"
        try:
            made.mkdir(mode=0o700)
            scan = series.scan_folder(task)
            wanted = Wanted(task.run, scan, made, task.formats)
            answer = self._engine.predict(wanted, self._how.timeout, self._stopping)
            self._finish(series, task, made, answer, started)
        except StoppedError:
            return
        except Exception as error:  # one series that cannot be predicted stops no other
            if not series.gone:
                self._failed(series, task, str(error) or type(error).__name__)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            if scan is not None:
                shutil.rmtree(scan, ignore_errors=True)

    def _finish(self, series: Held[Any], task: Task, made: Path, answer: Made, started: float) -> None:
        from pydicom import dcmread

        files = answer.files
        if not files:
            raise ValueError("the run made no DICOM result")
        names = [path.relative_to(made) for path in files]
        headers = [dcmread(p, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]) for p in files]
        folder = series.result_folder(task)
        own = tuple(dict.fromkeys(key_of(str(header.SeriesInstanceUID)) for header in headers))

        def predicted(state: State) -> State:
            now = next(one for one in state.tasks if one.name == task.name)
            if now.predicting != "ready":  # superseded in the meantime
                return state
            place_result(made, folder)
            kept = tuple(f"{folder.name}/{name.as_posix()}" for name in names)
            note = "; ".join(filter(None, (now.note, answer.note)))
            finished = replace(now, predicting="done", attempts=now.attempts + 1, error="", files=kept, note=note)
            made_so_far = tuple(dict.fromkeys((*state.made, *own)))
            return replace(state.with_task(finished), made=made_so_far, changed=time.time())

        series.change(predicted)
        self._metrics.count("voxloom_node_predictions_total", outcome="done")
        network = None if answer.seconds is None else round(answer.seconds, 3)
        facts = {
            "seconds": round(time.monotonic() - started, 3),
            "network seconds": network,
            "note": answer.note or None,
        }
        self._audit.tell("predicted", **series.named, task=task.name, run=task.run, **facts)
        self.done()

    def _failed(self, series: Held[Any], task: Task, text: str) -> None:
        error = without_private(series.told(text, task), series.private_values())
        attempts = task.attempts + 1
        dead = attempts >= self._how.attempts
        failed = replace(
            task,
            predicting="dead" if dead else "ready",
            attempts=attempts,
            due=time.time() + self._how.first * 2.0 ** (attempts - 1),
            error=error,
        )
        if not any(one.name == task.name and one.predicting == "ready" for one in series.state.tasks):
            return  # superseded in the meantime
        series.change(lambda state: replace(state.with_task(failed), changed=time.time()))
        outcome = "dead letter" if dead else "not predicted"
        self._metrics.count("voxloom_node_predictions_total", outcome=outcome)
        self._audit.tell(outcome, **series.named, task=task.name, run=task.run, attempts=attempts, why=error)
