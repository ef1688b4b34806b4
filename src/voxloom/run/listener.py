"""Who is told how far a run is. Knows no screen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voxloom.progress import Progress

if TYPE_CHECKING:
    from voxloom.training.callbacks import Reporter


@dataclass(frozen=True)
class Listener:
    """Who is told how far a run is; every member may be left out."""

    stage: Callable[[str], None] = lambda text: None
    progress: Callable[[str], contextlib.AbstractContextManager[Progress | None]] = lambda text: (
        contextlib.nullcontext()
    )
    reporter: Callable[[int], contextlib.AbstractContextManager[Reporter | None]] = lambda fold: (
        contextlib.nullcontext()
    )


SILENT = Listener()
