"""Slices of a case with the contours of its label maps, for pages: three planes of a volume, one picture of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voxloom.dataset.labels import Labels
from voxloom.report.look import Limits
from voxloom.report.panels import Scene, sheet
from voxloom.volume import Volume

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def case_slices(
    image: Volume,
    masks: Sequence[tuple[Volume, str]],
    labels: Labels,
    *,
    window: Limits | None = None,
    modality: str = "",
    styles: Sequence[tuple[str, str]] = (),
) -> Figure:
    """A sagittal, a coronal and an axial slice, each where the first mask that has a label has most of it.

    Parameters
    ----------
    image : the first channel that is not missing is drawn.
    masks : (label map (1, I, J, K) of outer values on the grid of the image, matplotlib line style), e.g. truth "-" and
        prediction "--".
    window, modality : of the gray values, as in :func:`voxloom.report.look.gray_limits`.
    styles : (line style, what it means) for the legend.
    """
    scene = Scene.of_volume(image, masks, labels, window=window, modality=modality)
    return sheet([scene.planes()], labels.names, styles=styles)
