"""Options that keep the process with the networks at work until somebody ends it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from voxloom.tasks.wish import Wish
from voxloom.verbs.options import PredictOptions


@dataclass(frozen=True)
class EndlessOptions(PredictOptions):
    """Opening networks as these wish takes an hour."""

    @property
    def wish(self) -> Wish:
        time.sleep(3600)
        return super().wish
