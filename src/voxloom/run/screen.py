"""Tells people how far a verb is: bars on a terminal or in a notebook, plain lines anywhere else. Knows no verb.

Commands and Python share it, so that a training from a notebook is never silent for minutes.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from voxloom.progress import Progress
from voxloom.run.listener import Listener

if TYPE_CHECKING:
    from rich.console import Console

    from voxloom.training.callbacks import Reporter

#: Lines of a training where there is no bar.
LINES = 20


def clock_text(seconds: float) -> str:
    """``h:mm:ss`` or ``m:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def facts_text(step: int, steps: int, seconds_left: float, loss: float, scores: Mapping[str, float]) -> str:
    """Where a training is: step, loss, the first four scores of the last validation, remaining time."""
    shown = "  ".join(f"{name} {value:.3f}" for name, value in list(scores.items())[:4])
    return f"step {step}/{steps}  loss {loss:.3f}  {shown}  {clock_text(seconds_left)} left"


@cache
def console() -> Console:
    """The console for people (standard error)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def moves() -> bool:
    """Whether a bar can move where messages go: on a terminal and in a notebook."""
    screen = console()
    return screen.is_terminal or screen.is_jupyter


@contextlib.contextmanager
def progress_bar(text: str) -> Iterator[Progress]:
    """A bar with an estimate of the remaining time, where it can move."""
    if not moves():
        yield lambda done, total: None
        return
    from rich.progress import Progress as Bar

    with Bar(console=console(), transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextlib.contextmanager
def training_bar(fold: int) -> Iterator[Reporter]:
    """A bar for one fold; yields the reporter that moves it."""
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}"))
    with Bar(*columns, console=console()) as bar:
        task = bar.add_task(f"Training fold {fold}", total=None, facts="")

        def report(step: int, steps: int, seconds_left: float, loss: float, dice: dict[str, float]) -> None:
            bar.update(task, completed=step, total=steps, facts=facts_text(step, steps, seconds_left, loss, dice))

        yield report


@contextlib.contextmanager
def training_lines(fold: int) -> Iterator[Reporter]:
    """A line for every twentieth of one fold, for logs."""
    told = 0

    def report(step: int, steps: int, seconds_left: float, loss: float, dice: dict[str, float]) -> None:
        nonlocal told
        if (part := step * LINES // max(1, steps)) > told:
            told = part
            say(f"Training fold {fold}: {facts_text(step, steps, seconds_left, loss, dice)}")

    yield report


def say(text: str) -> None:
    """A line for people, not a result."""
    print(text, file=sys.stderr, flush=True)


def python_listener() -> Listener:
    """For verbs that are called from Python."""
    return Listener(stage=say, progress=progress_bar, reporter=training_bar if moves() else training_lines)
