"""The labelled cases that a recipe trains on, and the labels that it asks for. Does not know folds."""

from __future__ import annotations

from voxloom.dataset import Dataset, Label, Labels
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import joined_cases


def usable_cases(dataset: Dataset, recipe: Recipe) -> tuple[Dataset, Labels]:
    """The labelled training cases of all data sets without the excluded ones, and the labels the recipe asks for."""
    dataset = joined_cases(dataset, recipe)
    if dataset.task != "segmentation" or dataset.labels is None:
        raise BadInput("no case has a label map to train on", dataset.root, "Add label maps, or name another `task:`")
    labels = dataset.labels
    if recipe.data.labels is not None:
        named = recipe.data.labels.items()
        foreground = tuple(Label(n, (v,) if isinstance(v, int) else tuple(v)) for n, v in named if v not in (0, (0,)))
        labels = Labels(foreground, ignore=recipe.data.ignore)
    labels = recipe.labels.apply(labels)
    dataset = dataset.subset([case.id for case in dataset if case.label is not None])
    if labels == dataset.labels:
        return dataset, labels
    changed = Dataset.from_cases(
        dataset.name,
        dataset.cases,
        dataset.channels,
        labels,
        root=dataset.root,
        channel_kinds=dataset.channel_kinds,
        notes=dataset.notes,
        columns=dataset.columns,
    )
    return changed, labels
