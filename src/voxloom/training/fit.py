"""One training from prepared cases to weights: builds the parts, hands them to Lightning, and resumes.

Knows the folder of one fold (``model.safetensors``, ``model.json``, ``last.ckpt``, ``log.csv``). Does not know recipes or data
sets.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.inference.precision import TOLERABLE, bf16_slowdown
from voxloom.losses import DeepSupervisionLoss, SegmentationLoss
from voxloom.networks import AnyNetworkSettings, build_network
from voxloom.prepare import PLAIN_SLICES, SliceSettings
from voxloom.training.callbacks import Advance, Budget, Clock, Report, Reporter, Save, Validate, Watch
from voxloom.training.checkpoint import CHECKPOINT, read_checkpoint, restore
from voxloom.training.data import PatchData
from voxloom.training.first_weights import set_first_weights
from voxloom.training.init import RANDOM, InitSettings
from voxloom.training.interruption import Interruption
from voxloom.training.log import VAL_LOSS, TrainingLog
from voxloom.training.module import SegmentationModule
from voxloom.training.pace import Pace
from voxloom.training.sampling import PatchSampler, PatchSource, window_size
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.training.validation import Validator
from voxloom.training.weights import load_weights, weights_hash


@dataclass(frozen=True)
class Training:
    """Everything that decides the weights of one fold.

    Parameters
    ----------
    folder : of the fold; made when absent.
    train, validation : prepared cases by id.
    labels, network, training, augment, inference, seed : settings.
    spacing : mm of the prepared grid, order i j k.
    description : written into ``model.json`` beside the weights.
    pace : corrections of the number of steps to replay, from an earlier run under a budget.
    slices : which slices a 2D network sees.
    init : where the first weights come from.
    """

    folder: Path
    train: Mapping[str, PatchSource]
    validation: Mapping[str, PatchSource]
    labels: Labels
    network: AnyNetworkSettings
    training: TrainingSettings
    augment: AugmentSettings
    inference: InferenceSettings
    spacing: tuple[float, float, float]
    seed: int
    description: dict[str, Any]
    pace: tuple[tuple[int, int], ...] = ()
    slices: SliceSettings = PLAIN_SLICES
    init: InitSettings = RANDOM


@dataclass(frozen=True)
class Outcome:
    """What a training ended with: steps, corrections of their number, best Dice, seconds, hash of the kept weights."""

    steps: int
    pace: tuple[tuple[int, int], ...]
    best_dice: float
    seconds: float
    weights_sha256: str


def build_loss(
    labels: Labels,
    network: AnyNetworkSettings,
    training: TrainingSettings,
    cases: Iterable[PatchSource] = (),
) -> torch.nn.Module:
    """The loss of a recipe on every head, each head half the weight of the finer one.

    Parameters
    ----------
    cases : of the training; read only where the loss weighs labels by their counts.
    """
    loss = SegmentationLoss(
        training.loss,
        count=labels.count if labels.has_regions else labels.count + 1,
        ignore_index=labels.ignore_index,
        membership=labels.membership() if labels.has_regions else None,
        batch_dice=training.batch_dice,
        weights=count_weights(labels, cases) if training.loss.weights == "counts" else None,
    )
    return DeepSupervisionLoss(loss, [0.5**n for n in range(max(1, network.deep_supervision))])


def count_weights(labels: Labels, cases: Iterable[PatchSource]) -> list[float]:
    """Voxels of the rarest label divided by each label's own, over the cases; 1 for the background and for absent labels."""
    voxels = np.zeros(labels.membership().shape[1], dtype=np.int64)
    for case in cases:
        label = case.label()
        assert label is not None
        voxels += np.bincount(np.asarray(label).ravel(), minlength=len(voxels) + 1)[: len(voxels)]
    counts = labels.membership() @ voxels
    rarest = counts[counts > 0].min(initial=np.iinfo(np.int64).max)
    weights = [float(rarest / n) if n else 1.0 for n in counts]
    return weights if labels.has_regions else [1.0, *weights]


def build_module(job: Training, pace: Pace, *, first: bool = True) -> SegmentationModule:
    """Network, loss and augmentation of a training, seeded.

    Parameters
    ----------
    first : load the first weights that the recipe names; not needed where a checkpoint follows.
    """
    torch.manual_seed(job.seed)
    network = build_network(job.network)
    if first:
        set_first_weights(network, job.init)
    return SegmentationModule(
        network,
        build_loss(job.labels, job.network, job.training, job.train.values()),
        Augmenter(job.augment, job.spacing),
        job.training,
        pace,
        dims=job.network.dims,
        seed=job.seed,
    )


def build_sampler(job: Training) -> PatchSampler:
    """The patches of a training, read large enough for the augmentation."""
    cases = list(job.train.values())
    size = window_size(
        job.training.patch, job.spacing, job.augment.angles, job.augment.largest_scale, [case.shape for case in cases]
    )
    t = job.training
    return PatchSampler(cases, size, t.patch, t.batch, t.foreground, job.seed, job.slices, job.augment)


