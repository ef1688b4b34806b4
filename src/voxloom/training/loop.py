"""What every training shares: its steps through Lightning, saving, resuming, extending, and how it ended.

Knows callbacks, checkpoint and the folder of one fold. Does not know what is trained: that is the job's.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from lightning import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy

from voxloom.errors import BadInput, VoxloomError
from voxloom.inference.precision import TOLERABLE, bf16_slowdown
from voxloom.ranks import LOST, ranks, wait
from voxloom.runfiles import CHECKPOINT
from voxloom.training.arithmetic import switched
from voxloom.training.callbacks import Advance, Budget, Clock, Report, Reporter, Save, Validate
from voxloom.training.checkpoint import read_checkpoint, restore
from voxloom.training.data import PatchData
from voxloom.training.interruption import Interruption
from voxloom.training.job import Job, Scorer, StepReader
from voxloom.training.log import TrainingLog
from voxloom.training.module import TrainingModule
from voxloom.training.own_callbacks import own_callbacks
from voxloom.training.settings import TrainingSettings
from voxloom.training.skipping import SKIPPED
from voxloom.training.trackers import loggers
from voxloom.training.weights import load_weights, weights_hash

#: Lightning's names of devices, and of arithmetic.
ACCELERATORS = {"cuda": "gpu"}
MIXED: dict[str, Literal["bf16-mixed", "16-mixed"]] = {"bf16": "bf16-mixed", "fp16": "16-mixed"}


@dataclass(frozen=True)
class Outcome:
    """What a training ended with: steps, corrections of their number, best Dice, seconds, hash of the kept weights.

    ``left_out`` holds the numbers of the validations that the budget had no time for.
    ``skipped`` counts the steps whose gradient was not finite, by "layer, precision".
    ``notes`` are lines for people: what the training had to do otherwise than asked.
    """

    steps: int
    pace: tuple[tuple[int, int], ...]
    best_dice: float
    seconds: float
    weights_sha256: str
    skipped: dict[str, int] = field(default_factory=dict)
    left_out: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()


def saved_state(folder: Path, resume: bool) -> dict[str, Any] | None:
    """The checkpoint to continue from, None for a new start; makes the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CHECKPOINT
    return read_checkpoint(path) if resume and path.is_file() else None


@dataclass(frozen=True)
class Loop:
    """One training, ready to run.

    Parameters
    ----------
    job : its folder, settings and description.
    module, log : network with its pace, and the rows that are written.
    sampler, per_pass : what reads the patches, and how many of this process make one pass over the cases.
    validator : None without a validation case.
    """

    job: Job
    module: TrainingModule
    log: TrainingLog
    sampler: StepReader
    per_pass: float
    validator: Scorer | None

    def run(
        self, state: dict[str, Any] | None, device: torch.device, budget: float | None, reporter: Reporter | None
    ) -> Outcome:
        """Continue from ``state``, or start; a finished training is extended when ``budget`` leaves time."""
        pace, clock = self.module.pace, Clock(state["clock"]["seconds"] if state else 0.0)
        self.module.skips.path = self.job.folder / SKIPPED
        if state is not None:
            restore(state, self.module, self.log)
            if pace.done and budget is not None:
                left = budget - clock.before
                pace.extend(steps_to_add(left, float(state["clock"]["per_step"]), self.job.folder))
        self.module.skips.write()
        if not pace.done:
            self._steps(clock, device, budget, reporter)
        weights, _ = load_weights(self.job.folder)
        return Outcome(
            steps=pace.step,
            pace=tuple(pace.changes),
            best_dice=self.log.best(),
            seconds=clock.seconds,
            weights_sha256=weights_hash(weights),
            skipped=self.module.skips.counts(),
            left_out=tuple(pace.left_out),
            notes=() if (why := self.module.called.fallback) is None else (why,),
        )

    def _steps(self, clock: Clock, device: torch.device, budget: float | None, reporter: Reporter | None) -> None:
        """Hand the parts to Lightning and translate how it ended."""
        job = self.job
        refuse_slow_arithmetic(job, device)
        data = PatchData(self.sampler, job.training.workers, pinned=device.type == "cuda")
        data.first = self.module.pace.step
        validate = Validate(
            self.validator,
            self.log,
            clock,
            job.folder,
            job.description,
            settings=job.training,
            cases_per_epoch=self.per_pass,
            budget=budget,
        )
        interruption = Interruption()
        own = own_callbacks(job.training.callbacks)
        callbacks: list[Callback] = [*own, Advance(), clock, validate, interruption]
        if budget is not None:
            callbacks.append(Budget(validate, budget))
        if reporter is not None:
            callbacks.append(Report(reporter, clock, validate))
        callbacks.append(Save(job.folder / CHECKPOINT, self.log, clock))
        with quiet_lightning(), switched(job.training), others_named():
            make_trainer(job.folder, job.training, device, callbacks).fit(self.module, datamodule=data)
            wait()  # for the weights that the first process has written
        if interruption.requested:
            raise KeyboardInterrupt


def steps_to_add(seconds: float, per_step: float, folder: Path) -> int:
    """Steps that fit into ``seconds`` of a training that has ended; BadInput when none does."""
    steps = int(seconds / max(per_step, 1e-6))
    if steps < 1:
        raise BadInput(
            "the run has already used this budget",
            folder,
            "Give a longer one: --budget counts all time since the first start",
        )
    return steps


def refuse_slow_arithmetic(job: Job, device: torch.device) -> None:
    """A training in bfloat16 on a machine without it would look endless; one in float16 is for cards."""
    if job.training.precision == "fp16" and device.type == "cpu":
        what = "training.precision fp16 is for graphics cards"
        raise BadInput(what, job.folder, "Train with --set training.precision=fp32")
    slowdown = bf16_slowdown(device.type) if job.training.precision == "bf16" else 1.0
    if slowdown > TOLERABLE:
        raise BadInput(
            f"this machine computes bfloat16 {slowdown:.0f} times slower than float32",
            job.folder,
            "Train with --set training.precision=fp32, or on a machine with bfloat16",
        )


def make_trainer(folder: Path, training: TrainingSettings, device: torch.device, callbacks: list[Callback]) -> Trainer:
    """A Lightning trainer that only loops: steps are counted by the pace, files written by the callbacks."""
    here = ranks()
    alone = [device.index or 0] if device.type == "cuda" else 1
    return Trainer(
        accelerator=ACCELERATORS.get(device.type, device.type),
        devices=alone if here.size == 1 else here.local_size,
        num_nodes=here.nodes,
        strategy="auto" if here.size == 1 else DDPStrategy(find_unused_parameters=bool(training.phases)),
        use_distributed_sampler=False,
        precision=MIXED.get(training.precision, "32-true"),
        max_steps=-1,
        max_epochs=1,
        gradient_clip_val=training.gradient_clip or None,
        logger=loggers(folder, training.trackers, training.model_dump(mode="json")),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10**9,
    )


@contextlib.contextmanager
def others_named() -> Iterator[None]:
    """A process whose others are gone says so; alone nothing changes."""
    try:
        yield
    except RuntimeError as error:
        if ranks().size > 1 and "peer" in str(error).lower():
            raise VoxloomError(LOST) from error
        raise


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's tips and notices off the user's screen; its errors still come through."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    levels = [logging.getLogger(name).level for name in names]
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*IterableDataset.*__len__.*")
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        yield
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)
