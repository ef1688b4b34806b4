"""One slice of a case with the contours of its labels, as an SVG that carries its pixels along.

How a scan lies is said by ``look``. Draws the slice with most labeled voxels, or the middle one without a label. Runs in worker
processes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.case import Case
from voxloom.dataset.labels import Labels
from voxloom.errors import BadInput
from voxloom.report.look import PLANES, Look, gray_limits, lay
from voxloom.volume import Volume

RGB = ("red", "green", "blue")
_MOST_PIXELS = 320
_MOST_CHANNELS = 3


@dataclass(frozen=True)
class CasePicture:
    """Pictures of one case.

    Parameters
    ----------
    plane, index, count : the slice shown, counted from 1 along the plane's axis in RAS order.
    width, height : of the slice in voxels; ``aspect`` is height over width in mm.
    images : PNG data as base64, one per channel shown.
    contours : (label number, SVG path in voxels) for every label in the slice.
    sides : letters at the left, right, upper and lower side; none for a picture.
    """

    case: str
    plane: str
    index: int
    count: int
    width: int
    height: int
    aspect: float
    images: tuple[str, ...]
    contours: tuple[tuple[int, str], ...]
    sides: tuple[str, ...] = ()


def draw_case(task: tuple[Case, Labels | None, tuple[str, ...]]) -> CasePicture:
    """Read a case and draw it. The task is (case, labels, channel names). Raises BadInput for a broken image."""
    case, labels, channels = task
    image, label = case.read_image(), _label_of(case)
    channels = tuple(name for n, name in enumerate(channels) if n not in case.missing)
    look = Look.of(image)
    data, spacing = look.turned(image.present), look.spacing
    outer = None if label is None else look.turned(label.data[0])
    inside = None if outer is None else outer != (labels.background if labels else 0)
    axis, index = choose_slice(data.shape[1:], spacing, inside)
    cuts = np.stack([lay(np.take(channel, index, axis=axis)) for channel in data])
    across, down = [spacing[n] for n in _axes_of(axis)]
    height, width = cuts.shape[1:]
    return CasePicture(
        case=case.id,
        plane=PLANES[axis] if look.known else "",
        sides=look.sides(axis),
        index=index + 1,
        count=data.shape[1 + axis],
        width=width,
        height=height,
        aspect=float(height * down / (width * across)),
        images=_pictures(cuts, channels, data, inside, image.meta),
        contours=() if outer is None else _contours(lay(np.take(outer, index, axis=axis)), labels),
    )


def _label_of(case: Case) -> Volume | None:
    """The label, or None where it is broken or off its image: the picture then shows the image alone."""
    try:
        return case.read_label()
    except BadInput:
        return None


def choose_slice(
    shape: tuple[int, ...], spacing: tuple[float, float, float], inside: NDArray[np.bool_] | None
) -> tuple[int, int]:
    """Axis and index of the slice to show: in the finest plane (axial if all are), where most voxels are labeled."""
    axis = 2
    if shape[2] > 1:
        axis = next(a for a in (2, 1, 0) if spacing[a] > 0.99 * max(spacing))
    if inside is None or not inside.any():
        return axis, shape[axis] // 2
    areas = np.count_nonzero(inside, axis=tuple(a for a in range(3) if a != axis))
    return axis, int(np.argmax(areas))


def _axes_of(axis: int) -> tuple[int, int]:
    """RAS axes that run across and down the picture of a plane."""
    return ((1, 2), (0, 2), (0, 1))[axis]


def _pictures(
    cuts: NDArray[Any],
    channels: tuple[str, ...],
    data: NDArray[Any],
    inside: NDArray[np.bool_] | None,
    meta: Mapping[str, Any],
) -> tuple[str, ...]:
    if channels == RGB:
        return (_png(np.moveaxis(np.clip(cuts, 0, 255).astype(np.uint8), 0, -1)),)
    shown = list(zip(cuts, data, strict=True))[:_MOST_CHANNELS]
    return tuple(_png(_gray(cut, whole, inside, meta)) for cut, whole in shown)


def _gray(
    cut: NDArray[Any], whole: NDArray[Any], inside: NDArray[np.bool_] | None, meta: Mapping[str, Any]
) -> NDArray[np.uint8]:
    """0..255 between the limits that the volume (every n-th voxel of it) asks for."""
    step = max(1, round((whole.size / 200_000) ** (1 / 3)))
    few = np.s_[::step, ::step, ::step]
    labelled = None if inside is None else inside[few]
    modality, part = str(meta.get("modality", "")), str(meta.get("body_part", ""))
    low, high = gray_limits(whole[few], labelled, modality=modality, body_part=part)
    if not high > low:
        low, high = float(np.nanmin(cut)), float(np.nanmax(cut))
    scaled = (np.nan_to_num(cut.astype(np.float32)) - low) / max(high - low, 1e-12)
    return (255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels))
    factor = _MOST_PIXELS / max(picture.size)
    if factor < 1:
        picture = picture.resize((max(1, round(picture.width * factor)), max(1, round(picture.height * factor))))
    out = io.BytesIO()
    picture.save(out, format="PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode("ascii")


def _contours(outer: NDArray[Any], labels: Labels | None) -> tuple[tuple[int, str], ...]:
    if labels is None:
        return ()
    found = []
    for n, (_, mask) in enumerate(labels.masks(outer)):
        if mask.any():
            found.append((n, _outline(mask)))
    return tuple(found)


def _outline(mask: NDArray[np.bool_]) -> str:
    """SVG path around a mask, in voxels with (0, 0) at the corner of the first one."""
    from contourpy import contour_generator

    path = ""
    for line in contour_generator(z=np.pad(mask.astype(np.float32), 1)).lines(0.5):
        points = np.asarray(line)[:-1] - 0.5
        path += "M" + "L".join(f"{x:.4g} {y:.4g}" for x, y in points) + "Z"
    return path
