"""Which window of which case is read at which step of a landmark training, and its painted target.

Like ``voxloom.training.sampling``: every draw is a pure function of (seed, step). Targets are painted from points into the
window that was read, so they cost no disk space and stay true in mm. Does not know augmentation or networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxloom.landmarks import Layout, TargetKind, paint_target
from voxloom.points import Point
from voxloom.training.sampling import center_range
from voxloom.training.windows import ImageSource, Triple, read_padded


@dataclass(frozen=True)
class LandmarkCase:
    """A prepared image, the affine of its grid (voxel to RAS mm) and its points."""

    source: ImageSource
    affine: NDArray[np.float64]
    points: tuple[Point, ...]

    @property
    def shape(self) -> Triple:
        """Voxels of the prepared image."""
        return self.source.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, order i j k."""
        i, j, k = (float(mm) for mm in np.linalg.norm(self.affine[:3, :3], axis=0))
        return (i, j, k)

    @property
    def voxels(self) -> NDArray[np.float64]:
        """Marks (n, 3) in voxels of the prepared grid."""
        marks = np.array([[*point.position, 1.0] for point in self.points]).reshape(-1, 4)
        return np.asarray((marks @ np.linalg.inv(self.affine).T)[:, :3])


@dataclass(frozen=True)
class LandmarkSampler:
    """Draws and reads batches of windows.

    Parameters
    ----------
    cases : the training cases.
    layout, kind, radius : what is painted.
    size, patch : voxels that are read and that the network sees, order i j k.
    batch : windows per step.
    foreground : share of windows that are centered on a mark.
    seed : of all draws.
    slab : the window is three slices of which the middle one counts; every slice may be the middle.
    repeats : how often each case is drawn in a pass.
    """

    cases: Sequence[LandmarkCase]
    layout: Layout
    kind: TargetKind
    radius: float
    size: Triple
    patch: Triple
    batch: int
    foreground: float
    seed: int
    slab: bool
    repeats: tuple[int, ...]

    @property
    def per_pass(self) -> int:
        """Windows of one pass over the cases."""
        return sum(self.repeats)

    def read(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Images (B, C, *size) and targets (B, M, *size) of one step; outside the volume images are 0."""
        random = np.random.default_rng((self.seed, 1, step))
        windows = [self._window(self._case_at(step * self.batch + n), random) for n in range(self.batch)]
        return np.stack([image for image, _ in windows]), np.stack([target for _, target in windows])

    def spacing(self, step: int) -> NDArray[np.float32]:
        """Mm (B, 3) along i, j, k of the windows of one step."""
        cases = [self._case_at(step * self.batch + n) for n in range(self.batch)]
        return np.array([case.spacing for case in cases], dtype=np.float32)

    def _case_at(self, position: int) -> LandmarkCase:
        order = np.repeat(np.arange(len(self.cases)), self.repeats)
        turn, place = divmod(position, len(order))
        return self.cases[int(np.random.default_rng((self.seed, 2, turn)).permutation(order)[place])]

    def _window(
        self, case: LandmarkCase, random: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        center = self._center(case, random)
        start = [c - n // 2 for c, n in zip(center, self.size, strict=True)]
        shift = np.eye(4)
        shift[:3, 3] = start
        target = paint_target(
            self.layout.by_map(case.points),
            self.size,
            case.affine @ shift,
            kind=self.kind,
            radius=self.radius,
            slice_axis=2 if self.slab else None,
        )
        return read_padded(case.source, start, self.size), target

    def _center(self, case: LandmarkCase, random: np.random.Generator) -> list[int]:
        ranges = [center_range(n, p) for n, p in zip(case.source.shape, self.patch, strict=True)]
        if self.slab:
            ranges[2] = (0, case.source.shape[2] - 1)
        center = [int(random.integers(a, b + 1)) for a, b in ranges]
        if len(case.points) and random.random() < self.foreground:
            mark = np.rint(case.voxels[random.integers(len(case.points))]).astype(int)
            center = [int(np.clip(v, a, b)) for v, (a, b) in zip(mark, ranges, strict=True)]
        return center
