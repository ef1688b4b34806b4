"""A run that is planned and not trained: to look at what a training would see, before it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxloom.dataset import Dataset
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import settled
from voxloom.run.listener import SILENT, Listener
from voxloom.run.run import Run
from voxloom.verbs.start import start_study


@contextlib.contextmanager
def planned_run(data: str | Path | Dataset, recipe: Recipe, listener: Listener = SILENT) -> Iterator[Run]:
    """The run that a recipe plans for a data set, in a folder that goes when the block ends; it has no weights.

    Raises
    ------
    BadInput : the data set or recipe cannot be used.
    """
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    with tempfile.TemporaryDirectory(prefix="voxloom") as folder:
        start_study(dataset, settled(recipe.for_budget()), Path(folder) / "planned", listener)
        yield Run(Path(folder) / "planned")
