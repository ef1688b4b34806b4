"""How a command tells what a training does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxloom.cli import output

if TYPE_CHECKING:
    from voxloom.run.listener import Listener


def screen_listener() -> Listener:
    """Tells a terminal what a training does."""
    from voxloom.run.listener import Listener
    from voxloom.run.screen import training_bar

    return Listener(stage=output.note, progress=output.progress_bar, reporter=training_bar)
