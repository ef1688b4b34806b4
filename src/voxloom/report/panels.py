"""Slices with the contours of labels, side by side: the one place that draws them, for reports and for ``voxloom show``.

A label has one color, however many values it is made of. Panels are as wide as what they show; every one names its place, its sides
and its Dice. How a scan lies is said by ``look``.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxloom.dataset.labels import Labels
from voxloom.evaluation import dice_score
from voxloom.report.look import Grid, Limits, Look, cut, gray_limits, most_labelled
from voxloom.report.style import INK, SOFT, color_of, new_figure
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: What the lines of a truth and of a prediction look like.
STYLES = (("-", "truth"), ("--", "prediction"))
#: Labels that the legend names.
NAMED = 8
#: Height of a row in inches, and the least and largest width of a panel in heights.
HEIGHT, _LEAST, _MOST = 2.5, 0.5, 1.7
#: Inches of a letter of 8 points, on average.
_LETTER = 0.066
_TITLE, _HEAD, _FOOT = 0.28, 0.35, 0.32


@dataclass(frozen=True)
class Contour:
    """The outline of one label in a slice: which label, rows and columns of its mask, and a line style of matplotlib."""

    label: int
    mask: Grid
    style: str


@dataclass(frozen=True)
class Panel:
    """One slice, ready to be drawn.

    Parameters
    ----------
    shades : rows and columns of gray values; ``limits`` are drawn black and white.
    proportion : height of a pixel over its width.
    sides : letters at the left, right, upper and lower side, or nothing.
    head : of a whole row, written upwards at its first panel.
    """

    shades: Grid
    limits: Limits
    proportion: float
    title: str = ""
    sides: tuple[str, ...] = ()
    contours: tuple[Contour, ...] = ()
    head: str = ""

    @property
    def ratio(self) -> float:
        """Width over height on the page."""
        rows, columns = self.shades.shape
        return columns / (rows * self.proportion)

    def draw(self, axes: Axes, width: float) -> None:
        """Picture, contours, letters, and a title no wider than the panel.

        Parameters
        ----------
        width : of the panel in inches.
        """
        low, high = self.limits
        axes.imshow(self.shades, cmap="gray", vmin=low, vmax=high, aspect=self.proportion)
        for contour in self.contours:
            axes.contour(
                contour.mask, levels=[0.5], colors=[color_of(contour.label)], linewidths=1.1, linestyles=contour.style
            )
        if self.title:
            axes.set_title(wrapped(self.title, width), fontsize=8, color=INK)
        if self.head:
            axes.text(
                -0.06,
                0.5,
                self.head,
                transform=axes.transAxes,
                fontsize=7,
                color=SOFT,
                ha="right",
                va="center",
                rotation=90,
            )
        name_sides(axes, self.sides)


def name_sides(axes: Axes, sides: Sequence[str]) -> None:
    """Letters at the left, right, upper and lower side: white with a dark rim, so that they are seen on any gray."""
    from matplotlib.patheffects import Normal, Stroke

    for name, (x, y) in zip(sides, ((0.04, 0.5), (0.96, 0.5), (0.5, 0.95), (0.5, 0.05)), strict=False):
        letter = axes.text(
            x, y, name, transform=axes.transAxes, fontsize=8, weight="bold", color="white", ha="center", va="center"
        )
        letter.set_path_effects([Stroke(linewidth=2, foreground="black", alpha=0.6), Normal()])


@dataclass(frozen=True)
class Overlay:
    """A label map over a scan: (I, J, K) outer values on the grid of the scan, and its line style."""

    outer: Grid
    style: str = "-"


@dataclass(frozen=True)
class Scene:
    """A scan with label maps, turned to how it is looked at.

    Parameters
    ----------
    look : of the grid.
    image : (I, J, K) gray values, turned.
    maps : turned label maps with their line styles.
    labels : what the values of the maps mean; None without a map.
    limits : gray values that are shown.
    """

    look: Look
    image: Grid
    maps: tuple[Overlay, ...]
    labels: Labels | None
    limits: Limits

    @classmethod
    def of(
        cls,
        look: Look,
        image: Grid,
        maps: Sequence[Overlay],
        labels: Labels | None,
        *,
        window: Limits | None = None,
        modality: str = "",
        body_part: str = "",
    ) -> Scene:
        """Turn a scan (I, J, K) and its label maps; ``window``, ``modality`` and ``body_part`` as in ``gray_limits``."""
        turned = tuple(Overlay(look.turned(one.outer), one.style) for one in maps)
        whole = look.turned(image)
        labelled = _inside(turned[0].outer, labels) if turned else None
        limits = gray_limits(whole, labelled, window=window, modality=modality, body_part=body_part)
        return cls(look, whole, turned, labels, limits)

    @classmethod
    def of_volume(
        cls,
        image: Volume,
        maps: Sequence[tuple[Volume, str]],
        labels: Labels | None,
        *,
        window: Limits | None = None,
        modality: str = "",
    ) -> Scene:
        """The first channel that is not missing, with label maps (1, I, J, K) on its grid and their line styles."""
        overlays = [Overlay(volume.data[0], style) for volume, style in maps]
        modality = modality or str(image.meta.get("modality", ""))
        part = str(image.meta.get("body_part", ""))
        shown = image.present[0]
        return cls.of(Look.of(image), shown, overlays, labels, window=window, modality=modality, body_part=part)

    def planes(self) -> list[Panel]:
        """A sagittal, a coronal and an axial slice, each where the first map has most; of a single slice that one."""
        return [self.panel(axis, self.place(axis)) for axis in self.look.planes(self.image.shape)]

    def place(self, axis: int) -> int:
        """The slice across a turned axis with the most labelled voxels of the first map that has any."""
        return most_labelled([_inside(one.outer, self.labels) for one in self.maps], self.image.shape, axis)

    def panel(self, axis: int, place: int, title: str = "", only: Sequence[int] | None = None) -> Panel:
        """One slice across a turned axis.

        Parameters
        ----------
        title : stands before the name of the slice and its Dice.
        only : labels that are drawn and scored; None takes all.
        """
        masks = [self._masks(one, axis, place, only) for one in self.maps]
        drawn = [
            Contour(label, mask, one.style)
            for one, found in zip(self.maps, masks, strict=True)
            for label, mask in found.items()
            if mask.any() and not mask.all()
        ]
        score = mean_dice(*masks[:2]) if len(masks) > 1 else None
        told = [title, self.look.name(axis, place, self.image.shape[axis])]
        told += [] if score is None else [f"Dice {score:.2f}"]
        return Panel(
            cut(self.image, axis, place),
            self.limits,
            self.look.proportion(axis),
            ", ".join(part for part in told if part),
            self.look.sides(axis),
            tuple(drawn),
        )

    def _masks(self, one: Overlay, axis: int, place: int, only: Sequence[int] | None) -> dict[int, Grid]:
        """Number of a label -> its mask in a slice."""
        assert self.labels is not None
        found = enumerate(mask for _, mask in self.labels.masks(cut(one.outer, axis, place)))
        return {label: mask for label, mask in found if only is None or label in only}


def _inside(outer: Grid, labels: Labels | None) -> Grid:
    """Voxels of any label."""
    assert labels is not None
    return np.isin(outer, labels.atoms)


def mean_dice(true: Mapping[int, Grid], found: Mapping[int, Grid]) -> float | None:
    """Mean Dice over the labels that either has; None where neither has one."""
    scores = [dice_score(found[label], mask) for label, mask in true.items() if mask.any() or found[label].any()]
    return float(np.mean(scores)) if scores else None


def sheet(
    rows: Sequence[Sequence[Panel]],
    names: Sequence[str],
    *,
    title: str = "",
    styles: Sequence[tuple[str, str]] = (),
    height: float = HEIGHT,
) -> Figure:
    """Rows of panels, each as wide as what it shows, with a legend of labels and line styles.

    Parameters
    ----------
    names : of the labels, in the order of the contours' numbers.
    styles : (line style, what it means), e.g. ("-", "truth").
    height : of a row, inches.
    """
    columns = max(map(len, rows), default=1)
    widths = [
        max((_width(row[n], height) for row in rows if n < len(row)), default=_LEAST * height) for n in range(columns)
    ]
    heights = [max((_height(p, height) for p in row), default=height) + _TITLE for row in rows]
    seen = sorted({contour.label for row in rows for panel in row for contour in panel.contours})
    foot = _FOOT * (bool(seen) + bool(styles))
    figure = new_figure(max(2.4, sum(widths)), max(1.0, sum(heights)) + foot + (_HEAD if title else 0.05))
    grid = figure.subplots(
        max(1, len(rows)), columns, squeeze=False, gridspec_kw={"width_ratios": widths, "height_ratios": heights or [1]}
    )
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, row in zip(grid, rows, strict=False):
        for axes, panel, width in zip(line, row, widths, strict=False):
            panel.draw(axes, width)
    if title:
        figure.suptitle(title, fontsize=10, color=INK)
    _legend(figure, seen, names, styles)
    return figure


def wrapped(text: str, width: float) -> str:
    """Lines that fit into ``width`` inches at 8 points; they are broken behind commas."""
    most = max(8, int(width / _LETTER))
    kept = ", ".join(part.replace(" ", "\u00a0") for part in text.split(", "))
    lines = [part for line in kept.split("\n") for part in textwrap.wrap(line, most) or [""]]
    return "\n".join(lines).replace("\u00a0", " ")


def _width(panel: Panel, height: float) -> float:
    return float(height * np.clip(panel.ratio, _LEAST, _MOST))


def _height(panel: Panel, height: float) -> float:
    """Lower than a row where the panel is so wide that its width is cut."""
    return float(min(height, max(0.3 * height, _width(panel, height) / panel.ratio)))


def flowing(panels: Sequence[Panel], columns: int = 4) -> list[list[Panel]]:
    """Panels one after the other in rows."""
    return [list(panels[n : n + columns]) for n in range(0, len(panels), columns)]


def _legend(figure: Figure, seen: Iterable[int], names: Sequence[str], styles: Sequence[tuple[str, str]]) -> None:
    """Names of the labels that are drawn, and what the line styles mean."""
    from matplotlib.lines import Line2D

    shown = list(seen)
    handles = [Line2D([], [], color=color_of(label), label=names[label]) for label in shown[:NAMED]]
    if len(shown) > NAMED:
        handles.append(Line2D([], [], alpha=0, label=f"and {len(shown) - NAMED} more"))
    handles += [Line2D([], [], color=SOFT, ls=style, label=meaning) for style, meaning in styles if shown]
    if handles:
        wide = max(1, int(figure.get_figwidth() / 1.1))
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), wide),
            fontsize=8,
            frameon=False,
            labelcolor=SOFT,
        )
