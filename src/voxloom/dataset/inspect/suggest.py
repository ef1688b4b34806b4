"""Orientation, spacing and size to prepare a data set with, each with its reason in words.

Knows nnU-Net's rule for the spacing (Isensee et al. 2021, doi 10.1038/s41592-020-01008-z). Decides from the fingerprint
alone; what the machine and the time allow is the planner's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.dataset.inspect.fingerprint import Fingerprint

#: A voxel this many times longer than wide is anisotropic.
ANISOTROPIC = 3.0
#: Voxels of the suggested patch: what a common graphics card trains on.
PATCH_VOXELS = 128**3
_MULTIPLE = 16
_Three = tuple[float, float, float]


@dataclass(frozen=True)
class Suggestion:
    """How to prepare a data set.

    Parameters
    ----------
    orientation : axis codes to turn every case to, or None for pictures.
    spacing : mm along left-right, front-back, feet-head (pictures: along their own axes), or None without any case.
    size : voxels of a training patch on that grid.
    reasons : one sentence per choice.
    """

    orientation: str | None
    spacing: _Three | None
    size: tuple[int, int, int] | None
    reasons: tuple[str, ...]


def suggest(found: Fingerprint) -> Suggestion:
    """The suggestion for the readable cases of a fingerprint."""
    cases = found.readable
    if not cases:
        return Suggestion(None, None, None, ("No case could be read, so nothing can be suggested.",))
    flat = all(case.shape[2] == 1 for case in cases)
    orientation, why_orientation = _orientation(found, flat)
    spacings = np.array([case.spacing if flat else case.ras_spacing for case in cases])
    shapes = np.array([case.shape if flat else case.ras_shape for case in cases], dtype=float)
    spacing, why_spacing = _spacing(spacings, shapes)
    if found.unit == "pixel":
        why_spacing = "Spacing: as stored, because the images have no voxel size."
    resampled = np.median(shapes * spacings / np.array(spacing), axis=0)
    size, why_size = _size(resampled, np.array(spacing))
    return Suggestion(orientation, spacing, size, (why_orientation, why_spacing, why_size))


def _orientation(found: Fingerprint, flat: bool) -> tuple[str | None, str]:
    if found.unit == "pixel" and not flat:
        return None, "Orientation: as stored, because the images do not say how they lie."
    if flat:
        return None, "Orientation: as stored, because the cases are single pictures."
    counts = ", ".join(f"{n} {code}" for code, n in found.orientations.items())
    if len(found.orientations) == 1:
        code = next(iter(found.orientations))
        same = "they are in it already" if code == "RAS" else "results are turned back to the grid of the input"
        return "RAS", f"Orientation: RAS. All cases are {code}; {same}."
    return (
        "RAS",
        f"Orientation: RAS, because the cases differ ({counts}) and a network must see all the same way round.",
    )


def _spacing(spacings: np.ndarray, shapes: np.ndarray) -> tuple[_Three, str]:
    """Median per axis; along an anisotropic axis the 10th percentile, not finer than the other axes."""
    median = np.median(spacings, axis=0)
    axis = int(np.argmax(median))
    others = [n for n in range(3) if n != axis]
    size = np.median(shapes, axis=0)
    name = ("left-right", "front-back", "feet-head")[axis]
    if np.ptp(spacings, axis=0).max() < 1e-3:
        told = f"Spacing: {_mm(median)}, which every case has."
        ratio = median[axis] / median[others].max()
        told += f" Slices are {ratio:.1f} times thicker ({name}) than their pixels." if ratio > ANISOTROPIC else ""
        return _three(median), told
    thick = median[axis] > ANISOTROPIC * median[others].max() and size[axis] * ANISOTROPIC < size[others].min()
    if not thick:
        low, high = spacings.min(axis=0), spacings.max(axis=0)
        return _three(median), f"Spacing: {_mm(median)}, the median along each axis (from {_mm(low)} to {_mm(high)})."
    chosen = median.copy()
    chosen[axis] = max(float(np.percentile(spacings[:, axis], 10)), float(median[others].max()))
    told = (
        f"Spacing: {_mm(chosen)}. In plane the median; slices ({name}) are more than {ANISOTROPIC:.0f} times thicker "
        f"than their pixels, so the 10th percentile ({chosen[axis]:.3g} mm, median {median[axis]:.3g} mm) keeps the "
        "detail of the thinner slices."
    )
    return _three(chosen), told


def _size(shape: np.ndarray, spacing: np.ndarray) -> tuple[tuple[int, int, int], str]:
    """A patch as cubic in mm as the image allows, at most about ``PATCH_VOXELS``, with sides that can be halved."""
    active = shape > 1.5
    edge = _fitting_edge(shape, spacing, active)
    wanted = np.where(active, np.minimum(edge / spacing, shape), 1)
    size = tuple(_rounded(w) if a else 1 for w, a in zip(wanted, active, strict=True))
    full = " x ".join(f"{v:.0f}" for v in shape)
    text = " x ".join(str(v) for v in size)
    if np.prod(shape) <= PATCH_VOXELS:
        why = f"it holds the median case ({full} voxels at that spacing) whole"
    else:
        why = f"the median case ({full} voxels) is too large for one step; the patch is as cubic in mm as it allows"
    return (size[0], size[1], size[2]), f"Size: {text} voxels; {why}. Sides are multiples of what the network halves."


def _fitting_edge(shape: np.ndarray, spacing: np.ndarray, active: np.ndarray) -> float:
    """Edge in mm of the largest cube that, cut to the image, has at most ``PATCH_VOXELS`` voxels."""
    low, high = 0.0, float((shape * spacing).max())
    for _ in range(50):
        edge = (low + high) / 2
        voxels = np.prod(np.where(active, np.minimum(edge / spacing, shape), 1))
        low, high = (edge, high) if voxels <= PATCH_VOXELS else (low, edge)
    return high


def _rounded(voxels: float) -> int:
    """Next multiple of 16, of 8 below 32 and of 4 below 16."""
    step = _MULTIPLE if voxels > 2 * _MULTIPLE else _MULTIPLE // 2 if voxels > _MULTIPLE else _MULTIPLE // 4
    return max(step, int(np.ceil(round(voxels, 3) / step)) * step)


def _three(values: np.ndarray) -> _Three:
    return (round(float(values[0]), 6), round(float(values[1]), 6), round(float(values[2]), 6))


def _mm(values: np.ndarray) -> str:
    return " x ".join(f"{v:.3g}" for v in values) + " mm"
