"""Trying again where a PACS is away for a moment, and telling that from a PACS that says no.

Every request here may be repeated: queries and retrievals change nothing, and an instance that is stored twice has one
SOP Instance UID.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from voxloom.errors import VoxloomError

_T = TypeVar("_T")
#: Answers that mean "later": request timeout, too many requests, and errors of the server or of a gateway before it.
LATER = frozenset({408, 425, 429, 500, 502, 503, 504})


class PacsFailed(VoxloomError):
    """The PACS could not be reached or did not do it in time; later it may."""


class PacsRefused(VoxloomError):
    """The PACS said no; asking again changes nothing."""


@dataclass(frozen=True)
class Retry:
    """How often and how long is tried.

    Parameters
    ----------
    tries : in all.
    pause : seconds before the second try; doubled before each further one.
    longest : a pause is never longer, in seconds.
    """

    tries: int = 4
    pause: float = 0.5
    longest: float = 30.0

    def before(self, attempt: int) -> float:
        """Seconds to wait before try ``attempt`` (1 is the second): doubled each time, and up to a quarter more or less by chance."""
        return min(self.longest, self.pause * 2 ** (attempt - 1)) * random.uniform(0.75, 1.25)

    def run(self, action: Callable[[], _T]) -> _T:
        """The value of ``action``, tried again while it raises PacsFailed."""
        for attempt in range(1, self.tries):
            try:
                return action()
            except PacsFailed:
                time.sleep(self.before(attempt))
        return action()
