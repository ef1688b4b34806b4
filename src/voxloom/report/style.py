"""The one style of every figure: colors, canvas, axes, and how a figure is kept.

Knows matplotlib; does not know what is drawn. The charts of ``charts.py`` (plain SVG) take the same colors.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colors that color-blind readers can tell apart (2008), without black.
COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
#: Text and lines; lesser text; what is drawn once; what needs attention; the grid.
INK, SOFT, MARK, ALERT, GRID = "#1c2430", "#5b6470", "#0072B2", "#D55E00", "#dde2e8"
#: Dots per inch of PNG files, as journals ask for of pictures with lines.
PRINT_DPI = 300


def color_of(index: int) -> str:
    """The color of label, rater or run ``index`` (from 0)."""
    return COLORS[index % len(COLORS)]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that needs no screen, and that a notebook shows as the last line of a cell."""
    from voxloom.report.shown_figure import ShownFigure

    figure = ShownFigure(figsize=(width, height), layout="constrained")
    figure.drawer = draw
    return figure


def tidy(axes: Axes) -> None:
    """Remove what carries no information."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def shown_range(values: Iterable[float], limits: tuple[float, float]) -> tuple[float, float]:
    """Ends of an axis for scores that have limits: what occurs fills it, and it never goes beyond the limits by more than an edge.

    A span of at least a twentieth of the limits is shown, so that equal scores are not torn apart.
    """
    low, high = limits
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        return limits
    least, most = min(finite), max(finite)
    span, edge = max(most - least, 0.05 * (high - low)), 0.02 * (high - low)
    middle, half = (least + most) / 2, 0.65 * span
    bottom, top = max(low, middle - half), min(high, middle + half)
    return (
        low - edge if bottom == low else bottom,
        high + edge * min(1.0, span / (high - low)) if top == high else top,
    )


def data_uri(figure: Figure, kind: str = "png", dpi: int = 110) -> str:
    """A figure as text that an HTML page can hold; ``kind`` is "png" or "svg"."""
    buffer = io.BytesIO()
    _save(figure, buffer, kind, dpi)
    mime = "image/svg+xml" if kind == "svg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def save_figure(figure: Figure, path: str | Path) -> list[Path]:
    """Write a figure as ``path.svg`` (text stays text) and ``path.png`` (300 dpi), each whole or not at all."""
    written = [Path(f"{path}.svg"), Path(f"{path}.png")]
    for file in written:
        with atomic_path(file) as temporary:
            _save(figure, temporary, file.suffix[1:], PRINT_DPI)
    return written


def write_picture(figure: Figure, path: Path, dpi: int) -> Path:
    """Write a figure as its ending says, whole or not at all: whoever is killed leaves no half picture behind."""
    with atomic_path(path) as temporary:
        draw(figure, temporary, dpi=dpi)
    return path


def draw(figure: Figure, target: io.BytesIO | Path, **options: Any) -> None:
    """From a figure to pixels or SVG: the one place that does it, and most of the time of a report."""
    figure.savefig(target, **options)


def _save(figure: Figure, target: io.BytesIO | Path, kind: str, dpi: int) -> None:
    """The same figure gives the same bytes: no date, no random ids."""
    import matplotlib

    metadata = {"Date": None} if kind == "svg" else {}
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "voxloom"}):
        draw(figure, target, format=kind, dpi=dpi, bbox_inches="tight", metadata=metadata)
