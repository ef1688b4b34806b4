"""What the other processes of a data-parallel training do: train every fold beside the first one, and write nothing.

Knows the order in which the first process goes (``train``, ``folds``), and where the two meet.
"""

from __future__ import annotations

from pathlib import Path

from voxloom.crew import crew
from voxloom.dataset import Dataset
from voxloom.errors import BadInput, VoxloomError
from voxloom.ranks import ranks, wait
from voxloom.run.run import Run
from voxloom.tasks.study import study_of, training_of
from voxloom.verbs.folds import fit_fold


def refuse_alone(out: str | Path | None) -> None:
    """Refuse what several processes cannot do together: choose a folder, or hand the folds to a cluster as well (BadInput)."""
    if ranks().size > 1 and out is None:
        raise BadInput("several processes train together and must know one folder", None, "Name it with -o RUN")
    if ranks().size > 1 and crew() is not None:
        fix = "Start one process for --on ray, or several with torchrun"
        raise BadInput("folds go to a cluster, or several processes share each of them", None, fix)


def follow(dataset: Dataset, folder: Path, resume: bool) -> None:
    """Train beside the first process, once it has started the run in ``folder``.

    Raises
    ------
    VoxloomError : another process has ended.
    """
    try:
        wait()
    except VoxloomError as error:
        raise VoxloomError("the first process ended before the training began, and has said why") from error
    run = Run(folder)
    study = study_of(run, dataset, run.recipe)
    for number in range(len(study.folds)):
        wait()
        fit_fold(study, training_of(study, number), resume)
