"""A map over three slices of a scan, as radiologists look at them: where a network found the reason of an answer.

Slices go through the largest absolute value of the map. Knows volumes; does not know files or networks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.report.case_picture import PLANES, lay, to_ras
from voxloom.report.case_slices import name_sides, planes_of
from voxloom.report.style import INK, new_figure
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
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
    shown = len(planes_of(to_ras(image.with_data(image.present))[0].shape[1:]))
    figure = new_figure(2.3 * shown + 0.9, 2.9)
    draw_map(figure, figure.subplots(1, shown, squeeze=False)[0], image, maps)
    figure.suptitle(title, fontsize=9, color=INK)
    return figure


def draw_map(figure: Figure, panels: Any, image: Volume, maps: Volume) -> None:
    """The slices of :func:`map_slices` on given panels, with a bar."""
    data, spacing = to_ras(image.with_data(image.present))
    values = to_ras(maps)[0][0]
    center = np.unravel_index(int(np.abs(values).argmax()), values.shape)
    low, high = np.percentile(data[0], [1, 99.5])
    limit = float(np.abs(values).max()) or 1.0
    signed = bool(values.min() < 0)
    colors = (
        {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit} if signed else {"cmap": "inferno", "vmin": 0, "vmax": limit}
    )
    drawn: Any = None
    for axis, panel in zip(planes_of(data.shape[1:]), panels, strict=True):
        across, down = (n for n in range(3) if n != axis)
        place, aspect = int(center[axis]), spacing[down] / spacing[across]
        panel.imshow(
            lay(np.take(data[0], place, axis)), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect
        )
        plane = lay(np.take(values, place, axis))
        drawn = panel.imshow(plane, aspect=aspect, alpha=_COVER * np.abs(plane) / limit, **colors)
        _dress(panel, axis, place, data.shape)
    if drawn is not None:
        bar = figure.colorbar(_solid(drawn), ax=list(panels), fraction=0.05, pad=0.01)
        bar.ax.tick_params(labelsize=7)


def _solid(drawn: Any) -> Any:
    """The colors of a picture without its transparency, for the bar."""
    from matplotlib.cm import ScalarMappable

    return ScalarMappable(drawn.norm, drawn.cmap)


def _dress(panel: Axes, axis: int, place: int, shape: tuple[int, ...] | NDArray[Any]) -> None:
    panel.set_axis_off()
    if shape[3] > 1:
        panel.set_title(f"{PLANES[axis]}, slice {place + 1} of {shape[1 + axis]}", fontsize=7, color=INK)
        name_sides(panel, axis)
