"""Scans made worse step by step, with their truth: what a model may meet beside the data it was trained on.

Knows volumes; knows no model. Every stress draws from the generator it is given, so a case meets the same noise in every run.
Truth follows the content of the image: what is rotated, flipped or cropped in the scan is so in the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.prepare.resample import apply_taps, image_taps, positions
from voxloom.volume import Volume

Array = NDArray[Any]


@dataclass(frozen=True)
class Stressed:
    """A stressed scan, the truth it is scored against, and the way back.

    Parameters
    ----------
    image : what the model is given.
    truth : label map (1, I, J, K) on the grid on which the score is taken.
    restore : takes the label map of ``image`` to the grid of ``truth``.
    """

    image: Volume
    truth: Volume
    restore: Callable[[Volume], Volume] = lambda prediction: prediction


@dataclass(frozen=True)
class Stress:
    """One way in which scans get worse.

    Parameters
    ----------
    name, title : for commands, for people.
    unit : of the levels, "" for names.
    levels : from mild to severe.
    apply : (image, truth, level, generator) -> what the model meets.
    """

    name: str
    title: str
    unit: str
    levels: tuple[float, ...] | tuple[str, ...]
    apply: Callable[[Volume, Volume, Any, np.random.Generator], Stressed]

    def level_text(self, level: float | str) -> str:
        """A level for the axis of a figure."""
        return level if isinstance(level, str) else f"{level:g}"


def add_noise(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """Normal noise whose SD is ``level`` times the SD of each channel."""
    data = image.data.astype(np.float32)
    spread = data.std(axis=(1, 2, 3), keepdims=True)
    noise = random.standard_normal(data.shape, dtype=np.float32)
    return Stressed(image.with_data(data + level * spread * noise), truth)


def add_bias_field(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """Smooth shading: a polynomial of order 2 in the position, from 1 / (1 + level) to 1 + level, one for all channels."""
    axes = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in image.shape]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    terms = (x, y, z, x * x, y * y, z * z, x * y, y * z, x * z)
    field = np.zeros(image.shape)
    for weight, term in zip(random.normal(size=len(terms)), terms, strict=True):
        field = field + weight * term
    span = np.ptp(field)
    exponent = 2 * (field - field.min()) / span - 1 if span else field
    data = image.data.astype(np.float32)
    floor = data.min(axis=(1, 2, 3), keepdims=True)  # shading dims what is above the darkest voxel, in HU too
    return Stressed(image.with_data(floor + (data - floor) * ((1 + level) ** exponent).astype(np.float32)), truth)


def blur(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """Gaussian blur whose SD is ``level`` times the finest voxel size, in mm along every axis."""
    from scipy.ndimage import gaussian_filter

    finest = min(mm for mm, n in zip(image.spacing, image.shape, strict=True) if n > 1)
    sigma = [level * finest / mm if n > 1 else 0 for mm, n in zip(image.spacing, image.shape, strict=True)]
    data = np.stack([gaussian_filter(c.astype(np.float32), sigma) for c in image.data])
    return Stressed(image.with_data(data), truth)


def lower_resolution(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """Voxels ``level`` times as wide along the two finest axes; the truth keeps its grid."""
    return _coarser(image, truth, [level if axis != thick_axis(image) else 1.0 for axis in range(3)])


def thicker_slices(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """Slices ``level`` times as thick across the coarsest axis; the truth keeps its grid."""
    return _coarser(image, truth, [level if axis == thick_axis(image) else 1.0 for axis in range(3)])


def thick_axis(image: Volume) -> int:
    """The axis across the slices: the only one of length 1, else the coarsest, the last one of several."""
    if 1 in image.shape:
        return image.shape.index(1)
    rounded = [round(mm, 3) for mm in image.spacing]
    return 2 - rounded[::-1].index(max(rounded))


def _coarser(image: Volume, truth: Volume, factors: list[float]) -> Stressed:
    counts = [max(1, round(n / f)) for n, f in zip(image.shape, factors, strict=True)]
    scales = [n / m for n, m in zip(image.shape, counts, strict=True)]
    at = [positions(m, s, (s - 1) / 2) for m, s in zip(counts, scales, strict=True)]
    taps = [image_taps(p, n, s, "linear") for p, n, s in zip(at, image.shape, scales, strict=True)]
    step = np.eye(4)
    step[:3, :3], step[:3, 3] = np.diag(scales), [(s - 1) / 2 for s in scales]
    data = np.stack([apply_taps(channel.astype(np.float32), taps) for channel in image.data])
    nearest = [
        np.clip(np.rint((np.arange(n) + 0.5) / s - 0.5), 0, m - 1).astype(int)
        for n, m, s in zip(image.shape, counts, scales, strict=True)
    ]
    coarse = Volume(data, image.affine @ step, image.meta)
    return Stressed(coarse, truth, lambda found: truth.with_data(found.data[np.ix_([0], *nearest)]))


def rotate(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """The patient turned by ``level`` degrees within the slices, about the middle of the volume."""
    from scipy.ndimage import affine_transform

    axis, angle = thick_axis(image), np.deg2rad(level)
    a, b = (n for n in range(3) if n != axis)
    spacing = np.array(image.spacing)
    turn = np.eye(3)
    turn[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    matrix = turn * spacing[None, :] / spacing[:, None]  # a rotation in mm, written for voxels
    middle = (np.array(image.shape) - 1) / 2
    offset = middle - matrix @ middle
    turned = [
        affine_transform(c.astype(np.float32), matrix, offset, order=1, mode="constant", cval=float(c.min()))
        for c in image.data
    ]
    label = affine_transform(truth.data[0], matrix, offset, order=0, mode="constant", cval=0)
    return Stressed(image.with_data(np.stack(turned)), truth.with_data(label[None]))


def scale_intensity(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """All intensities times ``level``."""
    return Stressed(image.with_data(image.data.astype(np.float32) * np.float32(level)), truth)


#: Curves of brightness, as shares of the range between percentiles 0.5 and 99.5: (from, to) points, linear between them.
_CURVES = {
    "gamma 0.5": tuple((x / 64, (x / 64) ** 0.5) for x in range(65)),
    "gamma 2": tuple((x / 64, (x / 64) ** 2) for x in range(65)),
    "T1-like": ((0.0, 0.0), (0.3, 0.55), (0.6, 1.0), (1.0, 0.3)),
    "fat-suppressed": ((0.0, 0.0), (0.3, 0.45), (0.6, 0.1), (1.0, 1.0)),
    "inverted": ((0.0, 1.0), (1.0, 0.0)),
}


def change_contrast(image: Volume, truth: Volume, level: str, random: np.random.Generator) -> Stressed:
    """Brightness moved along the curve ``level``, channel by channel; beyond the percentiles it keeps the end's value.

    A curve changes all tissues of one brightness alike, which no sequence does: it says whether a model leans on contrast, not
    what its Dice on a real T1 will be.
    """
    curve = np.array(_CURVES[level])
    data = image.data.astype(np.float32)
    for channel in data:
        low, high = np.percentile(channel, (0.5, 99.5))
        share = (channel - low) / max(float(high - low), 1e-6)
        channel[...] = low + (high - low) * np.interp(share, curve[:, 0], curve[:, 1])
    return Stressed(image.with_data(data), truth)


#: Names of mirrored directions, and the anatomical axis of each.
_MIRRORED = {"left-right": 0, "front-back": 1, "head-feet": 2}


def wrong_orientation(image: Volume, truth: Volume, level: str, random: np.random.Generator) -> Stressed:
    """Voxels mirrored along one anatomical direction while the header stays: what a lost or wrong header does."""
    closest = np.abs(image.affine[_MIRRORED[level], :3]) / np.array(image.spacing)
    axis = 1 + int(closest.argmax())
    return Stressed(
        image.with_data(np.flip(image.data, axis).copy()), truth.with_data(np.flip(truth.data, axis).copy())
    )


def crop(image: Volume, truth: Volume, level: float, random: np.random.Generator) -> Stressed:
    """``level`` of every axis' length cut off at both ends; the truth is cut with it."""
    cuts = [round(level * n) if n > 1 else 0 for n in image.shape]
    box = (slice(None), *(slice(c, n - c) for c, n in zip(cuts, image.shape, strict=True)))
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array(cuts)
    return Stressed(
        Volume(image.data[box].copy(), affine, image.meta), Volume(truth.data[box].copy(), affine, truth.meta)
    )


