"""Work for a cluster, whose first attempt tells where it runs and then waits for its end."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.notes import tell


@dataclass(frozen=True)
class Doomed:
    """Doubles a number; at ``fatal`` the first attempt writes process and node into ``file`` and waits to be killed."""

    file: Path
    fatal: int = 3

    def __call__(self, number: int) -> int:
        if number == self.fatal and not self.file.exists():
            import ray

            about = {"process": os.getpid(), "node": ray.get_runtime_context().get_node_id()}
            part = self.file.with_suffix(".part")
            part.write_text(json.dumps(about))
            part.rename(self.file)
            time.sleep(600)
        return 2 * number


def fussy(number: int) -> int:
    """Tells a note at 1, refuses 2, fails at 3."""
    if number == 1:
        tell("one", "is odd")
    if number == 2:
        raise BadInput("is even", "two.txt", "Take another")
    if number == 3:
        raise ZeroDivisionError("three")
    return number


def large(number: int) -> bytes:
    """A result of one MiB."""
    return bytes([number]) * 2**20
