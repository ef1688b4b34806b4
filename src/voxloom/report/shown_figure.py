"""A figure that shows itself: in a notebook as the last line of a cell, in a script by ``figure.show()``.

Figures of matplotlib that ``pyplot`` did not make are silent in both. ``pyplot`` is met only where a script asks for a window, so that
reports of hundreds of pictures keep none of them open.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from matplotlib.figure import Figure

#: Dots per inch in a notebook.
DPI = 100


class ShownFigure(Figure):
    """See :class:`matplotlib.figure.Figure`.

    Parameters
    ----------
    drawer : from a figure to a file, ``voxloom.report.style.draw``; set by who makes the figure.
    """

    drawer: Callable[..., None]

    def _repr_png_(self) -> bytes:
        """PNG, for a notebook."""
        drawn = io.BytesIO()
        self.drawer(self, drawn, format="png", dpi=DPI)
        return drawn.getvalue()

    def show(self, warn: bool = True) -> None:
        """Open the figure in a window, where there is a screen; ``matplotlib.pyplot.show()`` then waits until it is closed."""
        from matplotlib import pyplot

        if self.canvas.manager is None:
            window = pyplot.figure(figsize=tuple(self.get_size_inches())).canvas.manager
            assert window is not None  # every figure of pyplot has one
            window.canvas.figure = self
            self.set_canvas(window.canvas)
        super().show(warn=warn)
