"""``/info/``: what 3D Slicer and OHIF show of the service. Shapes are those of MONAI Label 0.8."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from voxloom import __version__
from voxloom.serve.http.monailabel.masks import indices_of
from voxloom.serve.http.monailabel.predicting import CONFIG
from voxloom.serve.run_info import RunInfo

#: Type of a model by the run's task. 3D Slicer loads the markups of a "detection".
_TYPES = {"segmentation": "segmentation", "landmarks": "detection", "classification": "classification"}
STRATEGIES: Mapping[str, str] = {
    "first": "The first case that is not annotated",
    "random": "Any case that is not annotated",
    "rank": "The case that teaches the run most, by voxloom rank",
}
SCORING: Mapping[str, str] = {"dice": "Dice of predictions with the final annotations"}


def info_of(
    runs: Iterable[RunInfo], stats: Mapping[str, Any], *, train: bool, at_work: Mapping[str, int] | None
) -> dict[str, Any]:
    """The answer.

    Parameters
    ----------
    stats : of the images.
    train : whether who asks may start trainings.
    at_work : how far the training at work is; None where there is none.
    """
    found = list(runs)
    models = {run.name: model_of(run) for run in found}
    trainers = {run.name: trainer_of(run) for run in found} if train else {}
    return {
        "name": "Voxloom",
        "description": f"Voxloom {__version__}. Research only, not for diagnosis.",
        "version": __version__,
        "labels": list(dict.fromkeys(name for model in models.values() for name in model["labels"])),
        "models": models,
        "trainers": trainers,
        "strategies": {name: {"description": text} for name, text in STRATEGIES.items()},
        "scoring": {name: {"description": text} for name, text in SCORING.items()},
        "train_stats": {run.name: {**_best(run), **(at_work or {})} for run in found if train},
        "datastore": dict(stats),
    }


def model_of(run: RunInfo) -> dict[str, Any]:
    """A run as a model: its labels with the values that masks hold."""
    names = [*run.landmarks, *run.classes]
    return {
        "type": _TYPES.get(run.task, "others"),
        "labels": indices_of(run.labels) if run.labels else {name: n for n, name in enumerate(names, start=1)},
        "dimension": 3,
        "description": f"{run.task} by Voxloom, weights {run.weights[:12]}",
        "config": dict(CONFIG),
    }


def trainer_of(run: RunInfo) -> dict[str, Any]:
    """What a training that starts from a run can be told."""
    return {"description": f"Go on from {run.name} with the annotations", "config": {"budget": "10m"}}


def _best(run: RunInfo) -> dict[str, Any]:
    return {"best_metric": run.scores["dice"]} if "dice" in run.scores else {}
