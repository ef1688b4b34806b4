"""One training from prepared cases to weights: builds the parts of a job, hands them to the loop, and resumes.

Knows the folder of one fold (``model.safetensors``, ``model.json``, ``last.ckpt``, ``log.csv``). Does not know tasks, recipes or
data sets: what is trained is the job's.
"""

from __future__ import annotations

import torch

from voxloom.errors import BadInput
from voxloom.ranks import ranks
from voxloom.training.callbacks import Reporter
from voxloom.training.job import Job
from voxloom.training.loop import Loop, Outcome, saved_state
from voxloom.training.module import TrainingModule
from voxloom.training.pace import Pace


def build_module(job: Job, pace: Pace, *, first: bool = True) -> TrainingModule:
    """Network, loss and feed of a training, seeded.

    Parameters
    ----------
    first : load the first weights that the recipe names; not needed where a checkpoint follows.
    """
    torch.manual_seed(job.seed)
    network = job.build_network()
    if first:
        job.set_first_weights(network)
    return TrainingModule(network, job.build_loss(), job.build_feed(), job.training, pace, dims=job.dims, seed=job.seed)


def fit(
    job: Job,
    *,
    device: str,
    budget: float | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Outcome:
    """Train one fold.

    Parameters
    ----------
    device : "cpu", "cuda" or "cuda:N".
    budget : seconds for the whole training, time before a resumption included; None trains the steps or epochs of ``job.training``.
    resume : continue from ``last.ckpt`` where there is one. A finished training is extended when ``budget`` leaves time.
    reporter : told of every step.

    Raises
    ------
    BadInput : there is no training case, or ``last.ckpt`` is damaged or carries a pickle payload.
    VoxloomError : too many gradients in a row were not finite.
    KeyboardInterrupt : on Ctrl-C or SIGTERM, after ``last.ckpt`` was written.
    """
    if not job.cases:
        raise BadInput("no case is left to train on", job.folder, "Check the folds and the excluded cases")
    state = saved_state(job.folder, resume)
    here, sampler, place = ranks(), job.build_sampler(), torch.device(device)
    if here.size > 1 and place.type == "cuda":
        place = torch.device("cuda", here.local_rank)
    per_pass = sampler.per_pass / here.size
    pace = Pace(job.training.steps_for(per_pass), list(job.pace), list(job.left_out))
    module = build_module(job, pace, first=state is None)
    loop = Loop(job, module, job.build_log(), sampler, per_pass, job.build_validator(place))
    return loop.run(state, place, budget, reporter)
