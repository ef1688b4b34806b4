"""Slices with true and predicted landmarks: the farthest and missed ones first, then the nearest.

Knows scans, points and scored rows; does not know runs. Figures 7.6, 7.7, 7.9 and 7.10 of Lamerigts (2017) are of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxloom.evaluation.points import PointRow, slice_axis
from voxloom.points import Key, Point, centers
from voxloom.prepare.reorient import turn_to
from voxloom.report.style import ALERT, COLORS, new_figure
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What lies left, right, above and below in the picture, by the RAS axis that runs across the slice.
_SIDES = {0: ("A", "P", "H", "F"), 1: ("R", "L", "H", "F"), 2: ("R", "L", "A", "P")}
#: RAS axes of a picture, from left to right and from below to above, by the axis across.
_ACROSS = {0: (1, 2), 1: (0, 2), 2: (0, 1)}
_PLANES = ("sagittal", "coronal", "axial")
_TRUE = COLORS[2]


@dataclass(frozen=True)
class Marked:
    """A scan with its true and predicted points."""

    image: Volume
    truth: tuple[Point, ...]
    found: tuple[Point, ...]


def worst_rows(rows: Sequence[PointRow], count: int) -> list[PointRow]:
    """The landmarks that went most wrong: missed ones, then the farthest in 3D, of as many cases as there are."""
    wrong = [row for row in rows if row.outcome != "invented"]
    order = sorted(wrong, key=lambda row: -np.inf if row.outcome == "missed" else -row.distance)
    first = list({row.case: row for row in reversed(order)}.values())[::-1]  # the worst of every case
    chosen = [*sorted(first, key=order.index), *(row for row in order if row not in first)]
    return chosen[:count]


def best_rows(rows: Sequence[PointRow], count: int) -> list[PointRow]:
    """The nearest predictions."""
    return sorted((row for row in rows if row.outcome == "found"), key=lambda row: row.distance)[:count]


def point_slices(rows: Sequence[PointRow], scans: Mapping[str, Marked], within: float) -> Figure:
    """A panel per landmark: the slice through its true mark, all true marks near it as rings, predictions as crosses.

    Parameters
    ----------
    scans : by case; rows of other cases are left out.
    within : mm of the ring.
    """
    drawn = [row for row in rows if row.case in scans]
    columns = min(4, max(1, len(drawn)))
    lines = -(-len(drawn) // columns) or 1
    figure = new_figure(2.6 * columns, 3.0 * lines)
    panels = figure.subplots(lines, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, row in zip(panels, drawn, strict=False):
        _draw(panel, row, scans[row.case], within)
    return figure


def _draw(panel: Axes, row: PointRow, scan: Marked, within: float) -> None:
    from matplotlib.patches import Ellipse

    true, found = centers(scan.truth), centers(scan.found)
    place = true[Key(row.name, row.side)].position
    turn = turn_to(scan.image.affine, "RAS")
    affine = scan.image.affine @ turn.matrix(scan.image.shape)
    data, inverse = turn.apply(scan.image.data)[0], np.linalg.inv(affine)
    mm = np.linalg.norm(affine[:3, :3], axis=0)
    across = slice_axis(affine)
    right, up = _ACROSS[across]

    def voxel(position: Sequence[float]) -> np.ndarray:
        return np.asarray((inverse @ np.array([*position, 1.0]))[:3])

    index = int(np.clip(round(float(voxel(place)[across])), 0, data.shape[across] - 1))
    plane = np.take(data, index, axis=across).astype(np.float32)
    low, high = np.percentile(plane, [1, 99.5])
    panel.imshow(
        plane.T,
        cmap="gray",
        origin="lower",
        aspect=mm[up] / mm[right],
        vmin=low,
        vmax=max(float(high), float(low) + 1e-6),
    )
    for key, point in true.items():
        at = voxel(point.position)
        if abs(at[across] - index) * mm[across] <= 1.5 * mm[across]:
            own = key == Key(row.name, row.side)
            wide, high = (2 * within / mm[axis] for axis in (right, up))
            width = 1.6 if own else 0.8
            panel.add_patch(Ellipse((at[right], at[up]), wide, high, fill=False, color=_TRUE, linewidth=width))
            panel.annotate(
                key.name, (at[right], at[up]), color=_TRUE, fontsize=7, xytext=(7, 5), textcoords="offset points"
            )
    for key, point in found.items():
        at = voxel(point.position)
        if key.side == row.side:
            own = key.name == row.name
            panel.plot(at[right], at[up], "x", color=ALERT, ms=8 if own else 5, mew=2 if own else 1)
            panel.annotate(
                key.name, (at[right], at[up]), color=ALERT, fontsize=7, xytext=(-16, -9), textcoords="offset points"
            )
    panel.set(
        xlim=(plane.shape[0] - 0.5, -0.5), ylim=(-0.5, plane.shape[1] - 0.5)
    )  # front, or the patient's right, on the left
    for text, x, y in zip(_SIDES[across], (0.03, 0.97, 0.5, 0.5), (0.5, 0.5, 0.96, 0.04), strict=True):
        panel.text(x, y, text, transform=panel.transAxes, color="white", fontsize=8, ha="center", va="center")
    told = (
        "missed"
        if row.outcome == "missed"
        else f"{row.distance:.1f} mm off" + (", wrong level" * (row.outcome == "shifted"))
    )
    panel.set_title(f"{row.case}\n{row.name} {row.side}: {told}\n{_PLANES[across]} slice {index + 1}", fontsize=7)
