"""One landmark training from prepared cases: its network, loss, windows and validation.

Knows the settings of a fold; the loop is ``voxloom.training.fit``. Does not know recipes or data sets.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.errors import BadInput
from voxloom.landmarks import LandmarkSettings, Layout, paint_target
from voxloom.losses.landmarks import (
    BalancedCrossEntropy,
    FuzzyDiceLoss,
    HeatMapLoss,
    count_weights,
    fuzzy_dice,
    logits_of,
)
from voxloom.networks import NetworkSettings, SegmentationNetwork, build_network
from voxloom.networks.initial import expect_rarely
from voxloom.networks.slabnet import SLAB, SlabNet, SlabSettings, multi_net, single_net
from voxloom.points import centers
from voxloom.runfiles import LOG
from voxloom.tasks.landmarks.feed import LandmarkFeed
from voxloom.tasks.landmarks.reading import mark_voxels, output_of, predict_maps, read_points, windowing_of
from voxloom.tasks.landmarks.sampling import LandmarkCase, LandmarkSampler
from voxloom.training.first_weights import set_first_weights
from voxloom.training.init import RANDOM, InitSettings
from voxloom.training.job import Measured
from voxloom.training.log import VAL_LOSS, TrainingLog
from voxloom.training.sampling import window_for
from voxloom.training.settings import InferenceSettings, TrainingSettings


@dataclass(frozen=True)
class LandmarkTraining:
    """Everything that decides the weights of one fold; a :class:`voxloom.training.job.Job`.

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
    pace, left_out : corrections of the number of steps to replay, and validations to leave out, from an earlier run under a
        budget.
    init : where the first weights of a U-Net come from.
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
    left_out: tuple[int, ...] = ()
    init: InitSettings = RANDOM

    @property
    def dims(self) -> int:
        """Spatial axes of the network: slabs of three slices are volumes too."""
        return 3

    @property
    def multiple(self) -> None:
        """The patch is what the task reads at once: only the batch can be smaller."""

    @property
    def cases(self) -> int:
        """Number of training cases."""
        return len(self.train)

    @property
    def voxels_of_mark(self) -> float:
        """How many voxels of the training's grid a mark covers."""
        return max(1.0, mark_voxels(np.diag([*self.spacing, 1.0]), self.landmarks))

    def build_network(self) -> nn.Module:
        """The network, drawn from torch's global generator; one that answers with heat maps expects few marks."""
        network = build_landmark_network(self.landmarks, self.network, self.channels, self.layout.count)
        if self.landmarks.loss == "heatmap":
            expect_rarely(network, min(0.5, self.voxels_of_mark / math.prod(self.training.patch)))
        return network

    def set_first_weights(self, network: nn.Module) -> None:
        """Load the first weights that the recipe names: of U-Nets, since three-slice networks have no encoder to fill."""
        if self.init == RANDOM:
            return
        if not isinstance(network, SegmentationNetwork):
            what = f"`init:` fills encoders, and {self.landmarks.network} has none"
            raise BadInput(what, self.folder, "Leave `init:` out, or set landmarks.network=unet")
        set_first_weights(network, self.init)

    def build_loss(self) -> nn.Module:
        """The loss of the recipe; markers are counted over the training cases."""
        s = self.landmarks
        if s.loss == "heatmap":
            return HeatMapLoss(self.voxels_of_mark)
        if s.loss != "fuzzy_dice":
            return BalancedCrossEntropy("sigmoid" if s.loss == "sigmoid_ce" else "softmax")
        counts = self.layout.counts(case.points for case in self.train.values())
        if min(counts) == 0:
            missing = [str(key) for key in self.layout.keys if counts[self.layout.map_of(key)] == 0]
            what = f"no training case has {', '.join(missing)}"
            raise BadInput(what, self.folder, "Leave it out of landmarks.names")
        weights = {"counts": count_weights(counts), "equal": [1.0] * len(counts), "whole": None}[s.weighting]
        return FuzzyDiceLoss(weights, output_of(s))

    def build_feed(self) -> LandmarkFeed:
        """Windows changed at random."""
        augmenter = Augmenter(self.augment, self.spacing, self.channels)
        binary = self.landmarks.target != "gaussian"
        return LandmarkFeed(augmenter, self.training, self.landmarks.is_slab, binary, self.seed)

    def build_sampler(self) -> LandmarkSampler:
        """The windows of a training, read large enough for the augmentation."""
        t, slab = self.training, self.landmarks.is_slab
        i, j, k = window_for(t.patch, list(self.train.values()), self.augment)
        return LandmarkSampler(
            cases=list(self.train.values()),
            layout=self.layout,
            kind=self.landmarks.target,
            radius=self.landmarks.radius,
            size=(i, j, SLAB if slab else k),
            patch=t.patch,
            batch=t.batch,
            foreground=t.foreground,
            seed=self.seed,
            slab=slab,
            repeats=tuple(self.repeats.get(name, 1) for name in self.train),
        )

    def build_log(self) -> TrainingLog:
        """Rows of recall per level."""
        names, wanted = self.layout.names, self.training.monitor
        monitor = "val_recall" if wanted == "val_dice" else wanted  # recipes of old runs name the default of label maps
        known = ["train_loss", VAL_LOSS, "val_recall", *(f"val_recall_{name}" for name in names), *self.map_columns]
        if monitor not in known:
            what = f"`training.monitor: {monitor}` is not in the log"
            raise BadInput(what, self.folder, f"Known: {', '.join(known)}")
        path, gain = self.folder / LOG, self.training.least_gain
        return TrainingLog(path, names, score="recall", monitor=monitor, least_gain=gain, further=self.map_columns)

    @property
    def map_columns(self) -> list[str]:
        """Columns of the log for the fuzzy Dice of the maps: their mean, and each where there is one per level."""
        each = [f"val_map_dice_{name}" for name in self.layout.names] if self.layout.maps == "level" else []
        return ["val_map_dice", *each]

    def build_validator(self, device: torch.device) -> LandmarkValidator | None:
        """Recall on whole validation cases."""
        return LandmarkValidator(self, device) if self.validation else None


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


