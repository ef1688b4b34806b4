"""Names of labels in a recipe: each is a label of the data set, or the recipe is refused before any work.

Knows which keys name labels. Does not know what they do with them.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxloom.dataset import Dataset, Labels
from voxloom.dataset.listing import is_picture
from voxloom.errors import BadInput
from voxloom.evaluation.measures import Measures
from voxloom.recipe.keys import nearest
from voxloom.recipe.recipe import Recipe
from voxloom.training.settings import InferenceSettings


def check_label_names(recipe: Recipe, labels: Labels) -> None:
    """Refuse names that are none of the labels', and tolerances that a label lacks (BadInput)."""
    there, measures = f"There are {', '.join(labels.names)}", Measures.model_validate(recipe.evaluate)
    for key, name in _named(InferenceSettings.model_validate(recipe.inference), measures):
        if name not in labels.names:
            raise BadInput(f"no label is called {name}", f"`{key}`", nearest(name, labels.names, there))
    for name in labels.names if measures.metrics else ():
        measures.tolerance(name)


def check_row_names(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse names from head to feet in pictures, which do not say where the head is (BadInput)."""
    steps = InferenceSettings.model_validate(recipe.inference).postprocess
    files = [path for case in dataset for path in case.source_files]
    if any(step.step == "name_in_order" for step in steps) and any(is_picture(path.name) for path in files):
        what = "name_in_order goes from head to feet, and pictures do not say where the head is"
        raise BadInput(what, "`inference.postprocess`", "Leave it out, or train on NIfTI or DICOM")


def _named(inference: InferenceSettings, measures: Measures) -> Iterator[tuple[str, str]]:
    """Every key of the recipe with a label that it names."""
    for step in inference.postprocess:
        yield from (("inference.postprocess", name) for name in step.labels)
    for key in ("largest_component", "instances"):
        named = getattr(inference, key)
        if isinstance(named, tuple):
            yield from ((f"inference.{key}", name) for name in named)
    if isinstance(measures.tolerance_mm, dict):
        yield from (("evaluate.tolerance_mm", name) for name in measures.tolerance_mm)
