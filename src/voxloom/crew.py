"""Who carries out many pieces of work where this machine alone does not: a crew of other machines.

Knows what a crew can do, which one is at hand (``handed_to``), and how work with something open (networks) is spread.
Does not know which crews there are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, cast

from voxloom.errors import VoxloomError
from voxloom.progress import Progress

T = TypeVar("T")
R = TypeVar("R")
P = TypeVar("P")


@dataclass(frozen=True)
class Needs:
    """What one piece of work takes of a machine.

    Parameters
    ----------
    cpus, gpus : CPU cores and graphics cards.
    threads : of torch, where the work computes with it; as many as here, since sums may round otherwise with other numbers.
    """

    cpus: float = 1
    gpus: float = 0
    threads: int | None = None


#: Of work without networks.
ONE_CORE = Needs()


class Crew(Protocol):
    """Carries out pieces of work on other machines, in the order of the items."""

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
        """Name and ``function(value)``, or the error in its place, of every (name, value).

        Parameters
        ----------
        step : the work in words, for errors.
        progress : called with (done, total) after every finished item.
        watch : called about once a second while the crew works.
        """
        ...


_at_hand: list[Crew] = []


@contextlib.contextmanager
def handed_to(crew: Crew) -> Iterator[None]:
    """While the block runs, work over many items goes to a crew."""
    _at_hand.append(crew)
    try:
        yield
    finally:
        _at_hand.remove(crew)


def crew() -> Crew | None:
    """The crew at hand; None where this machine does the work."""
    return _at_hand[-1] if _at_hand else None


def map_with(
    opened: P,
    function: Callable[[P, T], R],
    items: Sequence[tuple[str, T]],
    *,
    step: str,
    needs: Callable[[], Needs],
    progress: Progress | None = None,
) -> Iterator[tuple[str, R | VoxloomError]]:
    """Name and ``function(opened, value)`` of every (name, value), in order: one by one here, or spread over the crew at hand.

    Parameters
    ----------
    opened, function : what all items share (networks), and the work; picklable, for a crew. Every worker gets them once.
    needs : of one item; asked where there is a crew.
    progress : called with (done, total) after every item that the caller has dealt with.

    An item's VoxloomError stands in the place of its result; any other error ends the work.
    """
    elsewhere, work = crew(), Tried(partial(function, opened))
    if elsewhere is None:
        found: Iterator[tuple[str, R | VoxloomError]] = ((name, work(value)) for name, value in items)
    else:
        found = elsewhere.run(cast(Any, work), items, step=step, needs=needs())
    for done, (name, outcome) in enumerate(found, start=1):
        yield name, outcome
        if progress is not None:
            progress(done, len(items))


@dataclass(frozen=True)
class Tried(Generic[T, R]):
    """Work whose VoxloomError is its result, as it was raised: its words are the same wherever the work was done."""

    function: Callable[[T], R]

    def __call__(self, value: T) -> R | VoxloomError:
        try:
            return self.function(value)
        except VoxloomError as error:
            return error
