"""Changed views of a scan for test-time augmentation: mirror images, and the random changes that training drew.

Knows prepared images (C, I, J, K) and windows (B, C, ...). Mirror images are turned back within the network's answer; a scan that
was rotated, scaled or shifted is predicted whole, and the probabilities are brought back to their places. Does not know
what the views are used for.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voxloom.augment import Augmenter, AugmentParameters, AugmentSettings, spatial
from voxloom.inference.changes import changes_of
from voxloom.inference.forward import NetworkFunction

#: Values that are moved at a time.
_BLOCK = 1 << 23
#: Part of a voxel by which a moved scan may reach beyond its grid unseen.
_CLOSE = 1e-3
#: Draws from which one that changes something is taken.
_TRIES = 100
Spacing = Sequence[float]


@dataclass(frozen=True, eq=False)
class Variation:
    """One way to look at a scan; all left out is the scan as it is.

    Parameters
    ----------
    mirror : axes 0, 1, 2 of the prepared grid that are mirrored.
    drawn : random changes of one patch, carried out on the whole scan about its center; no mirror images, nothing bent.
    weight : share in a mean of several views, relative to the others.
    """

    mirror: tuple[int, ...] = ()
    drawn: AugmentParameters | None = None
    weight: float = 1.0

    @property
    def name(self) -> str:
        """What is done, for tables."""
        parts = [f"mirror {''.join('ijk'[axis] for axis in self.mirror)}"] if self.mirror else []
        parts += changes_of(self.drawn) if self.drawn is not None else []
        return ", ".join(parts) or "as is"

    @property
    def moves(self) -> bool:
        """Whether voxels leave their places, so that probabilities must be brought back."""
        return self.drawn is not None and bool(self.drawn.moved.any())

    def size(self, size: Sequence[int], spacing: Spacing) -> tuple[int, ...]:
        """Voxels of the changed image of a grid (I, J, K): enough to show the whole scan, at least as many as before."""
        if self.drawn is None or not self.moves:
            return tuple(size)
        half = torch.tensor([n * float(mm) / 2 for n, mm in zip(size, spacing, strict=True)])
        corners = torch.cartesian_prod(*(torch.stack((-h, h)) for h in half)) - self.drawn.shift[0]
        reach = (corners @ torch.linalg.inv(self.drawn.matrix[0]).T).abs().amax(0)
        more = [float(r - h) / float(mm) for r, h, mm in zip(reach, half, spacing, strict=True)]
        return tuple(n + 2 * (math.ceil(m) + 1 if m > _CLOSE else 0) for n, m in zip(size, more, strict=True))

    def image(self, prepared: NDArray[np.float32], spacing: Spacing) -> NDArray[np.float32]:
        """The changed image (C, *size) on a grid of ``spacing`` mm, 0 beyond the scan; mirroring is the network's part."""
        if self.drawn is None:
            return prepared
        image = torch.from_numpy(np.ascontiguousarray(prepared))
        if self.moves:
            size = self.size(prepared.shape[1:], spacing)
            image = moved(image, self.drawn.matrix[0], self.drawn.shift[0], spacing, size)
        there = dataclasses.replace(self.drawn, moved=torch.zeros_like(self.drawn.moved), control=None)
        changed, _ = Augmenter(AugmentSettings().off(), spacing).apply(image[None], None, there, image.shape[1:])
        return np.ascontiguousarray(changed[0].numpy())

    def network(self, network: NetworkFunction) -> NetworkFunction:
        """The network that sees mirrored windows and answers for them as they were."""
        return Mirrored(network, self.mirror) if self.mirror else network

    def brought_back(
        self, maps: NDArray[np.float16], size: Sequence[int], spacing: Spacing
    ) -> Iterator[NDArray[np.float32]]:
        """Probabilities (L, *own size) of the changed image on the prepared grid, one map (I, J, K) of ``size`` after the other."""
        if self.drawn is None or not self.moves:
            yield from (np.asarray(one, np.float32) for one in maps)
            return
        back = torch.linalg.inv(self.drawn.matrix[0])
        shift = -back @ self.drawn.shift[0]
        for one in maps:
            yield moved(torch.from_numpy(np.asarray(one, np.float32))[None], back, shift, spacing, size)[0].numpy()


@dataclass(frozen=True)
class Mirrored:
    """A network whose windows (B, C, ...) are mirrored along axes 0, 1, 2 (i, j, k), and its answer (B, L, ...) mirrored back."""

    inner: NetworkFunction
    axes: tuple[int, ...]

    def __call__(self, windows: Tensor) -> Tensor:
        """Logits as of the windows before."""
        places = tuple(axis + 2 for axis in self.axes)
        return self.inner(windows.flip(places)).flip(places)


def moved(image: Tensor, matrix: Tensor, shift: Tensor, spacing: Spacing, size: Sequence[int]) -> Tensor:
    """The image (C, I, J, K) on a grid of ``size`` with the same center, read linearly at ``matrix`` (3, 3) @ place + ``shift`` (3,)
    in mm from the center; 0 outside.

    A few planes at a time, so that the places take little memory.
    """
    planes = max(1, _BLOCK // max(1, size[1] * size[2] * max(3, len(image))))
    out = image.new_empty((len(image), *size))
    for start in range(0, size[0], planes):
        stop = min(start + planes, size[0])
        from_center = torch.tensor([((start + stop - 1) / 2 - (size[0] - 1) / 2) * float(spacing[0]), 0.0, 0.0])
        here = (shift + matrix @ from_center)[None]
        offsets = spatial.offsets_of(matrix[None], here, spacing, (stop - start, size[1], size[2]))
        out[:, start:stop] = spatial.resample(image[None], None, offsets, spacing)[0][0]
    return out


def mirrored(axes: Sequence[int]) -> list[Variation]:
    """Every combination of mirror images along ``axes``, the scan as it is first."""
    return [Variation(chosen) for n in range(len(axes) + 1) for chosen in combinations(tuple(axes), n)]


def drawn(settings: AugmentSettings, count: int, seed: int, *, flat: bool) -> list[Variation]:
    """``count`` views as training draws its patches, each of which changes something; none where training changed nothing.

    Left out are mirror images, channels taken away, skipped slices, and bending, which has no exact way back.

    Parameters
    ----------
    flat : changes stay in the plane i j, as those of single slices.
    """
    taken = dict.fromkeys(("elastic_chance", "channel_dropout", "slice_skip_chance", "slice_interpolation_chance"), 0.0)
    augmenter = Augmenter(settings.model_copy(update={**taken, "mirror": ()}), (1.0, 1.0, 1.0))
    found = []
    for n in range(count):
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed, n]).generate_state(1)[0]))
        tries = (augmenter.sample(1, (2, 2, 1 if flat else 2), generator) for _ in range(_TRIES))
        found += [Variation(drawn=one) for one in [next((p for p in tries if changes_of(p)), None)] if one is not None]
    return found
