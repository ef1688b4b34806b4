"""Which task a recipe trains: the one that it names, or the one that the data set's cases allow. Knows no task."""

from __future__ import annotations

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.recipe.sections import OWN_SECTIONS
from voxloom.tasks.task import TASKS, Task, task_named


def chosen_task(dataset: Dataset, recipe: Recipe) -> tuple[Task, Recipe]:
    """The task, and the recipe that names it.

    Raises
    ------
    BadInput : nothing in the data set can be learned, or the recipe names a task that does not exist.
    """
    name = recipe.task or task_of_sections(recipe) or dataset.task
    if name == "unlabeled":
        raise BadInput("no case has anything to learn from", dataset.root, "Add labels, points or a target column")
    return task_named(name), recipe.changed({"task": name})


def task_of_recipe(recipe: Recipe) -> Task:
    """The task that a recipe alone tells: named, by its own section, else the usual one."""
    return task_named(recipe.task or task_of_sections(recipe) or next(iter(TASKS)))


def task_of_sections(recipe: Recipe) -> str | None:
    """The task whose own section the recipe has; sections are named like their tasks."""
    return next((name for name in OWN_SECTIONS if getattr(recipe, name)), None)
