"""A map over three slices of a scan, as radiologists look at them: where a network found the reason of an answer.

Slices go through the largest absolute value of the map. Knows volumes; does not know files or networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom.report.look import Look, cut, gray_limits
from voxloom.report.panels import name_sides
from voxloom.report.style import INK, new_figure
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: How much of the scan a map covers where it is largest.
_COVER = 0.65


def map_slices(image: Volume, maps: Volume, title: str) -> Figure:
    """One map over the slices through its largest value; the bar names its values.

    Parameters
    ----------
    image : (C, I, J, K); its first channel that is not missing is drawn.
    maps : (1, I, J, K) on the same grid.
    """
    look = Look.of(image)
    shown = len(look.planes(look.turned(image.data[0]).shape))
    figure = new_figure(2.3 * shown + 0.9, 2.9)
    draw_map(figure, figure.subplots(1, shown, squeeze=False)[0], image, maps)
    figure.suptitle(title, fontsize=9, color=INK)
    return figure


def draw_map(figure: Figure, panels: Any, image: Volume, maps: Volume) -> None:
    """The slices of :func:`map_slices` on given panels, with a bar."""
    look = Look.of(image)
    data, values = look.turned(image.present[0]), look.turned(maps.data[0])
    center = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    about = {key: str(image.meta.get(key, "")) for key in ("modality", "body_part")}
    low, high = gray_limits(data, modality=about["modality"], body_part=about["body_part"])
    limit = float(np.abs(values).max()) or 1.0
    signed = bool(values.min() < 0)
    colors = (
        {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "inferno", "vmin": 0, "vmax": limit}
    )
    drawn: Any = None
    for axis, panel in zip(look.planes(data.shape), panels, strict=True):
        place, aspect = int(center[axis]), look.proportion(axis)
        panel.imshow(cut(data, axis, place), cmap="gray", vmin=low, vmax=high, aspect=aspect)
        plane = cut(values, axis, place)
        drawn = panel.imshow(plane, aspect=aspect, alpha=_COVER * np.abs(plane) / limit, **colors)
        panel.set_axis_off()
        panel.set_title(look.name(axis, place, data.shape[axis]), fontsize=7, color=INK)
        name_sides(panel, look.sides(axis))
    if drawn is not None:
        bar = figure.colorbar(_solid(drawn), ax=list(panels), fraction=0.05, pad=0.01)
        bar.ax.tick_params(labelsize=7)


def _solid(drawn: Any) -> Any:
    """The colors of a picture without its transparency, for the bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(drawn.norm, drawn.cmap)
