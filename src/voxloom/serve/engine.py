"""The engine: one process holds the networks of some runs and carries out one order after the other.

The calling process imports no torch. When the process with the networks dies (killed, out of memory), the order at work fails with one
line, the process is started again, and the other orders go on.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from voxloom.errors import BadInput
from voxloom.parallel import how_it_ended, start_spawned
from voxloom.serve.jobs import Board, Job
from voxloom.serve.orders import AnyOrder, ExplainOrder, Order, RankOrder, WarmOrder, about_of
from voxloom.serve.run_info import RunInfo, run_info
from voxloom.serve.worker import serve

__all__ = ["Engine", "ExplainOrder", "Job", "Order", "RankOrder"]

#: Takes the result of an order.
After = Callable[[Mapping[str, Any]], Mapping[str, Any]]
#: Networks of so many runs stay open.
KEEP = 4
#: What the jobs say that a stop ended.
STOPPED = "The service was stopped"


class Engine:
    """Predicts with some runs, one order after the other.

    Parameters
    ----------
    runs : name -> folder of a run or of an ensemble.
    device : "auto", "cpu" or "cuda".
    keep : networks of so many runs stay open.
    debug : let the process with the networks print (its libraries may name files and patients).

    Raises
    ------
    BadInput : a folder is not a run, or has no trained weights.
    """

    def __init__(
        self, runs: Mapping[str, Path], *, device: str = "auto", keep: int = KEEP, debug: bool = False
    ) -> None:
        self._infos = {name: run_info(name, Path(folder)) for name, folder in runs.items()}
        self.device, self.keep, self.debug = device, keep, debug
        self.board = Board()
        self._waiting: queue.Queue[tuple[str, AnyOrder] | None] = queue.Queue()
        self._after: dict[str, After] = {}
        self._lock = threading.Lock()
        self._worker: _Worker | None = None
        self._at_work: str | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._lead, name="voxloom-engine", daemon=True)
        self._thread.start()

    @property
    def runs(self) -> Mapping[str, RunInfo]:
        """What is known of the runs, by name."""
        return dict(self._infos)

    def add_run(self, name: str, folder: Path) -> RunInfo:
        """Take a further run, or a run that was trained on, into service."""
        found = run_info(name, folder)
        self._infos = {**self._infos, name: found}
        return found

    def submit(self, order: AnyOrder, about: Mapping[str, Any] | None = None, after: After = dict) -> Job:
        """Queue an order; returns at once.

        Parameters
        ----------
        about : what the job tells of itself beside the run, e.g. the case.
        after : takes the result, e.g. puts files in their place, before the job is done; what it returns is the job's result.

        Raises
        ------
        BadInput : there is no such run, or the engine was closed.
        """
        if self._closed:
            raise BadInput("the service is stopping and takes nothing more", None, "Start it again")
        if order.run not in self._infos:
            raise BadInput(f"there is no run {order.run!r}", "run", f"There are: {', '.join(self._infos) or 'none'}")
        job = self.board.add(order.kind, {**about_of(order), **(about or {})})
        self._after[job.id] = after
        self._waiting.put((job.id, order))
        if self._closed:  # while this was queued: nobody will take it up
            self.board.cancel(job.id, STOPPED)
        return job

    def warm(self) -> None:
        """Open the networks of the first runs now, so that the first prediction need not wait for them."""
        for name in list(self._infos)[: self.keep]:
            self.submit(WarmOrder(name))

    def job(self, name: str) -> Job:
        """A job by its id (BadInput where there is none)."""
        return self.board.get(name)

    def jobs(self) -> list[Job]:
        """All jobs but the opening of networks, the oldest first."""
        return [job for job in self.board.all() if job.kind != WarmOrder.kind]

    def cancel(self, name: str) -> bool:
        """End a job; False where it had ended. One at work is ended with its process, which is started again."""
        self.board.get(name)
        with self._lock:
            cancelled = self.board.cancel(name)
            if cancelled and self._at_work == name and self._worker is not None:
                self._worker.stop()
        return cancelled

    def wait(self, name: str, timeout: float | None = None) -> Job:
        """Block until a job ends, or for ``timeout`` seconds; the job as it then stands."""
        return self.board.wait(name, timeout)

    def close(self) -> None:
        """End the process with the networks; jobs that have not ended are cancelled."""
        self._closed = True
        self._waiting.put(None)
        for job in self.board.all():
            self.board.cancel(job.id, STOPPED)
        with self._lock:
            if self._worker is not None:
                self._worker.stop()
        self._thread.join(timeout=10)

    @property
    def process(self) -> int | None:
        """Number of the process that holds the networks; None where it is not running."""
        worker = self._worker
        return worker.process.pid if worker is not None and worker.process.is_alive() else None

    def _lead(self) -> None:
        """Hand the worker one order after the other."""
        while (found := self._waiting.get()) is not None and not self._closed:
            name, order = found
            if self.board.start(name):
                self._carry_out(name, order)
            self._after.pop(name, None)

    def _carry_out(self, name: str, order: AnyOrder) -> None:
        """One order, from sending to its end; a process that had died idle is no fault of the order's."""
        folder = self._infos[order.run].folder
        for last in (False, True):
            worker = self._ready(name)
            if worker is None:
                return
            if self._listen(worker, name, folder, order) != "not taken":
                break
            if last:
                self.board.fail(name, died(worker))
        with self._lock:
            self._at_work = None

    def _ready(self, name: str) -> _Worker | None:
        """The worker, started where there is none; None where the job was cancelled meanwhile."""
        with self._lock:
            if self._closed or self.board.get(name).has_ended:
                return None
            if self._worker is None or not self._worker.process.is_alive():
                self._worker = _Worker(self.device, self.keep, self.debug)
            self._at_work = name
            return self._worker

    def _listen(self, worker: _Worker, name: str, folder: Path, order: AnyOrder) -> str:
        """Send an order and hear its answers until the last; "not taken" where the worker had died before it took the order."""
        taken = False
        try:
            worker.connection.send((folder, order))
            while True:
                kind, value = worker.connection.recv()
                if kind == "taken":
                    taken = True
                    self.board.tell(name, 0.0, "Working")
                elif kind == "stage":
                    self.board.tell(name, self.board.get(name).progress, str(value))
                elif kind == "progress":
                    step, done, total = value
                    self.board.tell(name, done / max(total, 1), str(step))
                elif kind == "done":
                    self._finish(name, value)
                    return kind
                else:
                    self.board.fail(name, value)
                    return kind
        except (EOFError, OSError):
            worker.process.join(timeout=5)  # its end of the pipe closes a moment before it is gone
            if not taken and not self.board.get(name).has_ended:
                return "not taken"
            self.board.fail(name, died(worker))  # says nothing where the job was cancelled
            return "died"

    def _finish(self, name: str, result: Mapping[str, Any]) -> None:
        """The job is done when its result has been taken; where that fails, the job fails."""
        try:
            self.board.finish(name, self._after[name](result))
        except BadInput as error:
            where = None if error.where is None else str(error.where)
            self.board.fail(name, {"what": error.what, "where": where, "fix": error.fix})
        except Exception as error:
            what = f"the result cannot be kept ({type(error).__name__})"
            self.board.fail(name, {"what": what, "where": None, "fix": "Is there room on the disk?"})


class _Worker:
    """The spawned process, and this end of the pipe to it."""

    def __init__(self, device: str, keep: int, debug: bool) -> None:
        self.connection: Connection
        self.connection, theirs = multiprocessing.get_context("spawn").Pipe()
        self.process: BaseProcess = start_spawned(serve, (theirs, device, keep, debug))
        theirs.close()

    def stop(self) -> None:
        """End the process at once."""
        with contextlib.suppress(OSError, ValueError):
            self.process.terminate()
            self.process.join(timeout=5)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()


def died(worker: _Worker) -> dict[str, str | None]:
    """The one line that says how the process with the networks ended."""
    fix = "Try it again; where memory runs out, with a smaller scan or fewer runs"
    return {"what": f"the process that predicts {how_it_ended(worker.process.exitcode)}", "where": None, "fix": fix}
