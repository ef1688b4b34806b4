"""Test-time augmentation whose members are kept apart: one changed view of a scan each.

Knows prepared images (C, I, J, K) and windows (B, C, ...). Mirror images are turned back within the network's answer; the other
changes leave every voxel in its place. Everything random follows from a seed. Does not know what the views are used for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from voxloom.inference.forward import NetworkFunction

#: Noise as a share of a channel's SD, exponents of its intensities, and blur in prepared voxels: as mild as in training.
NOISE, GAMMAS, BLUR = 0.2, (0.75, 1.33), 0.6


@dataclass(frozen=True)
class Variation:
    """One way to look at a scan; all left out is the scan as it is.

    Parameters
    ----------
    mirror : axes 0, 1, 2 of the prepared grid that are mirrored.
    noise : SD of normal noise as a share of the SD of each channel.
    gamma : exponent of each channel's intensities, scaled to 0 to 1 and back.
    blur : SD of a Gaussian in voxels.
    """

    mirror: tuple[int, ...] = ()
    noise: float = 0.0
    gamma: float = 1.0
    blur: float = 0.0

    @property
    def name(self) -> str:
        """What is done, for tables."""
        parts = [f"mirror {''.join('ijk'[axis] for axis in self.mirror)}"] if self.mirror else []
        parts += [f"{what} {value:g}" for what, value, usual in self._amounts() if value != usual]
        return " ".join(parts) or "as is"

    def _amounts(self) -> list[tuple[str, float, float]]:
        return [("noise", self.noise, 0.0), ("gamma", self.gamma, 1.0), ("blur", self.blur, 0.0)]

    def image(self, prepared: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
        """The changed image (C, I, J, K); mirroring is the network's part."""
        out = prepared
        if self.gamma != 1:
            out = np.stack([_powered(channel, self.gamma) for channel in out])
        if self.blur:
            out = np.stack([ndimage.gaussian_filter(channel, self.blur) for channel in out])
        if self.noise:
            random = np.random.default_rng(seed)
            drawn = random.standard_normal(out.shape, dtype=np.float32)
            out = out + drawn * (self.noise * prepared.std(axis=(1, 2, 3), keepdims=True))
        return np.ascontiguousarray(out, np.float32)

    def network(self, network: NetworkFunction) -> NetworkFunction:
        """The network that sees mirrored windows and answers for them as they were."""
        return Mirrored(network, self.mirror) if self.mirror else network


@dataclass(frozen=True)
class Mirrored:
    """A network whose windows (B, C, ...) are mirrored along axes 0, 1, 2 (i, j, k), and its answer (B, L, ...) mirrored back."""

    inner: NetworkFunction
    axes: tuple[int, ...]

    def __call__(self, windows: Tensor) -> Tensor:
        """Logits as of the windows before."""
        places = tuple(axis + 2 for axis in self.axes)
        return self.inner(windows.flip(places)).flip(places)


def variations(mirror: Sequence[int]) -> list[Variation]:
    """The scan as it is, every combination of mirror images along ``mirror``, noise, two gammas and a blur."""
    mirrored = [Variation(axes) for n in range(len(mirror) + 1) for axes in combinations(tuple(mirror), n)]
    return [*mirrored, Variation(noise=NOISE), *(Variation(gamma=gamma) for gamma in GAMMAS), Variation(blur=BLUR)]


def _powered(channel: NDArray[np.float32], gamma: float) -> NDArray[np.float32]:
    low, high = float(channel.min()), float(channel.max())
    if high <= low:
        return channel
    scaled: NDArray[np.float32] = ((channel - low) / (high - low)) ** np.float32(gamma) * (high - low) + low
    return scaled
