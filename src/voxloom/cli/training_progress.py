"""The progress bar of a training: steps, loss, validation Dice per label, remaining time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from voxloom.cli import output

if TYPE_CHECKING:
    from voxloom.run.listener import Listener
    from voxloom.training.callbacks import Reporter


def clock_text(seconds: float) -> str:
    """``h:mm:ss`` or ``m:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


@contextlib.contextmanager
def training_bar(fold: int) -> Iterator[Reporter]:
    """A bar for one fold; yields the reporter that moves it."""
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}"))
    with Progress(*columns, console=output.screen()) as bar:
        task = bar.add_task(f"Training fold {fold}", total=None, facts="")

        def report(step: int, steps: int, seconds_left: float, loss: float, dice: dict[str, float]) -> None:
            scores = "  ".join(f"{name} {value:.3f}" for name, value in list(dice.items())[:4])
            facts = f"step {step}/{steps}  loss {loss:.3f}  {scores}  {clock_text(seconds_left)} left"
            bar.update(task, completed=step, total=steps, facts=facts)

        yield report


def screen_listener() -> Listener:
    """Tells a terminal what a training does."""
    from voxloom.run.listener import Listener

    return Listener(stage=output.note, progress=output.progress_bar, reporter=training_bar)
