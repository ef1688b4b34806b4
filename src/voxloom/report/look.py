"""How a scan is looked at: which way its slices lie on the page, what lies at their four sides, and which gray values are shown.

The one place for the display of every picture. Known geometry is shown as radiologists see it: the patient's right on the left of the
picture, front or head up, sagittal slices with the front to the left, true proportions. A picture without geometry lies as stored
(column to the right, row down), and nothing is said of the patient. Knows no files and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from voxloom.evaluation.units import PIXEL
from voxloom.prepare.reorient import Turn, turn_to
from voxloom.prepare.windows import HU_WINDOWS
from voxloom.volume import Volume, axes_named, spacing_of

PLANES = ("sagittal", "coronal", "axial")
#: Letters at the left, right, upper and lower side of a sagittal, a coronal and an axial slice.
SIDES = (("A", "P", "S", "I"), ("R", "L", "S", "I"), ("R", "L", "A", "P"))
#: Axes grow as those of a picture: column to the left of the patient, row to the back.
_AS_STORED = np.diag([-1.0, -1.0, 1.0, 1.0])
#: Hounsfield units: air lies below, and something above, in every CT; no normalized image and no MR goes so low.
_AIR, _TISSUE = -900.0, 100.0
#: Lung lies between these; where it fills this share of what is not air, the scan is of a chest.
_AERATED, _CHEST = (-950.0, -500.0), 0.2
#: Words of a body part, of the chest and of more than it.
_CHESTS, _MORE = ("CHEST", "LUNG", "THORAX"), ("ABD", "PELVIS", "NECK", "SPINE", "WHOLE")
#: Voxels around a structure that tell whether it lies in the lung.
_AROUND = 2
#: Above this median a labelled structure is bone, below that it is lung.
_BONE, _LUNG = 200.0, -400.0

Limits = tuple[float, float]
Grid = NDArray[Any]


@dataclass(frozen=True)
class Look:
    """How the slices of one grid lie on the page.

    Parameters
    ----------
    turn : from the grid's axes to axes that grow to the right, front and head.
    spacing : of the turned axes, mm; pixels where there is no geometry.
    known : whether the axes mean anything in the patient.
    """

    turn: Turn
    spacing: tuple[float, float, float]
    known: bool = True

    @classmethod
    def of(cls, volume: Volume) -> Look:
        """Of a scan, by its affine; of a picture without voxel size as stored."""
        return cls.at(volume.affine, known=volume.unit != PIXEL)

    @classmethod
    def at(cls, affine: NDArray[np.float64], *, known: bool = True) -> Look:
        """Of a grid (4, 4)."""
        turn, spacing = turn_to(affine if known else _AS_STORED, "RAS"), spacing_of(affine)
        i, j, k = (spacing[axis] for axis in turn.order)
        return cls(turn, (i, j, k), known)

    @classmethod
    def prepared(cls, orientation: str | None, spacing: Sequence[float], *, known: bool = True) -> Look:
        """Of a prepared grid: axes that grow as its codes say, e.g. "RAS"; without three codes as stored.

        Parameters
        ----------
        spacing : mm, order i j k of the prepared grid.
        """
        if orientation is None or len(orientation) != 3 or not known:
            return cls.at(_AS_STORED @ np.diag([*spacing, 1.0]), known=False)
        affine = np.eye(4)
        affine[:3, :3] = 0
        for axis, (world, sign) in enumerate(axes_named(orientation)):
            affine[world, axis] = sign * spacing[axis]
        return cls.at(affine)

    def turned(self, grid: Grid) -> Grid:
        """A view of (..., I, J, K) with axes to the right, front and head."""
        return self.turn.apply(grid)

    def axis_of(self, stored: int) -> int:
        """The turned axis that a stored one became."""
        return self.turn.order.index(stored)

    def planes(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Turned axes along which a turned grid (I, J, K) is cut: all three, or the one that is a single voxel thick."""
        thin = [axis for axis in range(3) if shape[axis] < 2]
        return (thin[-1],) if thin else (0, 1, 2)

    def sides(self, axis: int) -> tuple[str, ...]:
        """Letters at the left, right, upper and lower side of a slice across a turned axis; none without geometry."""
        return SIDES[axis] if self.known else ()

    def name(self, axis: int, place: int, count: int) -> str:
        """``axial 12 of 30``; of a grid without geometry the slice alone, and nothing of a picture."""
        if not self.known:
            return f"slice {place + 1} of {count}" if count > 1 else ""
        return f"{PLANES[axis]} {place + 1} of {count}" if count > 1 else PLANES[axis]

    def proportion(self, axis: int) -> float:
        """Height of a pixel over its width, in a slice across a turned axis."""
        across, down = (n for n in range(3) if n != axis)
        return self.spacing[down] / self.spacing[across]