#: Every stress by its name, in the order of reports.
STRESSES = {
    stress.name: stress
    for stress in (
        Stress("noise", "Noise", "SD of the image", (0.1, 0.25, 0.5, 1.0), add_noise),
        Stress("bias", "Bias field", "shading, factor - 1", (0.25, 0.5, 1.0, 2.0), add_bias_field),
        Stress("blur", "Blur", "finest voxels, SD", (0.5, 1.0, 2.0, 3.0), blur),
        Stress(
            "resolution", "Lower resolution", "times the voxel in the slice", (1.5, 2.0, 3.0, 4.0), lower_resolution
        ),
        Stress("slices", "Thicker slices", "times the thickness", (2.0, 3.0, 4.0, 6.0), thicker_slices),
        Stress("rotation", "Rotation", "degrees", (5.0, 10.0, 20.0, 45.0), rotate),
        Stress("intensity", "Intensity scale", "times", (1.2, 1.5, 2.0, 4.0), scale_intensity),
        Stress("contrast", "Contrast", "", tuple(_CURVES), change_contrast),
        Stress("orientation", "Wrong orientation", "", tuple(_MIRRORED), wrong_orientation),
        Stress("crop", "Crop", "of the length, each end", (0.05, 0.1, 0.2, 0.3), crop),
    )
}


def stresses_named(names: str | None) -> list[Stress]:
    """Stresses from names parted by commas, all for None; an unknown name is refused (BadInput)."""
    import difflib

    wanted = list(STRESSES) if names is None else [part.strip() for part in names.split(",") if part.strip()]
    for name in wanted:
        if name not in STRESSES:
            close = difflib.get_close_matches(name, STRESSES, n=1)
            hint = f"Did you mean {close[0]}? " if close else ""
            raise BadInput(f"no stress {name!r}", None, f"{hint}Choose of {', '.join(STRESSES)}")
    return [STRESSES[name] for name in wanted]
