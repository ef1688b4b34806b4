"""Who carries out trials on this machine: processes that live for many trials, one trial at a time each.

Knows processes. A process that dies takes one trial with it and is replaced. Does not know searches or tables.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from voxloom.cpu import usable_cores
from voxloom.sweep.trial import Job, run_trial

#: How long an orphan may take to save its trial.
_SECONDS_TO_SAVE = 60.0
#: In a worker: whether no trial is under way.
_idle = threading.Event()


class Workers(Protocol):
    """Carries out trials, several at a time."""

    def free(self) -> bool:
        """Whether another trial can be taken on now."""

    def submit(self, job: Job) -> None:
        """Begin a trial."""

    def wait(self) -> list[tuple[Job, str | None]]:
        """The trials that ended since, at least one, each with what ended it where no record tells."""

    def close(self) -> None:
        """Let go of the processes; trials under way are interrupted and saved."""


class LocalWorkers:
    """Processes on this machine.

    Parameters
    ----------
    count : how many; they share the cores.
    """

    def __init__(self, count: int = 1) -> None:
        self.threads = max(1, usable_cores() // count)
        self.idle = [self._process() for _ in range(count)]
        self.busy: dict[Future[None], tuple[Job, ProcessPoolExecutor]] = {}

    def _process(self) -> ProcessPoolExecutor:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, mp_context=spawn, initializer=_begin, initargs=(self.threads,))

    def free(self) -> bool:
        """Whether a process has nothing to do."""
        return bool(self.idle)

    def submit(self, job: Job) -> None:
        """Hand the trial to an idle process."""
        process = self.idle.pop()
        self.busy[process.submit(_run, job)] = (job, process)

    def wait(self) -> list[tuple[Job, str | None]]:
        """See ``Workers``; a dead process is replaced."""
        ended = []
        for future in wait(self.busy, return_when=FIRST_COMPLETED).done:
            job, process = self.busy.pop(future)
            error = future.exception()
            if isinstance(error, KeyboardInterrupt):
                raise error
            if isinstance(error, BrokenProcessPool):
                process.shutdown(wait=False)
                process = self._process()
            self.idle.append(process)
            died = "its process died (out of memory?)" if isinstance(error, BrokenProcessPool) else str(error)
            ended.append((job, None if error is None else died))
        return ended

    def close(self) -> None:
        """Wait for trials that save themselves after Ctrl-C, and end the processes."""
        for process in [*self.idle, *(process for _, process in self.busy.values())]:
            process.shutdown(wait=True, cancel_futures=True)


def _begin(threads: int) -> None:
    """Once per process: its share of the cores, and no traceback when Ctrl-C finds it idle."""
    import torch

    torch.set_num_threads(threads)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _idle.set()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A sweep that was killed leaves no process behind: a trial under way saves itself as after Ctrl-C."""
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers wait for a parent"
    parent.join()
    if not _idle.is_set():
        os.kill(os.getpid(), signal.SIGINT)
        _idle.wait(_SECONDS_TO_SAVE)
    os._exit(1)


def _run(job: Job) -> None:
    _idle.clear()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run_trial(job)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _idle.set()
