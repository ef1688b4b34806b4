"""A run whose plan did not fit into the memory of the graphics card goes on with a smaller one, and says so in its files."""

from __future__ import annotations

import gc
from dataclasses import replace

import torch

from voxloom.errors import VoxloomError
from voxloom.files import write_text
from voxloom.run.listener import Listener
from voxloom.tasks.study import Study
from voxloom.training.card_plan import smaller
from voxloom.training.job import Job
from voxloom.training.settings import TrainingSettings


def with_less_memory(study: Study, job: Job, listener: Listener) -> Study:
    """The study with half the batch, or of a batch of one half the patch; ``recipe.yaml`` and ``plan.md`` are changed with it.

    Raises
    ------
    VoxloomError : nothing can be halved any more.
    """
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    less = smaller(job.training, getattr(job, "multiple", None))
    if less is None:
        raise VoxloomError(
            f"{study.device} has too little memory for {_size(job.training)}, which cannot be halved any more: set network.features "
            "to fewer channels, or train with --device cpu"
        )
    told = f"{study.device} has too little memory for {_size(job.training)}: the run goes on with {_size(less)}"
    listener.stage(f"Note: {told}")
    recipe = study.settings.recipe.changed({"training.batch": less.batch, "training.patch": list(less.patch)})
    plan = study.folder / "plan.md"
    if plan.is_file():
        write_text(plan, plan.read_text(encoding="utf-8") + f"\nChanged while training: {told}.\n")
    recipe.save(study.folder / "recipe.yaml")
    return replace(study, settings=study.task.resolve(recipe))


def _size(training: TrainingSettings) -> str:
    return (
        f"{training.batch} patch{'es' if training.batch > 1 else ''} of {' x '.join(map(str, training.patch))} voxels"
    )
