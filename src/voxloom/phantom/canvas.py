"""A grid on which shapes are painted, and the scan that decides where it lies.

Knows sub-voxel edges (a smooth step of the signed distance), thick slices (thin sub-slices are painted and
averaged), oblique planes. Does not know anatomy or modalities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.phantom.shapes import Array, Point, Shape, rotation

Plane = Literal["axial", "coronal", "sagittal"]
Size = tuple[int, int, int]
Values = NDArray[np.floating[Any]]

#: Directions of rows' index i, columns' index j and slices k in RAS, as radiological viewers show the three planes.
DIRECTIONS: dict[str, NDArray[np.float64]] = {
    "axial": np.array([[-1.0, 0, 0], [0, -1, 0], [0, 0, 1]]).T,
    "coronal": np.array([[-1.0, 0, 0], [0, 0, -1], [0, -1, 0]]).T,
    "sagittal": np.array([[0, -1.0, 0], [0, 0, -1], [1, 0, 0]]).T,
}


@dataclass(frozen=True)
class Scan:
    """Where the voxels of one scan lie: k counts the slices.

    Parameters
    ----------
    plane : of the slices.
    shape : (I, J, K).
    pixel : voxel size in the slices, mm.
    step : distance of the slices, mm; slices are as thick.
    center : of the grid, in RAS mm.
    tilt : turn of the grid in degrees about x, y, z.
    """

    plane: Plane
    shape: Size
    pixel: float
    step: float
    center: Point = (0.0, 0.0, 0.0)
    tilt: Point = (0.0, 0.0, 0.0)

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) voxel index to RAS+ mm."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(*self.tilt) @ DIRECTIONS[self.plane] @ np.diag([self.pixel, self.pixel, self.step])
        matrix[:3, 3] = np.array(self.center) - matrix[:3, :3] @ ((np.array(self.shape) - 1) / 2)
        return matrix


class Canvas:
    """Grey values and labels on a grid that is finer than the scan along its slice axis.

    Parameters
    ----------
    affine : (4, 4) voxel index of the scan to body mm.
    shape : (I, J, K) of the scan.
    axis : the slice axis.
    fine : sub-slices per slice, odd.
    """

    def __init__(self, affine: NDArray[np.float64], shape: Size, *, axis: int = 2, fine: int = 1) -> None:
        self.axis, self.fine = axis, fine
        size = list(shape)
        size[axis] *= fine
        self.shape = (size[0], size[1], size[2])
        self.affine = affine.copy()
        self.affine[:3, axis] /= fine
        self.affine[:3, 3] -= self.affine[:3, axis] * (fine - 1) / 2
        lengths = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        self.edge = float(np.median(lengths))
        self.values = np.zeros(self.shape, np.float32)
        self.labels = np.zeros(self.shape, np.uint8)

    def fill(self, values: float | Values) -> None:
        """The same grey value everywhere, or one for each voxel of the fine grid."""
        self.values[...] = values

    def paint(self, shape: Shape, value: float | Values, label: int | None = None, edge: float | None = None) -> None:
        """Cover what lies in ``shape``.

        Parameters
        ----------
        value : grey value, or an array on the fine grid (a texture).
        label : label of the voxels whose center lies inside; None leaves the labels.
        edge : width of the transition in mm, None for one voxel.
        """
        box = self.box(shape)
        if box is None:
            return
        distance = shape.distance(*self.coordinates(box))
        share = np.clip(0.5 - distance / np.float32(edge or self.edge), 0, 1)
        here = self.values[box]
        target = np.float32(value) if isinstance(value, (int, float)) else value[box]
        here += share * (target - here)
        if label is not None:
            self.labels[box][distance < 0] = label

    def distance(self, shape: Shape) -> Array:
        """Signed distance in mm on the whole fine grid."""
        everything = (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))
        found: Array = np.broadcast_to(shape.distance(*self.coordinates(everything)), self.shape)
        return found

    def texture(self, rng: np.random.Generator, scale_mm: float) -> Array:
        """A smooth random field on the fine grid with mean 0 and SD 1, structures about ``scale_mm`` wide."""
        spacing = np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))
        return smooth_noise(rng, self.shape, scale_mm / spacing)

    def box(self, shape: Shape) -> tuple[slice, slice, slice] | None:
        """The voxels that a shape can touch, None where it lies outside the grid."""
        low, high = shape.bounds()
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            return (slice(0, self.shape[0]), slice(0, self.shape[1]), slice(0, self.shape[2]))
        low, high = low - 2 * self.edge, high + 2 * self.edge
        corners = np.array(
            [[x, y, z, 1] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )
        voxels = (np.linalg.inv(self.affine) @ corners.T)[:3]
        first = np.maximum(np.floor(voxels.min(axis=1)), 0).astype(int)
        last = np.minimum(np.ceil(voxels.max(axis=1)) + 1, self.shape).astype(int)
        if (first >= last).any():
            return None
        i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return (i, j, k)

    def coordinates(self, box: tuple[slice, slice, slice]) -> tuple[Array, Array, Array]:
        """Body mm (x, y, z) of the voxels of a box, as arrays that broadcast together."""
        matrix = np.where(np.abs(self.affine) < 1e-9, 0, self.affine).astype(np.float32)
        steps = np.ogrid[box]
        found = []
        for row in range(3):
            parts = [matrix[row, axis] * steps[axis].astype(np.float32) for axis in range(3) if matrix[row, axis]]
            total = parts[0] + matrix[row, 3]
            for part in parts[1:]:
                total = total + part
            found.append(total)
        return found[0], found[1], found[2]

    def averaged(self) -> Array:
        """Grey values of the scan: the mean over the sub-slices of each slice."""
        found: Array = self._split(self.values).mean(axis=self.axis + 1, dtype=np.float32)
        return found

    def middle_labels(self) -> NDArray[np.uint8]:
        """Labels of the scan: those of the middle sub-slice."""
        found: NDArray[np.uint8] = np.take(self._split(self.labels), self.fine // 2, axis=self.axis + 1)
        return np.ascontiguousarray(found)

    def _split(self, array: NDArray[np.generic]) -> NDArray[np.generic]:
        size = list(self.shape)
        size[self.axis : self.axis + 1] = [size[self.axis] // self.fine, self.fine]
        return array.reshape(size)


def smooth_noise(rng: np.random.Generator, shape: Size, scale: NDArray[np.float64] | float) -> Array:
    """A smooth random field of ``shape``, mean 0 and SD 1; ``scale`` is its grain in voxels (one, or per axis)."""
    grain = np.maximum(np.broadcast_to(scale, 3), 1.0)
    splines = [_splines(size, float(step), float(rng.random())) for size, step in zip(shape, grain, strict=True)]
    field = rng.standard_normal([s.shape[1] for s in splines], dtype=np.float32)
    for axis in sorted(range(3), key=lambda a: splines[a].shape[0] / splines[a].shape[1]):
        field = np.moveaxis(np.tensordot(splines[axis], field, axes=(1, axis)), 0, axis)
    found: Array = (field - field.mean()) / max(float(field.std()), 1e-6)
    return np.ascontiguousarray(found)


def _splines(size: int, step: float, phase: float) -> Array:
    """Cubic B-splines (size, knots), ``step`` voxels apart, at ``size`` positions."""
    at = np.arange(size) / step + phase
    apart = np.abs(at[:, None] - np.arange(-1, int(at[-1]) + 3))
    near, far = 2 / 3 - apart**2 + apart**3 / 2, np.clip(2 - apart, 0, None) ** 3 / 6
    return np.where(apart < 1, near, far).astype(np.float32)
