"""One trial: train a run with changed keys and write down how it ended.

Knows the record ``trials/NNNN.json`` and the run ``runs/NNNN``. Runs in a process of its own, here or on another machine
that shares the folder. A trial that was cut off is taken up where its run was saved.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from voxloom.errors import BadInput, VoxloomError
from voxloom.files import write_json
from voxloom.sweep.space import Changes, Levels

Status = Literal["running", "finished", "failed"]


@dataclass(frozen=True)
class Job:
    """What a worker needs to carry out a trial; plain values, so that they travel between machines.

    Parameters
    ----------
    folder : of the sweep.
    number : of the trial, from 1 on.
    levels : what was drawn, factor by factor.
    changes : recipe keys and values.
    data : the data set.
    recipe : YAML text of the recipe that is changed.
    score : see ``Sweep``.
    """

    folder: str
    number: int
    levels: Levels
    changes: Changes
    data: str
    recipe: str
    score: str

    @property
    def run(self) -> Path:
        """Folder of the trial's run."""
        return Path(self.folder) / "runs" / f"{self.number:04d}"

    @property
    def record(self) -> Path:
        """File of the trial's record."""
        return Path(self.folder) / "trials" / f"{self.number:04d}.json"


@dataclass(frozen=True)
class Record:
    """How a trial stands or ended.

    Parameters
    ----------
    number, levels, changes : as in the job.
    status : "running", "finished" or "failed".
    scores : ``score`` (what the sweep compares) and further figures of the held-out cases.
    error : why it failed.
    seconds : from start to end, of the last attempt.
    node, process : where it runs or ran.
    """

    number: int
    levels: Levels
    changes: Changes
    status: Status
    scores: dict[str, float | None] = field(default_factory=dict)
    error: str | None = None
    seconds: float = 0.0
    node: str = ""
    process: int = 0

    @property
    def score(self) -> float | None:
        """What the sweep compares; None where there is none."""
        return self.scores.get("score")

    def write(self, path: Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read the JSON file.

        Raises
        ------
        BadInput : the file is damaged.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise BadInput(
                f"the record is damaged ({error})", path, "Delete it; the trial is then run again"
            ) from error


def run_trial(job: Job) -> None:
    """Train and evaluate one trial; its record says how it ended. Never raises for a run that fails.

    A finished trial keeps no checkpoint: nobody goes on with it, and the optimizer's state is most of a run's size.

    Raises
    ------
    KeyboardInterrupt : on Ctrl-C, after the run was saved; the record stays "running".
    """
    start = time.monotonic()
    begun = Record(job.number, job.levels, job.changes, "running", node=platform.node(), process=os.getpid())
    if not job.record.parent.is_dir():
        raise BadInput(f"machine {begun.node} does not see the sweep's folder", job.folder, "Use a shared disk")
    begun.write(job.record)
    try:
        scores, error = _train(job), None
    except MemoryError:
        scores, error = {}, "it needs more memory than there is"
    except VoxloomError as failure:
        scores, error = {}, str(failure)
    except Exception as failure:
        scores, error = {}, f"{type(failure).__name__}: {failure}"
    ended: Status = "finished" if error is None else "failed"
    seconds = round(time.monotonic() - start, 2)
    Record(**{**asdict(begun), "status": ended, "scores": scores, "error": error, "seconds": seconds}).write(job.record)
    if ended == "finished":  # after the record: a process killed between the two loses nothing
        _drop_checkpoints(job.run)


def _drop_checkpoints(run: Path) -> None:
    from voxloom.run.lifecycle import checkpoints_of

    for checkpoint in checkpoints_of(run):
        checkpoint.unlink()


def _train(job: Job) -> dict[str, float | None]:
    """Train a new run, or go on with one that was cut off; the scores."""
    from voxloom.recipe.recipe import Recipe
    from voxloom.run.lifecycle import checkpoints_of
    from voxloom.tasks.task import task_of
    from voxloom.verbs.train import train

    saved = bool(checkpoints_of(job.run))
    if not saved and job.run.exists():
        shutil.rmtree(job.run)
    recipe = Recipe.parse(job.recipe, "the sweep's recipe").changed(job.changes)
    run = train(job.data, recipe, out=job.run, resume=saved)
    return task_of(run).sweep_scores(run.summary, job.score)
