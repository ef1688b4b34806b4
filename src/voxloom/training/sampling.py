"""Which patch of which case is read at which step.

Every draw is a pure function of (seed, step): no state has to be saved, so a resumed run reads exactly what the unkilled
run would have read. Knows prepared cases; does not know augmentation or networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from voxloom.augment import (
    AugmentSettings,
    among_kept,
    changes_batch,
    kept_slices,
    moved_positions,
    slice_positions,
)
from voxloom.prepare import PLAIN_SLICES, SliceSettings, SliceStack
from voxloom.training.slices import SliceOrder

Triple = tuple[int, int, int]
#: No slice is skipped or interpolated.
UNCHANGED = AugmentSettings()


class PatchSource(Protocol):
    """What the sampler needs of a prepared case (``voxloom.prepare.PreparedCase`` has it)."""

    @property
    def shape(self) -> Triple: ...
    @property
    def spacing(self) -> tuple[float, float, float]: ...
    @property
    def foreground(self) -> dict[int, NDArray[np.int32]]: ...
    def image(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.float32]: ...
    def label(self, slices: tuple[slice, slice, slice] | None = None) -> NDArray[np.integer] | None: ...


@dataclass(frozen=True)
class Draw:
    """One patch: the case's position in the list and the first voxel of the window (may be negative: zero padding).

    planes : positions along k that are read in place of slice after slice; None reads one by one from ``start``.
    """

    case: int
    start: Triple
    planes: tuple[float, ...] | None = None


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
    slices : which slices a 2D network sees; only for windows of one slice.
    augment : which slices are skipped or interpolated; the other changes are made later, on the device.
    """

    cases: Sequence[PatchSource]
    size: Triple
    patch: Triple
    batch: int
    foreground: float
    seed: int
    slices: SliceSettings = PLAIN_SLICES
    augment: AugmentSettings = UNCHANGED

    @cached_property
    def order(self) -> SliceOrder:
        """Cases, and slices where the settings draw them, in their order."""
        return SliceOrder(self.cases, self.slices, self.seed)

    @property
    def per_pass(self) -> int:
        """Patches of one pass over the cases."""
        return self.order.per_pass

    def draw(self, step: int) -> list[Draw]:
        """The patches of one step: every case once per pass over the cases, in an order shuffled per pass."""
        random = np.random.default_rng((self.seed, 1, step))
        drawn = [self._draw_in(*self.order.at(step * self.batch + n), random) for n in range(self.batch)]
        if not self.augment.changes_slices or not changes_batch(self.augment, self.seed, step):
            return drawn
        return [replace(draw, planes=self._planes(draw, random)) for draw in drawn]

    def _planes(self, draw: Draw, random: np.random.Generator) -> tuple[float, ...]:
        """Positions of the window's slices, and of their neighbors, with some skipped or interpolated."""
        first = draw.start[2]
        count = self.size[2] + 2 * self.slices.neighbors
        if draw.planes is not None:  # random slices of the whole volume
            left = self._left_over(random, draw.case, draw.planes)
            return tuple(moved_positions(self.augment, random, left).tolist())
        middle = first + self.size[2] // 2
        if count == 1:
            middle = int(self._left_over(random, draw.case, [middle])[0])
        return tuple(slice_positions(self.augment, random, middle, count).tolist())

    def _left_over(self, random: np.random.Generator, case: int, wanted: Sequence[float]) -> list[float]:
        """The wanted slices of a case, of which some were left out of the volume before it was cut into slices."""
        kept = kept_slices(self.augment, random, self.order.candidates(case), least=len(wanted))
        return among_kept(random, wanted, kept)

    def spacing(self, step: int) -> NDArray[np.float32]:
        """Mm (B, 3) along i, j, k of the patches of one step; slices spread over a volume are as far apart as on average."""
        found = []
        for n in range(self.batch):
            case = self.cases[self.order.at(step * self.batch + n)[0]]
            i, j, k = case.spacing
            found.append((i, j, k * case.shape[2] / self.slices.spread if self.slices.spread else k))
        return np.array(found, dtype=np.float32)

    def _draw_in(self, index: int, plane: int | None, random: np.random.Generator) -> Draw:
        if plane is None and not self.slices.background and not self.slices.spread:
            plane = int(random.choice(self.order.candidates(index)))
        center = self._center(self.cases[index], plane, random)
        start = [int(c) - size // 2 for c, size in zip(center, self.size, strict=True)]
        planes = self.order.spread(index, random) if self.slices.spread else None
        return Draw(index, (start[0], start[1], start[2]), planes)

    def _center(self, case: PatchSource, plane: int | None, random: np.random.Generator) -> list[float]:
        """The middle of a patch; in slice ``plane`` where one was drawn."""
        low, high = zip(*(center_range(n, p) for n, p in zip(case.shape, self.patch, strict=True)), strict=True)
        wanted = [float(random.integers(a, b + 1)) for a, b in zip(low, high, strict=True)]
        present = {label: voxels for label, voxels in _voxels(case, plane) if len(voxels)}
        if present and random.random() < self.foreground:
            voxels = present[int(random.choice(list(present)))]
            voxel = voxels[random.integers(len(voxels))]
            wanted = [float(np.clip(v, a, b)) for v, a, b in zip(voxel, low, high, strict=True)]
        return wanted if plane is None else [*wanted[:2], float(plane)]

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.uint8 | np.uint16]]:
        """Images (B, C, I, J, K) and inner labels (B, I, J, K) of one step; outside the volume both are 0.

        With neighboring slices K is 1 and C counts every slice of every channel (``SliceStack``).
        """
        stack = self.slices.stack
        windows = [read_stack(self.cases[draw.case], draw, self.size, stack) for draw in self.draw(step)]
        return np.stack([image for image, _ in windows]), np.stack([label for _, label in windows])