@dataclass(frozen=True)
class LandmarkValidator:
    """Predicts validation cases and counts the points within reach."""

    job: LandmarkTraining
    device: torch.device

    def scores(self, network: nn.Module) -> Measured:
        """Recall per level, and loss and fuzzy Dice of the maps (Lamerigts 2017, figures 7.4, B.1 to B.3 and C.1 to C.4).

        Recall is the share of true landmarks with a predicted point within ``landmarks.within`` mm (3D).
        """
        was_training = network.training
        network.eval()
        hits: dict[str, list[float]] = {name: [] for name in self.job.layout.names}
        losses, dice, loss = [], [], self.job.build_loss()
        for case in self.job.validation.values():
            maps = self._maps(network, case)
            found = centers(read_points(maps, case.affine, self.job.layout, self.job.landmarks))
            of_case, of_maps = self._measured(maps, case, loss)
            losses.append(of_case)
            dice.append(of_maps)
            for key, true in centers(self.job.layout.known(case.points)).items():
                place = found.get(key)
                far = np.inf if place is None else np.linalg.norm(np.subtract(place.position, true.position))
                hits[key.name].append(float(far <= self.job.landmarks.within))
        network.train(was_training)
        recall = [float(np.mean(values)) if values else 1.0 for values in hits.values()]
        each = [mean_of(column) for column in zip(*dice, strict=True)]
        further = dict(zip(self.job.map_columns, [mean_of(each), *each], strict=False))
        return Measured(recall, mean_of(losses), further)

    def _measured(self, maps: NDArray[np.float32], case: LandmarkCase, loss: nn.Module) -> tuple[float, list[float]]:
        """The loss of a whole case, and the fuzzy Dice of each of its maps."""
        job = self.job
        target = paint_target(
            job.layout.by_map(case.points),
            case.shape,
            case.affine,
            kind=job.landmarks.target,
            radius=job.landmarks.radius,
            slice_axis=2 if job.landmarks.is_slab else None,
        )
        found, true = torch.from_numpy(maps), torch.from_numpy(target)
        of_case = loss(logits_of(found[None], output_of(job.landmarks)), true[None])
        return float(of_case), fuzzy_dice(found, true).tolist()

    def _maps(self, network: nn.Module, case: LandmarkCase) -> NDArray[np.float32]:
        t = self.job.training
        windowing = windowing_of(self.job.landmarks, t.patch, self.job.inference, t.precision, self.device)
        return predict_maps([network], case.source.image(), self.job.landmarks, windowing)


def mean_of(values: Sequence[float]) -> float:
    """The mean of what is a number; not a number where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
