"""One landmark training from prepared cases to weights; the counterpart of ``voxloom.training.fit``.

Knows the folder of one fold. Does not know recipes or data sets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.errors import BadInput
from voxloom.landmarks import LandmarkSettings, Layout
from voxloom.losses.landmarks import BalancedCrossEntropy, FuzzyDiceLoss, HeatMapLoss, count_weights
from voxloom.networks import NetworkSettings, build_network
from voxloom.networks.initial import expect_rarely
from voxloom.networks.slabnet import SLAB, SlabNet, SlabSettings, multi_net, single_net
from voxloom.points import centers
from voxloom.training.callbacks import Reporter
from voxloom.training.data import batch_at
from voxloom.training.landmarks.module import LandmarkModule
from voxloom.training.landmarks.reading import mark_voxels, output_of, predict_maps, read_points
from voxloom.training.landmarks.sampling import LandmarkCase, LandmarkSampler
from voxloom.training.log import TrainingLog
from voxloom.training.loop import Loop, Outcome, saved_state
from voxloom.training.pace import Pace
from voxloom.training.sampling import window_for
from voxloom.training.settings import InferenceSettings, TrainingSettings


@dataclass(frozen=True)
class LandmarkTraining:
    """Everything that decides the weights of one fold.

    Parameters
    ----------
    folder : of the fold; made when absent.
    train, validation : cases by id.
    layout, landmarks, training, augment, inference, seed : settings.
    network : of a U-Net; None for SingleNet and MultiNet.
    channels : of the image.
    spacing : mm of the prepared grid, order i j k (the median where cases keep their own).
    description : written into ``model.json`` beside the weights.
    repeats : how often cases are drawn in a pass, by id; others once.
    pace : corrections of the number of steps to replay, from an earlier run under a budget.
    """

    folder: Path
    train: Mapping[str, LandmarkCase]
    validation: Mapping[str, LandmarkCase]
    layout: Layout
    landmarks: LandmarkSettings
    network: NetworkSettings | None
    channels: int
    training: TrainingSettings
    augment: AugmentSettings
    inference: InferenceSettings
    spacing: tuple[float, float, float]
    seed: int
    description: dict[str, Any]
    repeats: Mapping[str, int] = field(default_factory=dict)
    pace: tuple[tuple[int, int], ...] = ()


def slab_settings(landmarks: LandmarkSettings, channels: int, outputs: int) -> SlabSettings:
    """SingleNet or MultiNet with the recipe's changes."""
    if landmarks.network == "singlenet":
        return single_net(channels, outputs=outputs, **landmarks.of_slab_net)
    return multi_net(channels, outputs, **landmarks.of_slab_net)


def build_landmark_network(
    landmarks: LandmarkSettings, network: NetworkSettings | None, channels: int, outputs: int
) -> nn.Module:
    """The network of a landmark training, drawn from torch's global generator."""
    if landmarks.is_slab:
        return SlabNet(slab_settings(landmarks, channels, outputs))
    assert network is not None, "a U-Net needs settings"
    return build_network(network)


def voxels_of_mark(job: LandmarkTraining) -> float:
    """How many voxels of the training's grid a mark covers."""
    return max(1.0, mark_voxels(np.diag([*job.spacing, 1.0]), job.landmarks))


def build_landmark_loss(job: LandmarkTraining) -> nn.Module:
    """The loss of the recipe; markers are counted over the training cases."""
    s = job.landmarks
    if s.loss == "heatmap":
        return HeatMapLoss(voxels_of_mark(job))
    if s.loss != "fuzzy_dice":
        return BalancedCrossEntropy("sigmoid" if s.loss == "sigmoid_ce" else "softmax")
    counts = job.layout.counts(case.points for case in job.train.values())
    if min(counts) == 0:
        missing = [str(key) for key in job.layout.keys if counts[job.layout.map_of(key)] == 0]
        raise BadInput(f"no training case has {', '.join(missing)}", job.folder, "Leave it out of landmarks.names")
    weights = {"counts": count_weights(counts), "equal": [1.0] * len(counts), "whole": None}[s.weighting]
    return FuzzyDiceLoss(weights, output_of(s))