def lay(cut: Grid) -> Grid:
    """A slice of a turned grid as rows and columns: right of the patient left, front or head up; sagittal with the front left."""
    return cut.T[::-1, ::-1]


def cut(turned: Grid, axis: int, place: int) -> Grid:
    """Rows and columns of one slice of a turned grid (I, J, K)."""
    return lay(np.take(turned, place, axis))


def most_labelled(masks: Sequence[Grid], shape: Sequence[int], axis: int) -> int:
    """The slice with the most labelled voxels of the first mask that has any, else the middle."""
    for mask in masks:
        if mask.any():
            return int(np.count_nonzero(mask, axis=tuple(n for n in range(3) if n != axis)).argmax())
    return shape[axis] // 2


def is_ct(image: Grid, modality: str = "") -> bool:
    """Whether gray values are Hounsfield units: by the modality, or because they reach from air to tissue."""
    if modality:
        return modality.upper() == "CT"
    return bool(np.nanmin(image) <= _AIR and np.nanmax(image) >= _TISSUE)


def is_chest(image: Grid, body_part: str = "") -> bool:
    """Whether a CT is of the chest: by the body part where that is plain, or because lung fills much of it."""
    part = body_part.upper()
    if part and not any(word in part for word in _MORE):
        return any(word in part for word in _CHESTS)
    lung = np.count_nonzero((image > _AERATED[0]) & (image < _AERATED[1]))
    return bool(lung > _CHEST * (lung + np.count_nonzero(image >= _AERATED[1])))


def _window_of(image: Grid, labelled: Grid | None, body_part: str) -> str:
    """The name of the CT window: of what is labelled and what that lies in, else of the body part."""
    if labelled is None or not labelled.any():
        return "lung" if is_chest(image, body_part) else "organ"
    middle = float(np.nanmedian(image[labelled]))
    if middle > _BONE or middle < _LUNG:
        return "bone" if middle > _BONE else "lung"
    around = ndimage.binary_dilation(labelled, iterations=_AROUND) & ~labelled
    return (
        "lung"
        if around.any() and float(np.nanmedian(image[around])) < _LUNG and is_chest(image, body_part)
        else "organ"
    )


def gray_limits(
    image: Grid,
    labelled: Grid | None = None,
    *,
    window: Limits | None = None,
    modality: str = "",
    body_part: str = "",
) -> Limits:
    """Darkest and brightest value that is shown.

    Parameters
    ----------
    image : values of the whole scan.
    labelled : bool of the same shape; in CT the window shows what is labelled: bone, lung, what lies in the lung, or soft tissue.
    window : what the run itself clips to, which is shown then.
    modality, body_part : of the scan or channel, where they are known.
    """
    if window is not None:
        return window
    if is_ct(image, modality):
        return HU_WINDOWS[_window_of(image, labelled, body_part)]
    low, high = (float(v) for v in np.nanpercentile(image, [1, 99.5]))
    return (low, max(high, low + 1e-6))
