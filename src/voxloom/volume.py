"""The Volume: voxels with channels, and where they lie in the patient.

Knows the one geometry convention of the project: ``affine`` takes the voxel index (i, j, k) to RAS+ millimetres. Does
not know any file format.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

GEOMETRY_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """A 2D or 3D image or label map with true geometry.

    Parameters
    ----------
    data : array of shape (C, I, J, K); a 2D image has K = 1.
    affine : (4, 4) float64, voxel index (i, j, k) to RAS+ millimetres; invertible.
    meta : what is known beside the voxels (modality, source file, DICOM identifiers, ``unit`` of lengths).

    Raises
    ------
    BadInput : ``data`` is not 4-dimensional, or the affine is not finite and invertible.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        where = self.meta.get("source")
        if self.data.ndim != 4:
            raise BadInput(f"expected data of shape (C, I, J, K), got {self.data.shape}", where)
        check_affine(affine, where)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    def __repr__(self) -> str:
        """Its grid; never its voxels."""
        sizes = " x ".join(str(n) for n in self.data.shape)
        spacing = " x ".join(f"{length:.4g}" for length in self.spacing)
        return f"Volume({sizes} {self.data.dtype}, {spacing} {self.unit}, {self.orientation})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Grid size (I, J, K)."""
        return (int(self.data.shape[1]), int(self.data.shape[2]), int(self.data.shape[3]))

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self.data.shape[0])

    @property
    def missing(self) -> tuple[int, ...]:
        """Numbers of the channels without a single number: they stand for images that do not exist (``with_missing``)."""
        return tuple(n for n, channel in enumerate(self.data) if is_missing(channel))

    @property
    def present(self) -> NDArray[Any]:
        """The channels that are there, (at most C, I, J, K)."""
        missing = self.missing
        return self.data[[n for n in range(self.channels) if n not in missing]] if missing else self.data

    def with_missing(self, numbers: Sequence[int]) -> Volume:
        """The volume with channels of nothing but NaN put in, so that they have these numbers afterwards."""
        if not numbers:
            return self
        channels = [np.asarray(channel, np.float32) for channel in self.data]
        for number in sorted(numbers):
            channels.insert(number, np.full(self.shape, np.nan, np.float32))
        return self.with_data(np.stack(channels))

    @property
    def unit(self) -> str:
        """``"mm"``, or ``"pixel"`` where the source has no voxel size: then lengths are counted in pixels, each of 1."""
        return str(self.meta.get("unit", "mm"))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size in mm, order i j k."""
        return spacing_of(self.affine)

    @property
    def voxel_size(self) -> float:
        """Volume of a voxel in cubic mm (cubic pixels): by the determinant, so that leaning axes are right too."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def orientation(self) -> str:
        """Nearest anatomical axis codes such as ``"RAS"`` or ``"LPS"``: the direction in which i, j, k grow."""
        return orientation_of(self.affine)

    def with_data(self, data: NDArray[Any]) -> Volume:
        """The same grid with other voxels, shape (C, I, J, K)."""
        return replace(self, data=data)

    def same_grid(self, other: Volume, tolerance_mm: float = GEOMETRY_TOLERANCE_MM) -> bool:
        """Whether both volumes have one shape and every voxel lies within ``tolerance_mm`` of its partner."""
        return self.shape == other.shape and grid_distance(self.affine, other.affine, self.shape) <= tolerance_mm


def is_missing(channel: NDArray[Any]) -> bool:
    """Whether an array holds nothing but NaN: a channel that does not exist."""
    return bool(channel.dtype.kind == "f" and channel.size and np.isnan(channel.flat[0]) and np.isnan(channel).all())


def check_affine(affine: NDArray[np.float64], where: Any = None) -> None:
    """Refuse an affine that is not (4, 4), finite and invertible (BadInput)."""
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise BadInput("the affine is not a finite 4x4 matrix", where, "Repair the file's header")
    sizes = spacing_of(affine)
    if min(sizes) == 0 or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-6:
        reason = "a voxel axis has no length" if min(sizes) == 0 else "its voxel axes lie in one plane"
        raise BadInput(f"the affine cannot be inverted ({reason})", where, "Repair the file's header")


def spacing_of(affine: NDArray[np.float64]) -> tuple[float, float, float]:
    """Lengths of the voxel axes in mm, order i j k."""
    i, j, k = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    return (float(i), float(j), float(k))


#: Letters of the negative and positive direction along the world's axes.
_DIRECTIONS = ("LR", "PA", "IS")


def closest_axes(affine: NDArray[np.float64]) -> list[tuple[int, int]]:
    """World axis (0, 1, 2) and sign (-1, 1) that each voxel axis runs closest to; no two share a world axis.

    The clearest voxel axis chooses first, after shear is taken out (the closest rotation), as in nibabel, whose import alone
    takes a quarter of a second.
    """
    left, _, right = np.linalg.svd(affine[:3, :3] / np.array(spacing_of(affine)))
    cosines = left @ right
    found: dict[int, tuple[int, int]] = {}
    for axis in sorted(range(3), key=lambda n: -np.abs(cosines[:, n]).max()):
        world = int(np.abs(cosines[:, axis]).argmax())
        found[axis] = (world, -1 if cosines[world, axis] < 0 else 1)
        cosines[world] = 0  # taken
    return [found[axis] for axis in range(3)]


def orientation_of(affine: NDArray[np.float64]) -> str:
    """Axis codes of the closest axis-aligned orientation, e.g. ``"RAS"``."""
    return "".join(_DIRECTIONS[world][sign > 0] for world, sign in closest_axes(affine))


def axes_named(orientation: str) -> list[tuple[int, int]]:
    """World axis and sign of every letter of axis codes, e.g. of ``"RAS"``."""
    pairs = {letters[up]: (world, 2 * up - 1) for world, letters in enumerate(_DIRECTIONS) for up in (0, 1)}
    return [pairs[letter] for letter in orientation]


def grid_distance(a: NDArray[np.float64], b: NDArray[np.float64], shape: tuple[int, int, int]) -> float:
    """Largest distance in mm between the same corner voxel of two grids of one shape."""
    corners = np.array(
        [[x, y, z, 1.0] for x in (0, shape[0] - 1) for y in (0, shape[1] - 1) for z in (0, shape[2] - 1)]
    )
    return float(np.linalg.norm((corners @ (a - b).T)[:, :3], axis=1).max())
