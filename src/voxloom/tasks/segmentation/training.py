"""One segmentation training from prepared cases: its network, loss, patches and validation.

Knows the settings of a fold; the loop is ``voxloom.training.fit``. Does not know recipes or data sets.
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
from voxloom.inference import Windowing, autocast_dtype
from voxloom.losses import DeepSupervisionLoss, OwnLoss, SegmentationLoss
from voxloom.networks import AnyNetworkSettings, SegmentationNetwork, build_network
from voxloom.prepare import PLAIN_SLICES, SliceSettings
from voxloom.runfiles import LOG
from voxloom.tasks.segmentation.feed import PatchFeed
from voxloom.tasks.segmentation.validation import DISTANCES, LARGEST_LOSS, Validator
from voxloom.training.first_weights import set_first_weights
from voxloom.training.init import RANDOM, InitSettings
from voxloom.training.log import VAL_LOSS, TrainingLog
from voxloom.training.sampling import PatchSampler, PatchSource, window_for
from voxloom.training.settings import InferenceSettings, TrainingSettings


@dataclass(frozen=True)
class SegmentationTraining:
    """Everything that decides the weights of one fold; a :class:`voxloom.training.job.Job`.

    Parameters
    ----------
    folder : of the fold; made when absent.
    train, validation : prepared cases by id.
    labels, network, training, augment, inference, seed : settings.
    spacing : mm of the prepared grid, order i j k.
    description : written into ``model.json`` beside the weights.
    pace, left_out : corrections of the number of steps to replay, and validations to leave out, from an earlier run under a
        budget.
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
    left_out: tuple[int, ...] = ()
    slices: SliceSettings = PLAIN_SLICES
    init: InitSettings = RANDOM

    @property
    def dims(self) -> int:
        """Spatial axes of the network."""
        return self.network.dims

    @property
    def multiple(self) -> tuple[int, ...]:
        """Of the network."""
        return tuple(self.network.multiple)

    @property
    def cases(self) -> int:
        """Number of training cases."""
        return len(self.train)

    @property
    def channels(self) -> int:
        """Channels of the images; neighboring slices, which 2D networks see as further channels, are not counted."""
        return self.network.in_channels // (2 * self.slices.neighbors + 1)

    def build_network(self) -> SegmentationNetwork:
        """The network, drawn from torch's global generator."""
        return build_network(self.network)

    def set_first_weights(self, network: torch.nn.Module) -> None:
        """Load the first weights that the recipe names."""
        assert isinstance(network, SegmentationNetwork)
        set_first_weights(network, self.init)

    def build_loss(self) -> torch.nn.Module:
        """The loss of the recipe on every head, each head half the weight of the finer one."""
        labels, kind = self.labels, self.training.loss
        count = labels.count if labels.has_regions else labels.count + 1
        membership = labels.membership() if labels.has_regions else None
        weights = count_weights(labels, self.train.values()) if kind.weights == "counts" else None
        loss: torch.nn.Module
        if kind.is_own:
            ignored = labels.ignore_index
            loss = OwnLoss(kind, count=count, ignore_index=ignored, membership=membership, weights=weights)
        else:
            loss = SegmentationLoss(
                kind,
                count=count,
                ignore_index=labels.ignore_index,
                membership=membership,
                batch_dice=self.training.batch_dice,
                weights=weights,
            )
        return DeepSupervisionLoss(loss, [0.5**n for n in range(max(1, self.network.deep_supervision))])

    def build_feed(self) -> PatchFeed:
        """Patches changed at random."""
        augmenter = Augmenter(self.augment, self.spacing, self.channels)
        return PatchFeed(augmenter, self.training, self.dims, self.network.multiple, self.seed)

    def build_sampler(self) -> PatchSampler:
        """The patches of a training, read large enough for the augmentation."""
        cases, t = list(self.train.values()), self.training
        size = window_for(t.patch, cases, self.augment)
        if self.slices.spread:  # random slices have no neighbors to read beyond the patch
            size = (size[0], size[1], t.patch[2])
        return PatchSampler(cases, size, t.patch, t.batch, t.foreground, self.seed, self.slices, self.augment)

    def build_log(self) -> TrainingLog:
        """Rows of Dice per label."""
        path, monitor = self.folder / LOG, self._monitored()
        further = DISTANCES if self.training.distances else ()
        return TrainingLog(
            path, self.labels.names, monitor=monitor, least_gain=self.training.least_gain, further=further
        )

    def build_validator(self, device: torch.device) -> Validator | None:
        """Dice on whole validation cases."""
        if not self.validation:
            return None
        return Validator(
            cases=list(self.validation.values()),
            labels=self.labels,
            windowing=self._windowing(device),
            loss=self.build_loss().to(device),
            largest=None if self.training.monitor == VAL_LOSS else LARGEST_LOSS,
            distances=self.training.distances,
        )

    def _windowing(self, device: torch.device) -> Windowing:
        """How validation goes over a prepared case: without mirror images, a window at a time."""
        return Windowing(
            self.training.patch,
            overlap=self.inference.overlap,
            device=device,
            activation="sigmoid" if self.labels.has_regions else "softmax",
            autocast_dtype=autocast_dtype(self.training.precision, device),
            channels_last=self.training.channels_last,
            stack=self.slices.stack,
        )

    def _monitored(self) -> str:
        """The column that decides; BadInput where the log has no such column."""
        name = self.training.monitor
        further = DISTANCES if self.training.distances else ()
        known = ["train_loss", VAL_LOSS, "val_dice", *(f"val_dice_{label}" for label in self.labels.names), *further]
        if name not in known:
            raise BadInput(f"`training.monitor: {name}` is not in the log", self.folder, f"Known: {', '.join(known)}")
        if not self.validation and name != "train_loss":
            return "train_loss"  # nothing is validated; the last weights are kept
        return name


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
