"""Options that keep the process with the networks at work, or are refused by it at once: neither loads a network."""

from __future__ import annotations

import time
from dataclasses import dataclass

from voxloom.errors import BadInput
from voxloom.tasks.wish import Wish
from voxloom.verbs.options import PredictOptions


@dataclass(frozen=True)
class EndlessOptions(PredictOptions):
    """Opening networks as these wish takes an hour."""

    @property
    def wish(self) -> Wish:
        time.sleep(3600)
        return super().wish


@dataclass(frozen=True)
class RefusedOptions(PredictOptions):
    """Nothing can be opened as these wish."""

    @property
    def wish(self) -> Wish:
        raise BadInput("refused by the process", "here", None)
