"""The cases with points that a recipe trains on, their points, and which landmarks there are. Does not know folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from voxloom.dataset import Case, Dataset
from voxloom.errors import BadInput
from voxloom.landmarks import LandmarkSettings, Layout
from voxloom.points import Point
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import joined_cases
from voxloom.tasks.values import Material


@dataclass(frozen=True)
class LandmarkMaterial(Material):
    """Cases, their points in RAS mm, and which map of the network answers for which landmark."""

    layout: Layout = field(kw_only=True)
    points: Mapping[str, tuple[Point, ...]] = field(kw_only=True)


def landmark_material(
    dataset: Dataset, recipe: Recipe, settings: LandmarkSettings, about: Mapping[str, Any] | None
) -> LandmarkMaterial:
    """The training cases that have points; the layout of the run where it was settled before."""
    cases = cases_with_points(dataset, recipe)
    points = {case.id: case.read_points() for case in cases}
    if about is None:
        layout = Layout.of(points.values(), settings.chosen_maps, settings.names)
    else:
        layout = Layout.from_dict(about["landmarks"])
    return LandmarkMaterial(cases, layout=layout, points=points)


def cases_with_points(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The training cases that have points, without the excluded ones and without their label maps."""
    dataset = joined_cases(dataset, recipe)
    if recipe.data.labels is not None:
        raise BadInput("`data.labels` is about label maps, the recipe trains on points", f"recipe {recipe.name}")
    cases = [case for case in dataset if case.points is not None]
    if not cases:
        raise BadInput(
            "no case has points to train on", dataset.root, "Add points/<case>.csv with the columns name,side,x,y,z"
        )
    return without_labels(dataset, cases)


def without_labels(dataset: Dataset, cases: list[Case]) -> Dataset:
    """The given cases as a data set of images and points only."""
    return Dataset.from_cases(
        dataset.name,
        [replace(case, label=None) for case in cases],
        dataset.channels,
        root=dataset.root,
        channel_kinds=dataset.channel_kinds,
    )
