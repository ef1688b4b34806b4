"""Post-processing steps of one structure's mask.

Knows masks, spacings and components (26 neighbors). Does not know label maps, nor whether a step helps; validation does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from voxloom.connected import connected
from voxloom.errors import BadInput

Mask = NDArray[np.bool_]
StepName = Literal["fill_holes", "smooth", "interpolate", "remove_small", "remove_fraction", "largest_activation"]

#: What a step takes when nothing is said: ml, mm, slices, ml, share of the mean volume; the last takes nothing.
DEFAULT_AMOUNT: dict[StepName, float] = {
    "fill_holes": float("inf"),
    "smooth": 1.0,
    "interpolate": 1.0,
    "remove_small": 0.1,
    "remove_fraction": 0.2,
    "largest_activation": 0.0,
}


@dataclass(frozen=True)
class Surroundings:
    """What a step may need beside the mask.

    Parameters
    ----------
    spacing : mm, order i j k.
    activation : gives the probability of the structure (I, J, K), for "largest_activation"; called only where it decides.
    mean_ml : mean volume of one structure in the training cases, for "remove_fraction".
    """

    spacing: tuple[float, float, float]
    activation: Callable[[], NDArray[Any]] | None = None
    mean_ml: float | None = None

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel."""
        return float(np.prod(self.spacing)) / 1000


def run_step(mask: Mask, step: StepName, amount: float, around: Surroundings) -> Mask:
    """A mask after one post-processing step.

    Parameters
    ----------
    mask : (I, J, K); not changed.
    step : "fill_holes" up to ``amount`` ml; "smooth" the border with a Gaussian of ``amount`` mm; "interpolate" up to ``amount``
        empty slices between two that are not; "remove_small" components below ``amount`` ml; "remove_fraction" components of
        at most ``amount`` times the mean volume of the structure in training; "largest_activation" keeps the component with
        the largest mean activation (the mean probability of the structure in it).

    Raises
    ------
    BadInput : the step needs an activation or a mean volume that is not there.
    """
    if not mask.any():
        return mask.copy()
    steps: dict[str, Callable[[Mask, float, Surroundings], Mask]] = {
        "fill_holes": _fill_holes,
        "smooth": _smooth,
        "interpolate": _interpolate,
        "remove_small": lambda m, ml, a: _components_above(m, ml / a.voxel_ml, strict=False),
        "remove_fraction": _remove_fraction,
        "largest_activation": lambda m, _, a: _largest_activation(m, a),
    }
    return steps[step](mask, amount, around)


def _fill_holes(mask: Mask, ml: float, around: Surroundings) -> Mask:
    """Fill what is enclosed on all sides; in a single slice, within the plane."""
    from scipy import ndimage

    flat = mask.squeeze()
    holes = (ndimage.binary_fill_holes(flat) & ~flat).reshape(mask.shape)
    if np.isfinite(ml) and holes.any():
        numbered, sizes = _components(holes, 6)
        holes &= (sizes * around.voxel_ml <= ml)[numbered]
    return np.asarray(mask | holes)


def _smooth(mask: Mask, mm: float, around: Surroundings) -> Mask:
    """Where more than half of the Gaussian neighborhood belongs to the mask; axes of one voxel are left alone."""
    from scipy import ndimage

    sigma = [mm / s if n > 1 else 0.0 for s, n in zip(around.spacing, mask.shape, strict=True)]
    smooth: Mask = ndimage.gaussian_filter(mask.astype(np.float32), sigma, mode="nearest") > 0.5
    return smooth


def _interpolate(mask: Mask, slices: float, around: Surroundings) -> Mask:
    """Fill gaps along the axis of the largest spacing from the signed distances of the slices around them.

    Shape-based interpolation (Raya and Udupa, IEEE TMI 1990).
    """
    axis = max((2, 1, 0), key=lambda a: around.spacing[a])
    out = mask.copy()
    planes = np.moveaxis(out, axis, 0)
    in_plane = [s for a, s in enumerate(around.spacing) if a != axis]
    filled = np.flatnonzero(planes.any(axis=(1, 2)))
    for low, high in pairwise(filled):
        if 1 < high - low <= slices + 1:
            ends = [_signed_distance(planes[n], in_plane) for n in (low, high)]
            for n in range(low + 1, high):
                share = (n - low) / (high - low)
                planes[n] = (1 - share) * ends[0] + share * ends[1] > 0
    return out


def _signed_distance(plane: Mask, spacing: list[float]) -> NDArray[np.float64]:
    """Distance in mm to the border, positive inside; the outside of the picture is outside."""
    from scipy import ndimage

    padded = np.pad(plane, 1)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing)
    outside = ndimage.distance_transform_edt(~padded, sampling=spacing)
    found: NDArray[np.float64] = (inside - outside)[1:-1, 1:-1]
    return found


def _remove_fraction(mask: Mask, share: float, around: Surroundings) -> Mask:
    if around.mean_ml is None:
        raise BadInput("the mean volume of the structure is not known", "remove_fraction", "Train the run anew")
    return _components_above(mask, share * around.mean_ml / around.voxel_ml, strict=True)


def _components_above(mask: Mask, voxels: float, *, strict: bool) -> Mask:
    """The components of more than (``strict``), or at least, so many voxels."""
    numbered, sizes = _components(mask, 26)
    keep = sizes > voxels if strict else sizes >= voxels
    keep[0] = False
    return np.asarray(keep[numbered])


def _largest_activation(mask: Mask, around: Surroundings) -> Mask:
    numbered, sizes = _components(mask, 26)
    if len(sizes) == 2:
        return mask.copy()
    if around.activation is None:
        raise BadInput("the probabilities of the prediction are not known", "largest_activation")
    sums = np.bincount(numbered.ravel(), weights=around.activation().astype(np.float64).ravel(), minlength=len(sizes))
    means = sums / np.maximum(sizes, 1)
    means[0] = -np.inf
    return np.asarray(numbered == means.argmax())


def _components(mask: Mask, neighbors: Literal[6, 26]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Number of each voxel's component (0 outside), and the voxels of each number."""
    numbered = connected(mask, neighbors)
    return numbered, np.bincount(numbered.ravel())
