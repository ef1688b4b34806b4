"""A recipe with nothing left to choose: the settings objects of all its sections. Knows the sections; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from voxloom.augment import AugmentSettings
from voxloom.networks import network_settings
from voxloom.prepare import PrepareSettings, SliceSettings
from voxloom.recipe.recipe import Recipe
from voxloom.training.settings import InferenceSettings, TrainingSettings


@dataclass(frozen=True)
class Settings:
    """The settings of a complete recipe.

    Parameters
    ----------
    network : settings of its family; None where the task makes its network from settings of its own.
    own : the task's own section; None for a task that has none.
    """

    recipe: Recipe
    prepare: PrepareSettings
    network: Any
    training: TrainingSettings
    augment: AugmentSettings
    inference: InferenceSettings
    slices: SliceSettings
    own: Any = None

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Spacing of the prepared grid; 1 mm along the axes where a recipe keeps every case's own."""
        i, j, k = (own or 1.0 for own in self.prepare.spacing or (None, None, None))
        return (i, j, k)


def resolve(recipe: Recipe, own: BaseModel | None = None) -> Settings:
    """The settings objects of a complete recipe (pydantic's errors are turned into BadInput by ``Recipe.check``)."""
    return Settings(
        recipe,
        recipe.preparation,
        network_settings(recipe.network) if recipe.network else None,
        TrainingSettings.model_validate(recipe.training),
        AugmentSettings.model_validate(recipe.augment),
        InferenceSettings.model_validate(recipe.inference),
        recipe.slices,
        own,
    )
