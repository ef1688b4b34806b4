"""Three slices of a case with the contours of its labels, as radiologists look at them; of a picture, the picture.

The patient's right is on the left of the picture, front or head is up, sagittal slices look to the left; every slice names its
plane, its place and its sides. Knows volumes on any grid; does not know files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.report.case_picture import PLANES, lay, to_ras
from voxloom.report.figures import draw_contours
from voxloom.report.style import INK, SOFT, color_of, new_figure
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Sides that lie left, right, above and below in a sagittal, a coronal and an axial slice.
_SIDES = (("A", "P", "H", "F"), ("R", "L", "H", "F"), ("R", "L", "A", "P"))
#: Width and height of the figure in inches, for three slices and for one.
_THREE, _ONE = (6.0, 2.7), (4.0, 3.4)
#: Labels that the legend names.
_NAMED = 8


def case_slices(image: Volume, masks: Sequence[tuple[Volume, str]], labels: Labels) -> Figure:
    """A sagittal, a coronal and an axial slice, each where the first mask that has a label has most of it.

    An axis of one voxel leaves one slice. That of a picture (K = 1) names no plane and no sides, since a picture says nothing
    about the patient.

    Parameters
    ----------
    image : the first channel that is not missing is drawn.
    masks : (label map (1, I, J, K) of outer values on the grid of the image, matplotlib line style), e.g. truth "-" and
        prediction "--".
    """
    data, spacing = to_ras(image.with_data(image.present))
    inner = [(labels.encode(to_ras(mask)[0][0]), style) for mask, style in masks]
    planes = planes_of(data.shape[1:])
    figure = new_figure(*(_ONE if len(planes) == 1 else _THREE))
    low, high = np.percentile(data[0], [1, 99.5])
    for axis, panel in zip(planes, figure.subplots(1, len(planes), squeeze=False)[0], strict=True):
        panel.set_axis_off()
        across, down = (n for n in range(3) if n != axis)
        place = most_labelled([mask for mask, _ in inner], data.shape[1:], axis)
        shades = lay(np.take(data[0], place, axis))
        panel.imshow(shades, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=spacing[down] / spacing[across])
        for mask, style in inner:
            draw_contours(panel, lay(np.take(mask, place, axis)), style)
        if data.shape[3] > 1:
            panel.set_title(f"{PLANES[axis]}, slice {place + 1} of {data.shape[1 + axis]}", fontsize=9, color=INK)
            name_sides(panel, axis)
    _legend(figure, inner, labels)
    return figure


def planes_of(shape: Sequence[int]) -> tuple[int, ...]:
    """Axes along which a grid (I, J, K) is cut: all three, or the one that is a single voxel thick."""
    thin = [axis for axis in range(3) if shape[axis] < 2]
    return (thin[-1],) if thin else (0, 1, 2)


def most_labelled(masks: Sequence[NDArray[Any]], shape: Sequence[int], axis: int) -> int:
    """The slice with the most labelled voxels of the first mask that has any, else the middle."""
    for mask in masks:
        if mask.any():
            return int(np.count_nonzero(mask, axis=tuple(n for n in range(3) if n != axis)).argmax())
    return shape[axis] // 2


def name_sides(panel: Axes, axis: int) -> None:
    """The letters of the patient's sides around a slice."""
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.97), (0.5, 0.03))
    for name, (x, y) in zip(_SIDES[axis], places, strict=True):
        panel.text(
            x, y, name, transform=panel.transAxes, fontsize=9, color="white", ha="center", va="center", alpha=0.85
        )


def _legend(figure: Figure, inner: Sequence[tuple[NDArray[Any], str]], labels: Labels) -> None:
    """Names of the labels that occur; with regions, of the values that make them up."""
    from matplotlib.lines import Line2D

    values = sorted({int(v) for mask, _ in inner for v in np.unique(mask) if 0 < v <= len(labels.atoms)})[:_NAMED]
    if not values:
        return
    names = {n: _name_of(labels, value) for n, value in enumerate(labels.atoms, start=1)}
    lines = [Line2D([], [], color=color_of(value - 1), label=names[value]) for value in values]
    figure.legend(
        handles=lines, loc="outside lower center", ncols=len(lines), fontsize=9, frameon=False, labelcolor=SOFT
    )


def _name_of(labels: Labels, value: int) -> str:
    """The label of a value; of several the one with the fewest values."""
    owners = [label for label in labels.foreground if value in label.values]
    return min(owners, key=lambda label: len(label.values)).name