def fit(
    job: Training,
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
    budget : seconds for the whole training, time before a resumption included; None trains ``job.training.steps`` steps.
    resume : continue from ``last.ckpt`` where there is one. A finished training is extended when ``budget`` leaves time.
    reporter : told of every step.

    Raises
    ------
    BadInput : there is no training case, or ``last.ckpt`` is damaged or carries a pickle payload.
    VoxloomError : the loss is not a number any more.
    KeyboardInterrupt : on Ctrl-C or SIGTERM, after ``last.ckpt`` was written.
    """
    if not job.train:
        raise BadInput("no case is left to train on", job.folder, "Check the folds and the excluded cases")
    job.folder.mkdir(parents=True, exist_ok=True)
    path = job.folder / CHECKPOINT
    state = read_checkpoint(path) if resume and path.is_file() else None
    pace = Pace(job.training.steps, list(job.pace))
    module = build_module(job, pace, first=state is None)
    log = TrainingLog(job.folder / "log.csv", job.labels.names, monitor=_monitored(job))
    clock = Clock(state["clock"]["seconds"] if state else 0.0)
    if state is not None:
        restore(state, module, log)
        if pace.done and budget is not None:
            extend(pace, budget - clock.before, float(state["clock"]["per_step"]), job.folder)
    if not pace.done:
        _run(job, module, log, clock, torch.device(device), budget, reporter)
    weights, _ = load_weights(job.folder)
    return Outcome(pace.step, tuple(pace.changes), log.best(), clock.seconds, weights_hash(weights))


def extend(pace: Pace, seconds: float, per_step: float, folder: Path) -> None:
    """Add the steps that fit into ``seconds`` to a training that has ended."""
    steps = int(seconds / max(per_step, 1e-6))
    if steps < 1:
        raise BadInput(
            "the run has already used this budget",
            folder,
            "Give a longer one: --budget counts all time since the first start",
        )
    pace.extend(steps)


def _run(
    job: Training,
    module: SegmentationModule,
    log: TrainingLog,
    clock: Clock,
    device: torch.device,
    budget: float | None,
    reporter: Reporter | None,
) -> None:
    """Hand the parts to Lightning and translate how it ended."""
    _refuse_slow_arithmetic(job, device)
    sampler = build_sampler(job)
    data = PatchData(sampler, job.training.workers)
    validate = Validate(
        _validator(job, device),
        log,
        clock,
        job.folder,
        job.description,
        count=job.training.validations,
        patience=job.training.patience,
        cases_per_epoch=sampler.per_pass,
    )
    interruption = Interruption()
    callbacks: list[Callback] = [Advance(), clock, Watch(), validate, interruption]
    if budget is not None:
        callbacks.append(Budget(clock, budget, validate))
    if reporter is not None:
        callbacks.append(Report(reporter, clock, validate))
    callbacks.append(Save(job.folder / CHECKPOINT, log, clock))
    data.first = module.pace.step
    with quiet_lightning():
        make_trainer(job.folder, job.training, device, callbacks).fit(module, datamodule=data)
    if interruption.requested:
        raise KeyboardInterrupt


def _refuse_slow_arithmetic(job: Training, device: torch.device) -> None:
    """A training in bfloat16 on a machine without it would look endless."""
    slowdown = bf16_slowdown(device.type) if job.training.precision == "bf16" else 1.0
    if slowdown > TOLERABLE:
        raise BadInput(
            f"this machine computes bfloat16 {slowdown:.0f} times slower than float32",
            job.folder,
            "Train with --set training.precision=fp32, or on a machine with bfloat16",
        )


def _validator(job: Training, device: torch.device) -> Validator | None:
    if not job.validation:
        return None
    return Validator(
        cases=list(job.validation.values()),
        labels=job.labels,
        patch=job.training.patch,
        overlap=job.inference.overlap,
        precision=job.training.precision,
        device=device,
        channels_last=job.training.channels_last,
        stack=job.slices.stack,
        loss=build_loss(job.labels, job.network, job.training, job.train.values()).to(device)
        if job.training.monitor == VAL_LOSS
        else None,
    )


def _monitored(job: Training) -> str:
    """The column that decides; BadInput where the log has no such column."""
    name = job.training.monitor
    known = ["train_loss", VAL_LOSS, "val_dice", *(f"val_dice_{label}" for label in job.labels.names)]
    if name not in known:
        raise BadInput(f"`training.monitor: {name}` is not in the log", job.folder, f"Known: {', '.join(known)}")
    if not job.validation and name != "train_loss":
        return "train_loss"  # nothing is validated; the last weights are kept
    return name


def make_trainer(folder: Path, training: TrainingSettings, device: torch.device, callbacks: list[Callback]) -> Trainer:
    """A Lightning trainer that only loops: steps are counted by the pace, files written by the callbacks."""
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision="bf16-mixed" if training.precision == "bf16" else "32-true",
        max_steps=-1,
        max_epochs=1,
        gradient_clip_val=training.gradient_clip,
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        callbacks=callbacks,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=10**9,
    )


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
        yield
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)
