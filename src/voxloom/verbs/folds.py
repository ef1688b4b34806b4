"""The folds of a run: trained one after the other here, or all at once by the machines of a crew.

Knows the folders of the folds. A fold whose machine dies goes on elsewhere from its last saved state.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from voxloom.crew import Crew, crew
from voxloom.errors import VoxloomError
from voxloom.inference.needs import device_needs
from voxloom.progress import Progress
from voxloom.ranks import ranks, wait
from voxloom.run.listener import Listener
from voxloom.tasks.study import Study, training_of
from voxloom.training.callbacks import Reporter
from voxloom.training.fit import fit
from voxloom.training.job import Job
from voxloom.training.loop import Outcome
from voxloom.training.skipping import skipped_sentence
from voxloom.verbs.smaller import with_less_memory


def train_all(study: Study, listener: Listener, resume: bool) -> tuple[Study, list[Outcome]]:
    """Train every fold.

    Parameters
    ----------
    resume : go on from the checkpoints that there are.

    Returns
    -------
    The study, with a smaller plan where the card's memory was too small (``with_less_memory``), and what became of each fold.

    Raises
    ------
    BadInput, VoxloomError, KeyboardInterrupt : as of ``fit``; of a crew, a fold that failed is named.
    """
    elsewhere = crew()
    if elsewhere is not None:
        return study, _train_elsewhere(study, elsewhere, listener)
    outcomes = []
    for number in range(len(study.folds)):
        listener.stage(_start(study, number))
        study, outcome = _train_here(study, number, listener, resume)
        outcomes.append(outcome)
        _tell(outcome, number, listener)
    return study, outcomes


def _train_here(study: Study, number: int, listener: Listener, resume: bool) -> tuple[Study, Outcome]:
    """Prepare and train one fold; where the card's memory is too small, with a smaller plan, that later folds share.

    Several processes do not change the plan: the others would not know of it.
    """
    while True:
        with listener.progress("Preparing") as progress:
            job = training_of(study, number, progress)
        wait()  # those that train beside this process find the cases prepared
        lack: tuple[type[BaseException], ...] = (torch.OutOfMemoryError,) if ranks().size == 1 else ()
        with listener.reporter(number) as reporter, contextlib.suppress(*lack):
            return study, fit_fold(study, job, resume, reporter)
        study = with_less_memory(study, job, listener)
        resume = True  # a fold that had begun goes on from its checkpoint


def fit_fold(study: Study, job: Job, resume: bool, reporter: Reporter | None = None) -> Outcome:
    """Train one fold within its share of the budget; all processes that train together call it."""
    seconds = study.settings.recipe.budget_seconds
    budget = None if seconds is None else seconds / len(study.folds)
    return fit(job, device=study.device, budget=budget, resume=resume, reporter=reporter)


def train_fold(study: Study, number: int) -> Outcome:
    """In a machine of a crew: train one fold, from its last saved state where there is one."""
    return fit_fold(study, training_of(study, number), resume=True)


def _train_elsewhere(study: Study, machines: Crew, listener: Listener) -> list[Outcome]:
    """All folds at once; what one has saved is taken up, whichever machine saved it."""
    for number in range(len(study.folds)):
        listener.stage(_start(study, number))
        with listener.progress("Preparing") as progress:
            training_of(study, number, progress)
    outcomes: list[Outcome] = []
    items = [(f"fold {number}", number) for number in range(len(study.folds))]
    with listener.progress("Training the folds") as progress:
        watch = _Watch(study, progress)
        each = machines.run(
            partial(train_fold, study), items, step="training", needs=device_needs(study.device), watch=watch.look
        )
        for number, (_, outcome) in enumerate(each):
            if isinstance(outcome, VoxloomError):
                raise outcome
            outcomes.append(outcome)
            _tell(outcome, number, listener)
    return outcomes


@dataclass
class _Watch:
    """Moves one bar by what the logs of all folds hold."""

    study: Study
    progress: Progress | None

    def look(self) -> None:
        """Count the validations of all folds, of those that are to come."""
        if self.progress is not None:
            most, folds = self.study.settings.training.validations, len(self.study.folds)
            logs = [self.study.place(number).log for number in range(folds)]
            self.progress(sum(min(most, _rows(log)) for log in logs), most * folds)


def _rows(log: Path) -> int:
    return max(0, len(log.read_text().splitlines()) - 1) if log.is_file() else 0


def _start(study: Study, number: int) -> str:
    fold = study.folds[number]
    return f"Fold {number}: {len(fold.train)} cases to train on, {len(fold.val)} held out"


def _tell(outcome: Outcome, number: int, listener: Listener) -> None:
    for note in outcome.notes:
        listener.stage(f"Note: fold {number}: {note}")
    if outcome.skipped:
        listener.stage(f"Fold {number}: {skipped_sentence(outcome.skipped, outcome.steps)}")
