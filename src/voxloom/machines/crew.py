"""A crew of a Ray cluster: keeps its machines busy, bounds what waits, and says why a worker died.

A piece of work whose worker or machine dies is done again elsewhere; its answer is the same, since nothing random depends on
where it is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, cast

from voxloom.answers import Answer, Failure
from voxloom.crew import ONE_CORE, Needs
from voxloom.errors import VoxloomError
from voxloom.machines.cluster import Cluster
from voxloom.machines.packing import Package, carry_out, pack
from voxloom.parallel import AHEAD_PER_WORKER
from voxloom.progress import Progress

T = TypeVar("T")
R = TypeVar("R")

#: How often a piece of work is begun again after its worker died.
RETRIES = 3
#: Seconds between two looks at a cluster that is at work, and those that interrupted work may take to save itself.
LOOK_EVERY, SECONDS_TO_SAVE = 1.0, 30.0


class RayCrew:
    """See ``voxloom.crew.Crew``.

    Parameters
    ----------
    cluster : that is connected.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster, self.ray = cluster, cluster.ray

    def run(
        self,
        function: Callable[[T], R],
        items: Sequence[tuple[str, T]],
        *,
        step: str,
        progress: Progress | None = None,
        needs: Needs = ONE_CORE,
        watch: Callable[[], None] | None = None,
    ) -> Iterator[tuple[str, R | VoxloomError]]:
        """See ``voxloom.crew.Crew``; at most four pieces per place of the cluster wait or lie finished, which bounds the memory.

        Raises
        ------
        VoxloomError : no machine of the cluster has what one piece of work needs.
        """
        fitting = self.cluster.fitting(needs)
        self.cluster.refuse_lack(fitting, step)
        flow = _Flow(self.cluster, pack(self.ray, function, needs), fitting, [value for _, value in items])
        try:
            for number, (name, _) in enumerate(items):
                yield name, cast("R | VoxloomError", flow.answer(number, progress, watch).outcome(name, step))
        finally:
            flow.stop()


class _Flow:
    """The items of one piece of work on their way through the cluster."""

    def __init__(self, cluster: Cluster, package: Package, needs: Needs, values: Sequence[Any]) -> None:
        self.cluster, self.ray, self.package, self.needs, self.values = cluster, cluster.ray, package, needs, values
        self.task = self.ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=RETRIES)(carry_out)
        self.busy: dict[Any, int] = {}
        self.ready: dict[int, Answer] = {}
        self.begun = self.done = 0
        self.most, self.looked = 0, 0.0

    def answer(self, number: int, progress: Progress | None, watch: Callable[[], None] | None) -> Answer:
        """The answer for one item, waited for while others are begun."""
        while number not in self.ready:
            self._begin()
            ended, _ = self.ray.wait(list(self.busy), num_returns=1, timeout=LOOK_EVERY)
            for reference in ended:
                self.ready[self.busy.pop(reference)] = taken(self.ray, reference)
                self.done += 1
                if progress is not None:
                    progress(self.done, len(self.values))
            if watch is not None:
                watch()
        return self.ready.pop(number)

    def _begin(self) -> None:
        """Hand on items as far as there is room; machines may come and go."""
        if time.monotonic() > self.looked + LOOK_EVERY:
            self.most, self.looked = AHEAD_PER_WORKER * max(1, self.cluster.room(self.needs)), time.monotonic()
        while self.begun < len(self.values) and len(self.busy) + len(self.ready) < self.most:
            item = self.ray.put(self.values[self.begun])
            self.busy[self.task.remote(self.package, [item])] = self.begun
            self.begun += 1

    def stop(self) -> None:
        """Interrupt what is under way, and let it save itself."""
        for reference in self.busy:
            self.ray.cancel(reference)
        if self.busy:
            self.ray.wait(list(self.busy), num_returns=len(self.busy), timeout=SECONDS_TO_SAVE)


def taken(ray: Any, reference: Any) -> Answer:
    """The answer of ``carry_out``, or how its worker ended."""
    try:
        return cast(Answer, ray.get(reference))
    except ray.exceptions.RayTaskError as error:  # before or after the work, which keeps its own errors
        return Failure(f"{type(error.cause).__name__}: {error.cause}", str(error))
    except ray.exceptions.OutOfMemoryError:
        return Failure("its machine ran out of memory: use fewer CPUs per machine, or machines with more memory")
    except ray.exceptions.RayError as error:
        return Failure(f"its worker died {RETRIES + 1} times: {str(error).splitlines()[0]}")
