"""The folder of a run before and while it is worked in: new, never started, locked, or ready to be taken up.

Knows file names; does not know what is trained.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from voxloom.errors import BadInput
from voxloom.files import PART
from voxloom.runfiles import folds_in

#: Held while a process works in a run.
LOCK = ".lock"
#: Files of a run that are written before its recipe, in this order.
_BEFORE_RECIPE = ("plan.md", "plan.json", "environment.json", "splits_final.json", "data.json")


def never_started(folder: Path) -> bool:
    """Whether a folder is empty but for what a run leaves that was killed before it had its recipe (written last)."""
    names = {path.name for path in folder.iterdir() if PART not in path.name}
    return names <= {LOCK, *_BEFORE_RECIPE}


def discard_unstarted(folder: Path) -> None:
    """Remove a run that was refused before any training, so that the mended data can be trained into the same folder."""
    if not checkpoints_of(folder):
        shutil.rmtree(folder, ignore_errors=True)


def checkpoints_of(folder: Path) -> list[Path]:
    """What the folds of a run would be taken up from."""
    return [fold.checkpoint for fold in folds_in(folder) if fold.checkpoint.is_file()]


def free_folder(parent: Path, name: str) -> Path:
    """``parent/name-1``, or the first number that is not taken."""
    return next(folder for n in range(1, 10**6) if not (folder := parent / f"{name}-{n}").exists())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a run."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadInput(
            "another process is working in this run", folder, "Wait for it, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
