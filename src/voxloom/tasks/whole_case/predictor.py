"""The networks of a whole-case run, ready to predict: answers of every fold for one scan, over changed views where asked.

Knows ``model.json``. What answers mean is the task's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from voxloom.augment import Augmenter, AugmentSettings
from voxloom.errors import BadInput
from voxloom.inference.device import pick_device
from voxloom.inference.views import Member
from voxloom.networks.case_networks import build_case_network
from voxloom.networks.case_settings import CaseNetworkSettings, case_network_settings
from voxloom.prepare import PrepareSettings, Statistics, prepare_image
from voxloom.run.scan_check import TrainedOn
from voxloom.run.scans import admit, read_channels
from voxloom.tasks.whole_case.crop import refuse_whole
from voxloom.tasks.whole_case.material import scaled
from voxloom.tasks.whole_case.settings import CropSettings
from voxloom.tasks.whole_case.training import answer
from voxloom.training.settings import TrainingSettings
from voxloom.training.weights import load_weights
from voxloom.training.windows import ImageSource, InMemory, read_padded
from voxloom.volume import Volume

#: Changed views of test-time augmentation beside the scan as it is (fastMONAI: n = 4).
VIEWS = 4


@dataclass(frozen=True)
class CasePredictor:
    """Networks of folds; their answers are returned one by one.

    Parameters
    ----------
    members : the folds, each with the statistics of its training cases.
    network, prepare, training, augment, channels : as in ``model.json``.
    covariates : column -> (mean, sd).
    device : where the networks live.
    views : changed views of test-time augmentation; 0 sees the scan as it is alone.
    may_lack : whether the networks learned to do without a channel.
    crop : what of a scan they look at.
    trained_on : what the training cases were like; scans that differ are told.
    """

    members: tuple[Member, ...]
    network: CaseNetworkSettings
    prepare: PrepareSettings
    training: TrainingSettings
    augment: AugmentSettings
    channels: tuple[str, ...]
    device: torch.device
    covariates: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    views: int = 0
    may_lack: bool = False
    crop: CropSettings | None = None
    trained_on: TrainedOn | None = None

    @classmethod
    def from_folds(cls, folders: Sequence[Path], *, device: str = "auto", views: int = 0) -> CasePredictor:
        """Load folds from their folders."""
        place = torch.device(pick_device(device))
        loaded = [load_weights(folder) for folder in folders]
        about = loaded[0][1]
        members = []
        for weights, described in loaded:
            network = build_case_network(case_network_settings(described["network"]))
            network.load_state_dict(weights)
            learned = described["statistics"]
            members.append(Member(network.to(place).eval(), Statistics.from_dict(learned) if learned else None))
        return cls(
            members=tuple(members),
            network=case_network_settings(about["network"]),
            prepare=PrepareSettings.model_validate(about["prepare"]),
            training=TrainingSettings.model_validate(about["training"]),
            augment=AugmentSettings.model_validate(about["augment"]),
            channels=tuple(about["channels"]),
            device=place,
            covariates={name: (float(m), float(s)) for name, (m, s) in about["covariates"].items()},
            views=views,
            may_lack=about["augment"]["channel_dropout"] > 0,
            crop=CropSettings.model_validate(about["crop"]) if about.get("crop") else None,
        )

    def answers(
        self,
        source: str | Path | Volume | Sequence[Path],
        attributes: Mapping[str, Any] | None = None,
        *,
        resample_tilt: bool = False,
    ) -> np.ndarray:
        """Answers (members, 1 + views, L) of one scan.

        Parameters
        ----------
        source : a volume with the run's channels, a file, a DICOM folder, or one file per channel.
        attributes : of the case, for covariates; those that are unknown count as average.
        """
        volume = source if isinstance(source, Volume) else read_channels(source, resample_tilt)
        admit(volume, self.channels, self.may_lack, self.trained_on)
        refuse_whole(volume, self.crop)
        numbers = torch.from_numpy(scaled(attributes or {}, self.covariates))[None].to(self.device)
        found = []
        for member in self.members:
            image, geometry = prepare_image(volume, self.prepare, member.statistics)
            spacing = np.linalg.norm(geometry.affine[:3, :3], axis=0)
            rows = [
                answer(member.network, view, numbers, self.network.dims, self.training)
                for view in self._views(image, spacing)
            ]
            found.append(torch.cat(rows).numpy())
        return np.stack(found)

    def middle(self, source: ImageSource) -> Tensor:
        """What the networks see of a prepared image: its middle (1, C, *patch), 0 beyond its ends."""
        patch = self.training.patch
        start = [(n - s) // 2 for n, s in zip(source.shape, patch, strict=True)]
        return torch.from_numpy(read_padded(source, start, patch))[None].to(self.device)

    def _views(self, image: np.ndarray, spacing: np.ndarray) -> list[Tensor]:
        """The middle of a prepared image (1, C, *patch) as it is, then changed as in training."""
        seen, patch = self.middle(InMemory(np.asarray(image, np.float32))), self.training.patch
        if not self.views:
            return [seen]
        augmenter = Augmenter(self.augment, spacing.tolist(), len(self.channels))
        changed = []
        for n in range(self.views):
            drawn = augmenter.sample(1, patch, torch.Generator().manual_seed(n))
            changed.append(augmenter.apply(seen, None, drawn, patch)[0])
        return [seen, *changed]


def damaged(folder: Path, error: Exception) -> BadInput:
    """A description that does not fit the weights."""
    return BadInput(f"model.json is damaged or does not fit the weights ({error})", folder, "Copy the run again")


@dataclass(frozen=True)
class AnswerPredictor:
    """What predictors of all such tasks share: the networks, and what a scan must have for them."""

    networks: CasePredictor

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that a scan must have."""
        return self.networks.channels

    @property
    def members(self) -> tuple[Member, ...]:
        """The networks of the folds."""
        return self.networks.members

    @property
    def modules(self) -> tuple[nn.Module, ...]:
        """The torch modules, one per fold."""
        return tuple(member.network for member in self.members)

    @property
    def may_lack(self) -> bool:
        """Whether the networks learned to do without a channel."""
        return self.networks.may_lack
