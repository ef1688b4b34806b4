"""What Python users call: the verbs with the same words as on the command line, and never silent.

Each is a verb of this floor with a listener that prints; a notebook gets a moving bar, a log plain lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.recipe.recipe import Recipe
from voxloom.run.listener import Listener
from voxloom.run.screen import python_listener
from voxloom.verbs import train as training
from voxloom.verbs.find_lr import RateTest, find_learning_rate
from voxloom.verbs.overrides import Overrides
from voxloom.verbs.run import Run as AskedRun

#: Of a recipe that goes on from a run: whose cases, which steps and what a budget changed is the new training's own.
_OWN = ("data", "folds", "pace", "left_out", "under_budget", "init")


def train(
    data: str | Path | Dataset,
    recipe: str | Path | Recipe = "auto",
    *,
    out: str | Path | None = None,
    budget: str | None = None,
    epochs: float | None = None,
    folds: int | str | Path | None = None,
    add: Sequence[str | Path] = (),
    external: Sequence[str | Path] = (),
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> Run:
    """Train a model and evaluate it on the cases that were held out.

    Parameters
    ----------
    data : a data set, or the folder or file of one; its test split is left alone.
    recipe : a Recipe, a YAML file or the name of a shipped recipe.
    out : folder of the run; made. Default: ``runs/<data set>-<n>``.
    budget : training time of all folds together ("90s", "10m", "2h", "1d"), time before a resumption included.
    epochs : passes over the training cases in the place of a budget.
    folds : number of folds, or an nnU-Net ``splits_final.json``.
    add : further data sets to train on; ``folds.over`` of the recipe says which cases are divided.
    external : data sets that are kept wholly apart, and evaluated by all folds together when everything is trained.
    seed, device : instead of the recipe's.
    resume : continue or, with a longer budget, extend the run in ``out``.
    listener : told of the progress; None prints it to standard error.

    Raises
    ------
    BadInput : the data set, recipe, folds or folder cannot be used; the message says why and what to do.
    KeyboardInterrupt : on Ctrl-C, after saving; ``resume`` continues.
    """
    chosen = recipe
    if epochs is not None:
        if budget is not None or resume:
            raise BadInput("`epochs` cannot be joined with a budget or a resumption", None, "Give one of them")
        known = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
        chosen = known.changed({"training.epochs": epochs, "budget": None})
    asked = Overrides(budget, folds, seed, device, add, external)
    told = listener or python_listener()
    return Run(training.train_with(data, chosen, asked, out=out, resume=resume, listener=told).folder)


def find_lr(
    data: str | Path | Dataset, recipe: str | Path | Recipe = "auto", *, out: str | Path | None = None, steps: int = 100
) -> RateTest:
    """Try learning rates from 1e-6 to 1 on a recipe's own data (Smith 2017); the result shows its plot and suggests one."""
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    place = Path(out) if out is not None else None
    return find_learning_rate(data, chosen, out=place, steps=steps, listener=python_listener())


def import_run(
    source: str | Path,
    out: str | Path | None = None,
    *,
    configuration: str | None = None,
    own_parts: bool = False,
    endpoint: str | None = None,
) -> Run:
    """A shared run, or a model of nnU-Net v2, checked and brought into the new folder ``out``; what is told of it is printed.

    Parameters
    ----------
    source : a zip or folder, or ``owner/name`` on a hub; see :func:`voxloom.export.importing.import_run` for all of them.

    Raises
    ------
    BadInput : it was changed on the way, or cannot be used.
    """
    from voxloom.export import importing

    found = importing.import_run(source, out, configuration=configuration, own_parts=own_parts, endpoint=endpoint)
    tell = python_listener()
    for text in found.told:
        tell.stage(text)
    return Run(found.folder)


class Run(AskedRun):
    """A finished or unfinished training on disk: what can be asked of it, and what can be started from it.

    Parameters
    ----------
    folder : of the run.

    Raises
    ------
    BadInput : the folder is not a run.
    """

    def fine_tune(
        self,
        data: str | Path | Dataset,
        *,
        budget: str | None = None,
        epochs: float | None = None,
        learning_rate: float | None = None,
        fold: int = 0,
        folds: int | str | Path | None = None,
        out: str | Path | None = None,
        device: str | None = None,
        listener: Listener | None = None,
    ) -> Run:
        """Train on from this run's weights on other cases, with its preparation, network and augmentation.

        Parameters
        ----------
        data : the new cases; labels and channels must be the run's.
        budget, epochs : how long; without both as many steps as the run took.
        learning_rate : highest rate; None takes the run's.
        fold : which of the run's networks.
        folds, out, device, listener : as in ``train``.

        Raises
        ------
        BadInput : the cases do not fit the network, or ``train`` refuses them.
        """
        rate = {} if learning_rate is None else {"training.learning_rate": learning_rate}
        start = going_on(self, {"init.fold": fold, **rate})
        return train(data, start, out=out, budget=budget, epochs=epochs, folds=folds, device=device, listener=listener)

    def find_lr(self, *, out: str | Path | None = None, steps: int = 100) -> RateTest:
        """Try learning rates on the run's own data and recipe (Smith 2017); nothing of the run changes."""
        return find_lr(self.data_root, self.recipe, out=out, steps=steps)


def going_on(run: AskedRun, changes: dict[str, Any]) -> Recipe:
    """The recipe of a run as that of a new training that starts from its weights.

    Preparation, network and augmentation are the run's, since its weights fit no other; cases and folds are the new data set's.
    """
    fresh = Recipe().model_dump(mode="json")
    values = {**run.recipe.model_dump(mode="json"), **{key: fresh[key] for key in _OWN}, "budget": None}
    start = Recipe.check(values, f"the recipe of {run.folder.name}")
    return start.changed({"init.run": str(run.folder), "init.part": "all", **changes})
