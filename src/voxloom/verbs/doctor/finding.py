"""One thing that was looked at, and what was found. Knows nothing of machines."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a finding means: fine, worth knowing, or in the way of work."""

    ok = "ok"
    note = "note"
    fault = "fault"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Parameters
    ----------
    topic : "machine", "places", "packages", "extras" or "arithmetic".
    name : what was looked at.
    state : whether it is fine.
    text : what was found.
    fix : what to do; "" where there is nothing to do.
    """

    topic: str
    name: str
    state: State
    text: str
    fix: str = ""
