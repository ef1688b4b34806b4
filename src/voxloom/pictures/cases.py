"""Pictures of a data set's own cases, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from voxloom.dataset import Case, Dataset
from voxloom.errors import BadInput
from voxloom.pictures.batches import draw_cases
from voxloom.report.panels import Scene
from voxloom.tasks.panels import Shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def show_cases(dataset: Dataset, path: Path | None = None, *, cases: Sequence[str] = (), most: int = 4) -> Figure:
    """A row per case: an anatomical slice each, the contours of its labels, and its class or number in the title.

    Parameters
    ----------
    path : where the picture is written too.
    cases : ids; none for the first ``most``.

    Raises
    ------
    BadInput : there is no such case, or an image or label map cannot be read.
    """
    chosen = [dataset[name] for name in cases] if cases else list(dataset)[:most]
    if not chosen:
        raise BadInput("has no case to show", dataset.root, "See what was found: voxloom inspect DATASET")
    return draw_cases([shown_case(dataset, case) for case in chosen], f"Cases of {dataset.name}", path)


def shown_case(dataset: Dataset, case: Case) -> Shown:
    """One case with what is known of it."""
    kind = dataset.channel_kinds[0] if dataset.channel_kinds else ""
    label = case.read_label()
    maps = [] if label is None else [(label, "-")]
    scene = Scene.of_volume(case.read_image(), maps, dataset.labels if maps else None, modality=kind)
    known = case.target is not None
    return Shown(scene, f"{case.id}: {case.target}" if known else case.id)
