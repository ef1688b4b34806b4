"""What became of one piece of work, in a form that travels between processes and machines.

Knows results, refusals and failures, and the notes that were told on the way. Does not know who does the work.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from voxloom.errors import BadInput, VoxloomError
from voxloom.notes import Note, collect, pass_on

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Result(Generic[R]):
    """A result with the notes that its work told; they are told again where the result is taken."""

    value: R
    notes: tuple[Note, ...] = ()

    def outcome(self, name: str, step: str) -> R:
        """The value; its notes are told again."""
        pass_on(self.notes)
        return self.value


@dataclass(frozen=True)
class Refusal:
    """A BadInput taken apart, so that it survives the way between processes."""

    what: str
    where: str | None
    fix: str | None

    def outcome(self, name: str, step: str) -> BadInput:
        """The error, which names the item."""
        named = self.where if self.where and name in self.where else f"{name}: {self.where}" if self.where else name
        return BadInput(self.what, named, self.fix)


@dataclass(frozen=True)
class Failure:
    """Any other error, as text."""

    cause: str
    details: str = ""

    def outcome(self, name: str, step: str) -> VoxloomError:
        """The error, which names item, step and cause."""
        error = VoxloomError(f"{name}: {step} failed: {self.cause}")
        if self.details:
            error.add_note(self.details)
        return error


Answer = Result[Any] | Refusal | Failure


def attempt(function: Callable[[T], Any], value: T) -> Answer:
    """``function(value)``, or what came in its way."""
    try:
        with collect() as notes:
            found = function(value)
        return Result(found, tuple(notes))
    except BadInput as error:
        return Refusal(error.what, None if error.where is None else str(error.where), error.fix)
    except MemoryError:
        return Failure("it needs more memory than there is")
    except VoxloomError as error:
        return Failure(str(error), traceback.format_exc())
    except Exception as error:
        return Failure(f"{type(error).__name__}: {error}", traceback.format_exc())
