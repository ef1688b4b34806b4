"""Which patch of which case is read at which step.

Every draw is a pure function of (seed, step): no state has to be saved, so a resumed run reads exactly what the unkilled
run would have read. Knows prepared cases; does not know augmentation or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int]


class PatchSource(Protocol):
    """What the sampler needs of a prepared case (``voxloom.prepare.PreparedCase`` has it)."""

    @property
    def shape(self) -> Triple: ...
    @property
    def foreground(self) -> dict[int, NDArray[np.int32]]: ...
    def image(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.float32]: ...
    def label(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.integer] | None: ...


@dataclass(frozen=True)
class Draw:
    """One patch: the case's position in the list and the first voxel of the window (may be negative: zero padding)."""

    case: int
    start: Triple


@dataclass(frozen=True)
class PatchSampler:
    """Draws and reads batches of patches.

    Parameters
    ----------
    cases : the prepared training cases.
    size : voxels of the window that is read, order i j k (patch plus what rotation and scaling may bring in).
    patch : voxels of the patch that the network sees; its centre stays inside the volume.
    batch : patches per step.
    foreground : share of patches centred on a labelled voxel.
    seed : of all draws.
    """

    cases: Sequence[PatchSource]
    size: Triple
    patch: Triple
    batch: int
    foreground: float
    seed: int

    def draw(self, step: int) -> list[Draw]:
        """The patches of one step: every case once per pass over the cases, in an order shuffled per pass."""
        random = np.random.default_rng((self.seed, 1, step))
        return [self._draw_in(self._case_at(step * self.batch + n), random) for n in range(self.batch)]

    def _case_at(self, position: int) -> int:
        turn, place = divmod(position, len(self.cases))
        return int(np.random.default_rng((self.seed, 2, turn)).permutation(len(self.cases))[place])

    def _draw_in(self, index: int, random: np.random.Generator) -> Draw:
        case = self.cases[index]
        center = self._center(case, random)
        start = [int(c) - size // 2 for c, size in zip(center, self.size, strict=True)]
        return Draw(index, (start[0], start[1], start[2]))

    def _center(self, case: PatchSource, random: np.random.Generator) -> list[float]:
        low, high = zip(*(center_range(n, p) for n, p in zip(case.shape, self.patch, strict=True)), strict=True)
        wanted = [float(random.integers(a, b + 1)) for a, b in zip(low, high, strict=True)]
        present = {label: voxels for label, voxels in sorted(case.foreground.items()) if len(voxels)}
        if present and random.random() < self.foreground:
            voxels = present[int(random.choice(list(present)))]
            voxel = voxels[random.integers(len(voxels))]
            wanted = [float(np.clip(v, a, b)) for v, a, b in zip(voxel, low, high, strict=True)]
        return wanted

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8 | np.uint16]]:
        """Images (B, C, I, J, K) and inner labels (B, I, J, K) of one step; outside the volume both are 0."""
        windows = [read_window(self.cases[draw.case], draw.start, self.size) for draw in self.draw(step)]
        return np.stack([image for image, _ in windows]), np.stack([label for _, label in windows])


def center_range(length: int, patch: int) -> tuple[int, int]:
    """First and last centre voxel such that a patch lies inside the axis; a short axis allows the patch to move around it."""
    if length >= patch:
        return patch // 2, length - patch + patch // 2
    return length - patch + patch // 2, patch // 2


def read_window(case: PatchSource, start: Triple, size: Triple) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Image (C, *size) and label (*size) of a window that may reach outside the volume, where both are 0."""
    clipped = [np.clip([s, s + n], 0, length) for s, n, length in zip(start, size, case.shape, strict=True)]
    inside = [(int(a), int(b)) for a, b in clipped]
    slices = (slice(*inside[0]), slice(*inside[1]), slice(*inside[2]))
    image = case.image(slices)
    label = case.label(slices)
    if label is None:
        raise ValueError("a training case has no label")
    padding = []
    for (a, b), s, n in zip(inside, start, size, strict=True):
        before = min(max(-s, 0), n)
        padding.append((before, n - before - (b - a)))
    if any(before or after for before, after in padding):
        image, label = np.pad(image, [(0, 0), *padding]), np.pad(label, padding)
    return image, label


def window_size(
    patch: Triple, spacing: tuple[float, float, float], angles: Sequence[float], scale: float, shapes: Sequence[Triple]
) -> Triple:
    """Voxels to read so that a rotated and enlarged patch finds its corners.

    Parameters
    ----------
    patch : voxels of the patch.
    spacing : mm, order i j k; rotations happen in mm.
    angles : largest rotation in degrees about i, j and k.
    scale : largest factor by which the field of view grows.
    shapes : of all cases; no more than the largest is read.
    """
    extent = np.array(patch) * np.array(spacing) * scale
    most = extent.copy()
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        turn = np.deg2rad(min(abs(angle), 45.0))
        most[a], most[b] = (
            max(most[a], most[a] * np.cos(turn) + most[b] * np.sin(turn)),
            max(most[b], most[b] * np.cos(turn) + most[a] * np.sin(turn)),
        )
    wanted = np.ceil(most / np.array(spacing)).astype(int)
    largest = np.maximum(np.max(np.array(shapes), axis=0), np.array(patch))
    size = np.minimum(wanted, largest)
    return (int(size[0]), int(size[1]), int(size[2]))
