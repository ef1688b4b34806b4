"""The recipe sections that tasks own, and the kind of network that each of them means without ``network.kind``.

Classes are named by where they are and loaded when a recipe is checked: a task of another package is found in the same way.
"""

from __future__ import annotations

from importlib import import_module

from pydantic import BaseModel

#: Section -> (settings class, kind of network).
OWN_SECTIONS = {
    "landmarks": ("voxloom.landmarks:LandmarkSettings", "unet"),
    "classification": ("voxloom.tasks.whole_case.settings:ClassificationSettings", "encoder"),
    "regression": ("voxloom.tasks.whole_case.settings:RegressionSettings", "encoder"),
}


def loaded(place: str) -> type[BaseModel]:
    """The class at ``module:NAME``."""
    module, _, name = place.partition(":")
    found: type[BaseModel] = getattr(import_module(module), name)
    return found


def plugin_settings(task: str | None) -> type[BaseModel] | None:
    """The settings of a task that another package has, ``package.module:OBJECT``; None for a task of Voxloom."""
    if task is None or ":" not in task:
        return None
    try:
        return getattr(loaded(task), "settings", None)
    except (ImportError, AttributeError):
        return None  # the task itself says what is wrong when it is asked for
