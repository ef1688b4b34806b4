"""From windows to probabilities: networks, mirror images, activation, precision.

Knows how an ensemble and mirrored test-time augmentation are averaged. Does not know where windows lie in a volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from voxloom.inference.windowing import Windowing

#: Windows (B, C, i, j, k) to logits (B, L, i, j, k); a 2D network has no k.
NetworkFunction = Callable[[Tensor], Tensor]
#: Blended scores, float32 (L, ...), to what is wanted of them, (M, ...).
Reading = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Forward:
    """The mean probability of several networks over mirror images.

    Parameters
    ----------
    networks : at least one, in evaluation mode, on the device of ``windowing``; all give the same number of maps.
    """

    networks: tuple[NetworkFunction, ...]
    windowing: Windowing

    def scores(self, windows: Tensor, flat: bool = False) -> Tensor:
        """What is blended where windows overlap: the logits of a single network, else the mean of the probabilities.

        Parameters
        ----------
        windows : float32 (B, C, i, j, k).
        flat : the networks are 2D and see (B, C, i, j); k must be 1.

        Returns
        -------
        (B, L, i, j, k) of a floating type on ``device``, of which :meth:`finished` makes probabilities afterwards.
        """
        if self._alone:
            return self._logits(self.networks[0], windows.to(self.windowing.device), flat)
        return self._mean(windows.to(self.windowing.device), flat)

    def finished(self, blended: Tensor) -> Tensor:
        """Probabilities from blended :meth:`scores`, both float32 (L, ...)."""
        return self._activated(blended, 0) if self._alone else blended

    @property
    def _alone(self) -> bool:
        return len(self.networks) == 1 and not self.windowing.tta_axes

    def _mean(self, windows: Tensor, flat: bool) -> Tensor:
        total: Tensor | None = None
        count = 0
        for axes in self._mirrors():
            seen = windows.flip(axes) if axes else windows
            for network in self.networks:
                found = self._activated(self._logits(network, seen, flat), 1)
                found = found.flip(axes) if axes else found
                total = found if total is None else total.add_(found)
                count += 1
        assert total is not None, "no network was given"
        return total.div_(count) if count > 1 else total

    def _mirrors(self) -> Iterator[tuple[int, ...]]:
        for number in range(len(self.windowing.tta_axes) + 1):
            for axes in combinations(self.windowing.tta_axes, number):
                yield tuple(axis + 2 for axis in axes)

    def _logits(self, network: NetworkFunction, windows: Tensor, flat: bool) -> Tensor:
        seen = windows.squeeze(-1) if flat else windows
        if self.windowing.channels_last:
            seen = seen.contiguous(memory_format=torch.channels_last if flat else torch.channels_last_3d)
        place, dtype = self.windowing.device.type, self.windowing.autocast_dtype
        with torch.autocast(place, dtype=dtype, enabled=dtype is not None):
            logits = network(seen)
        return logits.unsqueeze(-1) if flat else logits

    def _activated(self, logits: Tensor, axis: int) -> Tensor:
        """Probabilities, float32, of logits whose maps lie along ``axis``."""
        logits = logits.float()
        return softmax(logits, axis) if self.windowing.activation == "softmax" else torch.sigmoid(logits)


def softmax(logits: Tensor, axis: int) -> Tensor:
    """The softmax along ``axis``, float32 or wider.

    PyTorch's own takes five times as long where the few logits of a voxel lie side by side in memory.
    """
    if logits.stride(axis) != 1 or logits.device.type != "cpu":
        return torch.softmax(logits, dim=axis)
    found = (logits - logits.amax(axis, keepdim=True)).exp_()
    return found.div_(found.sum(axis, keepdim=True))
