"""What a picture of a batch or of results shows of one case: its image, what is drawn on it, and a line above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True)
class Panel:
    """One row of a picture.

    Parameters
    ----------
    image : (I, J, K) float.
    spacing : mm, order i j k.
    masks : label maps (I, J, K) with the line style of their contours.
    title : e.g. the case, its truth and its answer; "" for none.
    """

    image: NDArray[Any]
    spacing: tuple[float, float, float]
    masks: tuple[tuple[NDArray[Any], str], ...] = field(default=())
    title: str = ""
