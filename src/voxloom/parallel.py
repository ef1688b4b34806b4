"""Work over many named items, on several processes, in order.

Knows how to start spawned workers, keep them busy, and say which item, which step and which cause ended one of them.
Does not know what the work is. Where a crew of other machines is at hand (``voxloom.crew``), it gets the work. Workers never run the
user's script again (it needs no ``if __name__ == "__main__"``), leave Ctrl-C to the parent and end by themselves when it is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

from voxloom.answers import Answer, Failure, attempt
from voxloom.cpu import usable_cores
from voxloom.crew import crew
from voxloom.errors import VoxloomError
from voxloom.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

#: Finished items that may wait for a slow consumer, per worker; bounds the memory.
AHEAD_PER_WORKER = 4
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_starting = threading.RLock()
_KILLED = 9


def map_outcomes(
    function: Callable[[T], R],
    items: Sequence[tuple[str, T]],
    *,
    step: str,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[str, R | VoxloomError]]:
    """Yield ``(name, function(value))``, or the error in its place, for every ``(name, value)`` of ``items``, in their order.

    Parameters
    ----------
    function : picklable callable of one value.
    items : pairs of a name for people (a case id, a file) and the value.
    step : the work in words, e.g. ``"preparing"``; used in errors.
    workers : processes of this machine; None takes the usable cores, 0 or 1 works in this process. A crew does not heed it.
    progress : called with (done, total) after every finished item.

    Yields
    ------
    A BadInput where an item was refused, a VoxloomError where it failed or its worker died; both name the item. The next items
    are worked on all the same.
    """
    if (elsewhere := crew()) is not None and items:
        return elsewhere.run(function, items, step=step, progress=progress)
    count = min(usable_cores() if workers is None else workers, len(items))
    if count <= 1:
        return _in_this_process(function, items, step, progress)
    return _Crew(function, items, step, count).run(progress)


def _in_this_process(
    function: Callable[[T], R],
    items: Sequence[tuple[str, T]],
    step: str,
    progress: Progress | None,
) -> Iterator[tuple[str, R | VoxloomError]]:
    for done, (name, value) in enumerate(items, start=1):
        answer = attempt(function, value)
        if progress is not None:
            progress(done, len(items))
        yield name, cast("R | VoxloomError", answer.outcome(name, step))


def _serve(connection: Connection, function: Callable[[Any], Any]) -> None:
    """The worker's loop: receive a value, send back an answer, until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            answer = attempt(function, connection.recv())
            try:
                connection.send(answer)
            except (TypeError, AttributeError) as error:  # what pickling raises
                connection.send(Failure(f"its result cannot leave the worker: {error}"))


class _Worker:
    """One spawned process and the parent's end of the pipe to it."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self.connection, theirs = multiprocessing.get_context("spawn").Pipe()
        with _starting, _one_thread_each():
            self.process = start_spawned(_serve, (theirs, function), of=function, daemon=True)
        theirs.close()

    def ask(self, value: Any) -> Answer:
        """The worker's answer for one value; a Failure that tells how it ended when it died."""
        try:
            self.connection.send(value)
            return cast(Answer, self.connection.recv())
        except (EOFError, OSError):
            self.process.join()
            return Failure(_death(self.process.exitcode))

    @property
    def alive(self) -> bool:
        return self.process.is_alive()

    def stop(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join()


def start_spawned(
    target: Callable[..., None], args: Sequence[Any], *, of: Callable[..., Any] | None = None, daemon: bool = False
) -> BaseProcess:
    """Start a process that imports what it needs and never runs the user's script a second time.

    Parameters
    ----------
    target, args : what it runs; picklable.
    of : the user's function, where that is not ``target``: the script runs again only if this is defined in it.
    daemon : as of ``multiprocessing.Process``; a daemon may have no processes of its own.
    """
    process = multiprocessing.get_context("spawn").Process(target=target, args=tuple(args), daemon=daemon)
    with _starting, _main_kept_out(of or target):
        process.start()
    return process


class _Crew(Generic[T, R]):
    """Workers, each led by one thread of the parent that hands it the next item; a dead worker is replaced."""

    def __init__(
        self,
        function: Callable[[T], R],
        items: Sequence[tuple[str, T]],
        step: str,
        count: int,
    ) -> None:
        self.function, self.items, self.step = function, items, step
        self.answers: queue.Queue[tuple[int, Answer]] = queue.Queue()
        self.slots = threading.Semaphore(count * AHEAD_PER_WORKER)
        self.numbers = iter(range(len(items)))
        self.taking, self.stopping = threading.Lock(), threading.Event()
        self.workers: list[_Worker | None] = [None] * count
        self.threads = [threading.Thread(target=self._lead, args=(place,), daemon=True) for place in range(count)]

    def run(self, progress: Progress | None) -> Iterator[tuple[str, R | VoxloomError]]:
        for thread in self.threads:
            thread.start()
        waiting: dict[int, Answer] = {}
        done = 0
        try:
            for number, (name, _) in enumerate(self.items):
                while number not in waiting:
                    arrived, answer = self.answers.get()
                    waiting[arrived] = answer
                    done += 1
                    if progress is not None:
                        progress(done, len(self.items))
                outcome = waiting.pop(number).outcome(name, self.step)
                self.slots.release()
                yield name, outcome
        finally:
            self._stop()

    def _lead(self, place: int) -> None:
        while (number := self._next()) is not None:
            try:
                answer = self._ask(place, self.items[number][1])
            except Exception as error:
                answer = Failure(f"{type(error).__name__}: {error}")
            self.answers.put((number, answer))

    def _next(self) -> int | None:
        self.slots.acquire()
        with self.taking:
            return None if self.stopping.is_set() else next(self.numbers, None)

    def _ask(self, place: int, value: T) -> Answer:
        worker = self.workers[place]
        if worker is None or not worker.alive:
            worker = self.workers[place] = _Worker(self.function)
        return worker.ask(value)

    def _stop(self) -> None:
        self.stopping.set()
        for _ in self.threads:
            self.slots.release()
        for worker in self.workers:
            if worker is not None and worker.alive:
                worker.process.terminate()
        for thread in self.threads:
            thread.join()
        for worker in self.workers:
            if worker is not None:
                worker.stop()


def _death(exit_code: int | None) -> str:
    hint = "; the system kills so when memory runs out: use fewer workers" if exit_code == -_KILLED else ""
    return f"its worker {how_it_ended(exit_code)}{hint}"


def how_it_ended(exit_code: int | None) -> str:
    """How a process ended, in words: "was killed (SIGKILL)"."""
    if exit_code is not None and exit_code < 0:
        return f"was killed ({signal.Signals(-exit_code).name})"
    return f"ended with exit code {exit_code}"


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Numeric libraries of a worker use one thread: the crew already fills the cores."""
    before = {key: os.environ.get(key) for key in _THREAD_SETTINGS}
    os.environ.update(dict.fromkeys(_THREAD_SETTINGS, "1"))
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextlib.contextmanager
def _main_kept_out(function: Callable[..., Any]) -> Iterator[None]:
    """Spawn without running the user's script a second time, unless the work itself is defined in it."""
    inner = function.func if isinstance(function, partial) else function
    if getattr(inner, "__module__", None) == "__main__":
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