def build_landmark_module(job: LandmarkTraining, pace: Pace) -> LandmarkModule:
    """Network, loss and augmentation of a training, seeded."""
    torch.manual_seed(job.seed)
    network = build_landmark_network(job.landmarks, job.network, job.channels, job.layout.count)
    if job.landmarks.loss == "heatmap":
        expect_rarely(network, min(0.5, voxels_of_mark(job) / math.prod(job.training.patch)))
    return LandmarkModule(
        network,
        build_landmark_loss(job),
        Augmenter(job.augment, job.spacing, job.channels),
        job.training,
        pace,
        seed=job.seed,
        slab=job.landmarks.is_slab,
        binary=job.landmarks.target != "gaussian",
    )


def build_landmark_sampler(job: LandmarkTraining) -> LandmarkSampler:
    """The windows of a training, read large enough for the augmentation."""
    t, slab = job.training, job.landmarks.is_slab
    i, j, k = window_for(t.patch, list(job.train.values()), job.augment)
    return LandmarkSampler(
        cases=list(job.train.values()),
        layout=job.layout,
        kind=job.landmarks.target,
        radius=job.landmarks.radius,
        size=(i, j, SLAB if slab else k),
        patch=t.patch,
        batch=t.batch,
        foreground=t.foreground,
        seed=job.seed,
        slab=slab,
        repeats=tuple(job.repeats.get(name, 1) for name in job.train),
    )


@dataclass(frozen=True)
class LandmarkValidator:
    """Predicts validation cases and counts the points within reach."""

    job: LandmarkTraining
    device: torch.device

    def scores(self, network: nn.Module) -> tuple[list[float], float]:
        """Recall per level: the share of true landmarks with a predicted point within ``landmarks.within`` mm (3D); no loss."""
        was_training = network.training
        network.eval()
        hits: dict[str, list[float]] = {name: [] for name in self.job.layout.names}
        for case in self.job.validation.values():
            found = centers(self._points(network, case))
            for key, true in centers(self.job.layout.known(case.points)).items():
                place = found.get(key)
                far = np.inf if place is None else np.linalg.norm(np.subtract(place.position, true.position))
                hits[key.name].append(float(far <= self.job.landmarks.within))
        network.train(was_training)
        return [float(np.mean(values)) if values else 1.0 for values in hits.values()], math.nan

    def _points(self, network: nn.Module, case: LandmarkCase) -> tuple[Any, ...]:
        maps = predict_maps(
            [network],
            case.source.image(),
            self.job.landmarks,
            patch=self.job.training.patch,
            overlap=self.job.inference.overlap,
            batch=self.job.inference.batch,
            device=self.device,
            precision=self.job.training.precision,
        )
        return read_points(maps, case.affine, self.job.layout, self.job.landmarks)


def fit_landmarks(
    job: LandmarkTraining,
    *,
    device: str,
    budget: float | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> Outcome:
    """Train one fold; parameters, result and errors as in :func:`voxloom.training.fit.fit`."""
    if not job.train:
        raise BadInput("no case is left to train on", job.folder, "Check the folds and the excluded cases")
    state = saved_state(job.folder, resume)
    sampler, place = build_landmark_sampler(job), torch.device(device)
    pace = Pace(job.training.steps_for(sum(sampler.repeats)), list(job.pace))
    if state is None and budget is not None:
        pace.changes.append((0, planned_steps(job, device, budget)))
    loop = Loop(
        job,
        build_landmark_module(job, pace),
        TrainingLog(
            job.folder / "log.csv",
            job.layout.names,
            score="recall",
            monitor="val_recall",
            least_gain=job.training.least_gain,
        ),
        sampler,
        sum(sampler.repeats),
        LandmarkValidator(job, place) if job.validation else None,
    )
    return loop.run(state, place, budget, reporter)


def planned_steps(job: LandmarkTraining, device: str, budget: float) -> int:
    """As many steps as fit into a budget by the time of the second of two steps; the pace corrects it while training."""
    module, sampler = build_landmark_module(job, Pace(2)).to(device), build_landmark_sampler(job)
    optimizer = module.configure_optimizers()
    seconds = 0.0
    for step in range(2):
        start = time.perf_counter()
        number, *tensors = batch_at(sampler, step)
        optimizer.zero_grad()
        module.training_step((number, *(tensor.to(device) for tensor in tensors)), step).backward()
        optimizer.step()
        seconds = time.perf_counter() - start
    return max(1, int(0.9 * budget / seconds))
