"""The center of a joint in the plane of the slices: where two bones meet, found by the appearance learned from training cases.

One template per orientation of scan is learned: the mean look of the training cases around their joints. In a new scan it is laid
on every place; the best normalized cross-correlation wins. Works on the mean of the middle third of the slices, at 2 mm, with local
contrast evened out, so that coil shading and signal level do not matter. Knows no network. Measured in `benchmarks/RESULTS.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput

#: mm per pixel of the image that is searched; half the side of a template and least distance of a joint from the border, in pixels.
STEP_MM, HALF, BORDER = 2.0, 24, 12
_EVEN_SIGMA = 6.0
_GAP_MM = 4.0


@dataclass(frozen=True)
class JointModel:
    """Templates (49, 49) by the axis codes of the prepared scan, e.g. "RSA" for coronal slices."""

    templates: Mapping[str, tuple[tuple[float, ...], ...]]

    @classmethod
    def learn(cls, samples: Sequence[tuple[str, NDArray[np.float32]]]) -> JointModel:
        """The mean of the patches (axis codes, patch) of each orientation (BadInput when there is none)."""
        if not samples:
            raise BadInput("no training case shows both bones of the joint", "prepare.joint_labels", "Check the values")
        codes = sorted({code for code, _ in samples})
        means = {code: np.mean([patch for c, patch in samples if c == code], axis=0) for code in codes}
        return cls({code: tuple(tuple(row) for row in mean.round(3).tolist()) for code, mean in means.items()})

    def center(self, data: NDArray[Any], spacing: Sequence[float], codes: str) -> tuple[float, float]:
        """In-plane voxel position of the joint in (I, J, K); see ``in_plane`` for the axes.

        A scan in an orientation that no training case has is searched with the templates in which the head lies the same way.

        Raises
        ------
        BadInput : there is no such template.
        """
        searched, zoom = flattened(data, spacing)
        scores = [correlation(searched, np.array(self.templates[code], np.float32)) for code in self._fitting(codes)]
        score = np.max(scores, axis=0)
        edge = [min(BORDER, (n - 1) // 2) for n in score.shape]
        inner = score[edge[0] : score.shape[0] - edge[0], edge[1] : score.shape[1] - edge[1]]
        at = np.add(np.unravel_index(int(inner.argmax()), inner.shape), edge)
        return float((at[0] + 0.5) / zoom[0] - 0.5), float((at[1] + 0.5) / zoom[1] - 0.5)

    def _fitting(self, codes: str) -> list[str]:
        if codes in self.templates:
            return [codes]
        upright = lambda code: [letter if letter in "SI" else "" for letter in code]
        if found := [code for code in self.templates if upright(code) == upright(codes)]:
            return found
        known = ", ".join(self.templates)
        raise BadInput(
            f"no training case shows a joint in orientation {codes}, only in {known}",
            "prepare.crop",
            "Set prepare.orientation to slices",
        )


def in_plane(spacing: Sequence[float]) -> tuple[int, int]:
    """The two axes of a slice: all but the one of the largest spacing (the last of equal ones)."""
    thick = 2 - int(np.argmax(np.array(spacing)[::-1]))
    first, second = (axis for axis in range(3) if axis != thick)
    return first, second


def flattened(data: NDArray[Any], spacing: Sequence[float]) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """The mean of the middle third of the slices of (I, J, K) at about 2 mm with even local contrast, and pixels per voxel."""
    from scipy.ndimage import gaussian_filter, zoom

    a, b = in_plane(spacing)
    thick = 3 - a - b
    count = data.shape[thick]
    part = np.take(data, range(count // 3, count - count // 3), axis=thick).astype(np.float32).mean(axis=thick)
    part = np.nan_to_num(part, posinf=0, neginf=0)
    sizes = [max(1, round(n * spacing[axis] / STEP_MM)) for n, axis in zip(part.shape, (a, b), strict=True)]
    factors = (sizes[0] / part.shape[0], sizes[1] / part.shape[1])
    small = zoom(part, factors, order=1, grid_mode=True, mode="nearest").clip(*np.percentile(part, (1, 99)))
    mean = gaussian_filter(small, _EVEN_SIGMA)
    variance = gaussian_filter((small - mean) ** 2, _EVEN_SIGMA)
    even = (small - mean) / np.sqrt(variance + (0.05 * small.std()) ** 2 + 1e-12)
    return even.astype(np.float32), factors


def correlation(image: NDArray[np.float32], template: NDArray[np.float32]) -> NDArray[np.float64]:
    """Normalized cross-correlation of the template centered on every pixel (zeros around the image), shape of the image."""
    from scipy.signal import fftconvolve

    wide, centered = np.pad(image, HALF).astype(np.float64), template - template.mean()
    ones = np.ones_like(centered, dtype=np.float64)
    product = fftconvolve(wide, centered[::-1, ::-1], mode="valid")
    total, squares = (fftconvolve(x, ones, mode="valid") for x in (wide, wide**2))
    spread = np.maximum(squares - total**2 / ones.size, 1e-3)
    found: NDArray[np.float64] = product / np.sqrt(spread * float((centered**2).sum()) + 1e-12)
    return found


def sample(
    data: NDArray[Any], first: NDArray[np.bool_], second: NDArray[np.bool_], spacing: Sequence[float]
) -> NDArray[np.float32] | None:
    """The look (49, 49) of one case around its joint, or None where a bone is missing.

    Parameters
    ----------
    data : (I, J, K). first, second : masks of the two bones.
    """
    center = meeting_point(first, second, spacing)
    if center is None:
        return None
    searched, zoom = flattened(data, spacing)
    at = [round((center[axis] + 0.5) * z - 0.5) for axis, z in zip(in_plane(spacing), zoom, strict=True)]
    side = 2 * HALF + 1
    return np.pad(searched, HALF)[at[0] : at[0] + side, at[1] : at[1] + side]


def meeting_point(
    first: NDArray[np.bool_], second: NDArray[np.bool_], spacing: Sequence[float]
) -> tuple[float, ...] | None:
    """Where two masks (I, J, K) meet, in voxels: the middle of all places where the way from one to the other is shortest,
    up to 4 mm longer ones (10 mm at least) included; None where a mask is empty."""
    from scipy.ndimage import center_of_mass, distance_transform_edt

    if not first.any() or not second.any():
        return None
    way = distance_transform_edt(~first, sampling=spacing) + distance_transform_edt(~second, sampling=spacing)
    return tuple(float(x) for x in center_of_mass(way <= max(float(way.min()) + _GAP_MM, 10.0)))


def joint_box(
    shape: Sequence[int], spacing: Sequence[float], center: tuple[float, float], side_mm: float
) -> tuple[tuple[int, int], ...]:
    """A square window of ``side_mm`` around the center in the slice plane, whole along the slices, inside the volume.

    The window moves inwards where it would reach outside, and shrinks to the shorter side of the slice where it does not fit.
    """
    axes = in_plane(spacing)
    side = min(side_mm, *(shape[axis] * spacing[axis] for axis in axes))
    box = [(0, int(n)) for n in shape]
    for axis, middle in zip(axes, center, strict=True):
        length = min(int(shape[axis]), round(side / spacing[axis]))
        start = int(np.clip(round(middle + 0.5 - length / 2), 0, shape[axis] - length))
        box[axis] = (start, start + length)
    return tuple(box)
