"""What a picture of a batch or of results shows of one case: the scan as it is looked at, what is drawn on it, and a line above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxloom.dataset.labels import Labels
from voxloom.evaluation.units import PIXEL
from voxloom.report.look import Limits, Look
from voxloom.report.panels import Overlay, Panel, Scene
from voxloom.run.run import Run

if TYPE_CHECKING:
    from voxloom.tasks.study import Study


@dataclass(frozen=True)
class Shown:
    """One case of a picture.

    Parameters
    ----------
    scene : scan and label maps, turned to how they are looked at.
    title : e.g. the case, its truth and its answer; "" for none.
    """

    scene: Scene
    title: str = ""

    def panels(self) -> list[Panel]:
        """A slice per anatomical plane, or the only one; the title stands above the first."""
        planes = self.scene.look.planes(self.scene.image.shape)
        return [
            self.scene.panel(axis, self.scene.place(axis), self.title if n == 0 else "")
            for n, axis in enumerate(planes)
        ]


def patch_scene(
    study: Study,
    image: NDArray[np.floating],
    spacing: Sequence[float] | NDArray[np.floating],
    overlays: Sequence[Overlay] = (),
    labels: Labels | None = None,
) -> Scene:
    """What a network sees of a patch, as it is looked at.

    Parameters
    ----------
    image : (C, I, J[, K]), normalized; of slices with neighbors the middle one of the first channel is shown.
    spacing : (3,) mm of the patch's grid.
    overlays : label maps (I, J, K) of outer values on the same grid.
    """
    s = study.settings
    middle = image[s.slices.neighbors]
    volume = middle if middle.ndim == 3 else middle[..., None]
    known = Run(study.folder).data["fingerprint"].get("unit") != PIXEL
    look = Look.prepared(s.prepare.orientation, [float(v) for v in spacing], known=known)
    low, high = (float(v) for v in np.percentile(volume, [1, 99.5]))
    return Scene.of(look, volume, overlays, labels, window=(low, max(high, low + 1e-6)))


def gray_of(run: Run) -> tuple[Limits | None, str]:
    """The window that a run clips CT to, and the kind of its first channel where that is CT."""
    kinds: Sequence[Any] = run.data["dataset"].get("channel_kinds") or [""]
    return run.recipe.preparation.hu_range, "CT" if kinds[0] == "CT" else ""
