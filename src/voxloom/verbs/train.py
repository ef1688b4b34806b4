"""``train``: from a data set and a recipe to a run with weights, figures and a report.

Knows the order of the steps, whatever the task. Each step is a function of another module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from voxloom.dataset import Dataset
from voxloom.errors import BadInput
from voxloom.ranks import first, meet, wait
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import settled
from voxloom.run.lifecycle import checkpoints_of, discard_unstarted, free_folder, locked, never_started
from voxloom.run.listener import SILENT, Listener
from voxloom.runfiles import SUMMARY
from voxloom.tasks.abilities import ask_folders
from voxloom.tasks.study import Study, reopen
from voxloom.training.loop import Outcome
from voxloom.verbs.evaluate import report_run, validate_run
from voxloom.verbs.examples import write_examples
from voxloom.verbs.external import evaluate_external, open_external
from voxloom.verbs.folds import train_all
from voxloom.verbs.follow import follow, refuse_alone
from voxloom.verbs.overrides import Overrides
from voxloom.verbs.run import Run
from voxloom.verbs.start import start_study


def train(
    data: str | Path | Dataset,
    recipe: str | Path | Recipe = "auto",
    *,
    out: str | Path | None = None,
    budget: str | None = None,
    folds: int | str | Path | None = None,
    add: Sequence[str | Path] = (),
    external: Sequence[str | Path] = (),
    seed: int | None = None,
    device: str | None = None,
    resume: bool = False,
    listener: Listener = SILENT,
) -> Run:
    """Train a model and evaluate it on the cases that were held out.

    Parameters
    ----------
    data : a data set, or the folder or file of one; its test split is left alone.
    recipe : a Recipe, a YAML file or the name of a shipped recipe.
    out : folder of the run; made. Default: ``runs/<data set>-<n>``.
    budget : training time of all folds together ("90s", "10m", "2h", "1d"), time before a resumption included.
    folds : number of folds, or an nnU-Net ``splits_final.json``.
    add : further data sets to train on; ``folds.over`` of the recipe says which cases are divided.
    external : data sets that are kept wholly apart, and evaluated by all folds together when everything is trained.
    seed, device : instead of the recipe's.
    resume : continue or, with a longer budget, extend the run in ``out``.
    listener : told of the progress.

    Of several processes (``torchrun``, ``srun``) the first does all of it; the others train beside it and return before it evaluates.

    Raises
    ------
    BadInput : the data set, recipe, folds or folder cannot be used; the message says why and what to do.
    KeyboardInterrupt : on Ctrl-C, after saving; ``resume`` continues.
    """
    asked = Overrides(budget, folds, seed, device, add, external)
    return train_with(data, recipe, asked, out=out, resume=resume, listener=listener)


def train_with(
    data: str | Path | Dataset,
    recipe: str | Path | Recipe,
    asked: Overrides,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    listener: Listener = SILENT,
) -> Run:
    """``train`` with what goes before the recipe as one value."""
    refuse_alone(out)
    meet()
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    if not first():
        follow(dataset, Path(str(out)), resume)
        return Run(Path(str(out)))
    folder = Path(out) if out is not None else free_folder(Path("runs"), dataset.name)
    if resume:
        if asked.add or asked.external:
            fix = "Leave --add and --external out, or start a new run"
            raise BadInput("a run goes on with the data sets that it was started with", folder, fix)
        return _resume(dataset, folder, asked.budget, listener)
    for note in dataset.notes:
        listener.stage(f"Note: {note}")
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    return _start(dataset, settled(asked.applied(chosen).for_budget()), folder, listener)


def _start(dataset: Dataset, recipe: Recipe, folder: Path, listener: Listener) -> Run:
    """Train a new run; a folder that was refused before any training is not left behind."""
    if recipe.init.run is not None:
        ask_folders("init.run", [recipe.init.run])
    if folder.exists() and not never_started(folder):
        raise BadInput("the folder is not empty", folder, "Choose another with -o, or continue the run with --resume")
    with locked(folder):
        try:
            return _train_folds(start_study(dataset, recipe, folder, listener), listener)
        except BadInput:
            discard_unstarted(folder)
            raise


def _resume(dataset: Dataset, folder: Path, budget: str | None, listener: Listener) -> Run:
    """Continue a run with its own recipe; a longer budget extends it."""
    run = Run(folder)
    if (folder / SUMMARY).is_file() and not checkpoints_of(folder):
        what = "the finished run has no checkpoint to go on from (a sweep keeps none)"
        raise BadInput(what, folder, "Train its recipe.yaml anew")
    recipe = run.recipe if budget is None else run.recipe.changed({"budget": budget})
    with locked(folder):
        study = reopen(run, dataset, recipe)
        if budget is not None:
            recipe.save(folder / "recipe.yaml")
        return _train_folds(study, listener, resume=True)


def _train_folds(study: Study, listener: Listener, *, resume: bool = False) -> Run:
    """Prepare the cases, train every fold, evaluate, report."""
    wait()  # those that train beside this process find the run's files
    study, trained = train_all(study, listener, resume)
    outcomes = {study.place(number).name: outcome for number, outcome in enumerate(trained)}
    write_repeat(study, outcomes)
    with listener.progress("Predicting the held-out cases") as progress:
        validate_run(study, {k: vars(v) for k, v in outcomes.items()}, progress)
    with listener.progress("Explaining held-out cases"):
        write_examples(Run(study.folder), study, listener)
    recipe = study.settings.recipe
    whole = Dataset(Run(study.folder).data_root) if recipe.folds.test else study.dataset
    external = open_external(study.task, study.material, recipe, whole)
    with listener.progress("Predicting the external cases") as progress:
        evaluate_external(study, external, progress)
    report_run(study.folder)
    return Run(study.folder)


def write_repeat(study: Study, outcomes: Mapping[str, Outcome]) -> None:
    """``repeat.yaml``: the recipe that repeats the run exactly, whatever time its machine had; outcomes by the folds' names."""
    pace = {name: outcome.pace for name, outcome in outcomes.items()}
    left_out = {name: outcome.left_out for name, outcome in outcomes.items()}
    repeat = study.settings.recipe.model_copy(update={"budget": None, "pace": pace, "left_out": left_out})
    repeat.save(study.folder / "repeat.yaml")
