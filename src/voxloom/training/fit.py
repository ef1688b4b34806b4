"""One training from prepared cases to weights: builds the parts, hands them to Lightning, and resumes.

Knows the folder of one fold (``model.safetensors``, ``model.json``, ``last.ckpt``, ``log.csv``). Does not know recipes or data
sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.losses import DeepSupervisionLoss, SegmentationLoss
from voxloom.networks import AnyNetworkSettings, build_network
from voxloom.prepare import PLAIN_SLICES, SliceSettings
from voxloom.training.callbacks import Reporter
from voxloom.training.first_weights import set_first_weights
from voxloom.training.init import RANDOM, InitSettings
from voxloom.training.log import VAL_LOSS, TrainingLog
from voxloom.training.loop import Loop, Outcome, saved_state
from voxloom.training.module import SegmentationModule
from voxloom.training.pace import Pace
from voxloom.training.sampling import PatchSampler, PatchSource, window_for
from voxloom.training.settings import InferenceSettings, TrainingSettings
from voxloom.training.validation import Validator


@dataclass(frozen=True)
class Training:
    """Everything that decides the weights of one fold.

    Parameters
    ----------
    folder : of the fold; made when absent.
    train, validation : prepared cases by id.
    labels, network, training, augment, inference, seed : settings.
    spacing : mm of the prepared grid, order i j k; typical where every case has its own.
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
        Augmenter(job.augment, job.spacing, channels_of(job)),
        job.training,
        pace,
        dims=job.network.dims,
        seed=job.seed,
    )


def channels_of(job: Training) -> int:
    """Channels of the images; neighboring slices, which 2D networks see as further channels, are not counted."""
    return job.network.in_channels // (2 * job.slices.neighbors + 1)


def build_sampler(job: Training) -> PatchSampler:
    """The patches of a training, read large enough for the augmentation."""
    cases = list(job.train.values())
    size = window_for(job.training.patch, cases, job.augment)
    if job.slices.spread:  # random slices have no neighbors to read beyond the patch
        size = (size[0], size[1], job.training.patch[2])
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
    budget : seconds for the whole training, time before a resumption included; None trains the steps or epochs of ``job.training``.
    resume : continue from ``last.ckpt`` where there is one. A finished training is extended when ``budget`` leaves time.
    reporter : told of every step.

    Raises
    ------
    BadInput : there is no training case, or ``last.ckpt`` is damaged or carries a pickle payload.
    VoxloomError : too many gradients in a row were not finite.
    KeyboardInterrupt : on Ctrl-C or SIGTERM, after ``last.ckpt`` was written.
    """
    if not job.train:
        raise BadInput("no case is left to train on", job.folder, "Check the folds and the excluded cases")
    state = saved_state(job.folder, resume)
    sampler, place = build_sampler(job), torch.device(device)
    pace = Pace(job.training.steps_for(sampler.per_pass), list(job.pace))
    loop = Loop(
        job,
        build_module(job, pace, first=state is None),
        TrainingLog(
            job.folder / "log.csv", job.labels.names, monitor=_monitored(job), least_gain=job.training.least_gain
        ),
        sampler,
        sampler.per_pass,
        _validator(job, place),
    )
    return loop.run(state, place, budget, reporter)


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