def _voxels(case: PatchSource, plane: int | None) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Labelled voxels by inner label, in ascending order; those of one slice where one is given."""
    for label, voxels in sorted(case.foreground.items()):
        yield label, voxels if plane is None else voxels[voxels[:, 2] == plane]


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


def read_stack(
    case: PatchSource, draw: Draw, size: Triple, stack: SliceStack
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """The window of a draw; with neighbors it is one slice, they are its channels, and the label is that of the middle slice."""
    if draw.planes is None and not stack.neighbors:
        return read_window(case, draw.start, size)
    first = draw.start[2] - stack.neighbors
    planes = np.array(draw.planes or range(first, first + size[2] + 2 * stack.neighbors), dtype=float)
    if stack.neighbors and stack.edges == "replicate":
        planes = planes.clip(0, case.shape[2] - 1)
    image, label = read_planes(case, draw.start[:2], size[:2], planes)
    if not stack.neighbors:
        return image, label
    middle = stack.neighbors
    return stack.fold(image), label[..., middle : middle + 1]


def read_planes(
    case: PatchSource, start: tuple[int, int], size: tuple[int, int], planes: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Image (C, i, j, n) and label (i, j, n) at n positions along k: linear between slices, label of the nearest; 0 outside."""
    share = (planes - np.floor(planes)).astype(np.float32)
    wanted = np.union1d(np.floor(planes), np.ceil(planes)).astype(int)
    image, label = read_slices(case, start, size, wanted)
    below, above = (np.searchsorted(wanted, side(planes).astype(int)) for side in (np.floor, np.ceil))
    mixed = image[..., below] if not share.any() else image[..., below] * (1 - share) + image[..., above] * share
    return mixed, label[..., np.searchsorted(wanted, np.floor(planes + 0.5).astype(int))]


def read_slices(
    case: PatchSource, start: tuple[int, int], size: tuple[int, int], wanted: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.integer]]:
    """Image (C, i, j, n) and label (i, j, n) of n slices, ascending; those that follow each other are read together."""
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1)
    parts = [read_window(case, (*start, int(run[0])), (*size, len(run))) for run in runs]
    return np.concatenate([image for image, _ in parts], -1), np.concatenate([label for _, label in parts], -1)


class Gridded(Protocol):
    """Size and grid of a prepared case."""

    @property
    def shape(self) -> Triple: ...
    @property
    def spacing(self) -> tuple[float, float, float]: ...


def window_for(patch: Triple, cases: Sequence[Gridded], augment: AugmentSettings) -> Triple:
    """Voxels to read so that a patch of any case, each on its own grid, finds its corners; see ``window_size``."""
    shapes = [case.shape for case in cases]
    grids = {case.spacing for case in cases}
    sizes = [window_size(patch, grid, augment.angles, augment.largest_scale, shapes) for grid in sorted(grids)]
    i, j, k = (max(axis) for axis in zip(*sizes, strict=True))
    return (i, j, k)


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

    A patch of one slice is turned and scaled in its plane, so one slice is read.
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
    return (int(size[0]), int(size[1]), int(size[2]) if patch[2] > 1 else 1)
