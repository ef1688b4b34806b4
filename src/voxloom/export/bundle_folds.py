"""Folds that learned different intensities, in one MONAI bundle.

A bundle prepares a scan once. Where folds normalize with statistics of their own, the scan's channels are repeated, every copy
is normalized as one of the folds learned, and each network begins with a layer that takes its copy. Knows MONAI's transforms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from voxloom.prepare import ChannelStatistics, PrepareSettings, Statistics
from voxloom.prepare.settings import LEARNED


@dataclass(frozen=True)
class Copies:
    """Which copy of a scan's channels each fold sees.

    Parameters
    ----------
    channels : of the scan.
    learned : the statistics (per channel) that the copies are normalized with; empty where nothing is learned.
    of_fold : the number of its copy, per fold.
    """

    channels: int
    learned: tuple[tuple[ChannelStatistics, ...], ...]
    of_fold: tuple[int, ...]

    @classmethod
    def of(cls, described: Sequence[dict[str, Any]]) -> Copies:
        """From ``model.json`` of every fold; folds with equal statistics share a copy."""
        settings = PrepareSettings.model_validate(described[0]["prepare"])
        channels = len(described[0]["channels"])
        if not any(kind in LEARNED for kind in settings.normalizations(channels)):
            return cls(channels, (), (0,) * len(described))
        found = [Statistics.from_dict(about["statistics"]).channels for about in described]
        distinct = tuple(dict.fromkeys(found))
        return cls(channels, distinct, tuple(distinct.index(one) for one in found))

    @property
    def count(self) -> int:
        """Number of copies."""
        return max(1, len(self.learned))

    @property
    def inputs(self) -> int:
        """Channels of the prepared image."""
        return self.channels * self.count

    def names(self, channels: Sequence[str]) -> list[str]:
        """The channels of the prepared image."""
        return [f"{name}, statistics {n}" if self.count > 1 else name for name in channels for n in range(self.count)]

    def repetition(self) -> list[dict[str, Any]]:
        """The transform that makes the copies, channel by channel: a, a, ..., b, b, ..."""
        return [] if self.count == 1 else [{"_target_": "RepeatChanneld", "keys": "image", "repeats": self.count}]

    def each(self) -> list[ChannelStatistics]:
        """The statistics of every channel of the prepared image."""
        return [copy[channel] for channel in range(self.channels) for copy in self.learned]

    def clip(self) -> dict[str, Any]:
        """The transform that clips every channel to its own percentiles."""
        low, high = [one.lo for one in self.each()], [one.hi for one in self.each()]
        place = "view(-1, *[1] * (x.ndim - 1)).to(x)"
        clamp = f"torch.clamp(x, torch.tensor({low!r}).{place}, torch.tensor({high!r}).{place})"
        return {"_target_": "Lambdad", "keys": "image", "func": f"$lambda x: {clamp}"}

    def layer(self, dims: int) -> str | None:
        """The layer with which every network begins, None where there is one copy."""
        if self.count == 1:
            return None
        return f"torch.nn.Conv{dims}d({self.inputs}, {self.channels}, 1, bias=False)"

    def layer_weights(self, fold: int, dims: int) -> torch.Tensor:
        """Its weights (channels, inputs, 1, 1[, 1]): 1 for the channels of the fold's copy, 0 for the others."""
        weights = torch.zeros(self.channels, self.inputs)
        for channel in range(self.channels):
            weights[channel, channel * self.count + self.of_fold[fold]] = 1
        return weights.reshape(*weights.shape, *(1,) * dims)
