"""``train``: from a data set and a recipe to a run with weights, figures and a report.

Knows the order of the steps and the files of a run, whatever the task. Each step is a function of another module.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset, Fold, write_splits
from voxloom.dataset.inspect import Fingerprint, fingerprint
from voxloom.dataset.leaks import describe_cases
from voxloom.dataset.nested import first_patients
from voxloom.errors import BadInput
from voxloom.files import write_json, write_text
from voxloom.formats.dicom.results import read_codes
from voxloom.inference.device import pick_device
from voxloom.ranks import first, meet, wait
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import choose_folds, settled
from voxloom.run.environment import describe_environment
from voxloom.run.guard import Records, guard_folds, guard_outside
from voxloom.run.lifecycle import checkpoints_of, discard_unstarted, free_folder, locked, never_started
from voxloom.run.listener import SILENT, Listener
from voxloom.run.notes import data_notes
from voxloom.run.sound import refuse_unsound
from voxloom.runfiles import SUMMARY
from voxloom.tasks.abilities import ask_folders, refuse_unused
from voxloom.tasks.choice import chosen_task
from voxloom.tasks.study import Study, reopen
from voxloom.tasks.task import Task
from voxloom.tasks.values import Material
from voxloom.training.trackers import refuse_absent
from voxloom.verbs.dicom_results import CODES
from voxloom.verbs.evaluate import report_run, validate_run
from voxloom.verbs.examples import write_examples
from voxloom.verbs.external import evaluate_external, kept_apart, open_external
from voxloom.verbs.folds import train_all
from voxloom.verbs.follow import follow, refuse_alone
from voxloom.verbs.run import Run


def train(
    data: str | Path | Dataset,
    recipe: str | Path | Recipe = "auto",
    *,
    out: str | Path | None = None,
    budget: str | None = None,
    folds: int | Path | None = None,
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
    refuse_alone(out)
    meet()
    dataset = data if isinstance(data, Dataset) else Dataset(data)
    if not first():
        follow(dataset, Path(str(out)), resume)
        return Run(Path(str(out)))
    folder = Path(out) if out is not None else free_folder(Path("runs"), dataset.name)
    changes: dict[str, Any] = {"budget": budget, "seed": seed, "device": device}
    if isinstance(folds, Path):
        changes["folds.file"] = str(folds)
    elif folds is not None:
        changes["folds.count"] = folds
    changes["data.add"] = [str(path) for path in add] or None
    changes["data.external"] = [str(path) for path in external] or None
    if resume:
        if add or external:
            fix = "Leave --add and --external out, or start a new run"
            raise BadInput("a run goes on with the data sets that it was started with", folder, fix)
        return _resume(dataset, folder, budget, listener)
    for note in dataset.notes:
        listener.stage(f"Note: {note}")
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.load(recipe)
    chosen = chosen.changed({key: value for key, value in changes.items() if value is not None})
    chosen = settled(chosen.for_budget())
    if chosen.init.run is not None:
        ask_folders("init.run", [chosen.init.run])
    if folder.exists() and not never_started(folder):
        raise BadInput("the folder is not empty", folder, "Choose another with -o, or continue the run with --resume")
    with locked(folder):
        try:
            return _train_folds(start_study(dataset, chosen, folder, listener), listener)
        except BadInput:
            discard_unstarted(folder)
            raise


def start_study(dataset: Dataset, recipe: Recipe, folder: Path, listener: Listener) -> Study:
    """Inspect, plan and write the files that define the run."""
    device = pick_device(recipe.device)
    if recipe.dicom.codes is not None:
        read_codes(recipe.dicom.codes)  # refused before any work
    refuse_absent(recipe.training.get("trackers", ()))
    task, recipe = chosen_task(dataset, recipe)
    refuse_unused(recipe, task)
    material = task.material(dataset, recipe)
    recipe, told = task.settled(recipe, material)
    if told:
        listener.stage(told)
    cases = material.dataset
    folds = first_patients(choose_folds(cases, recipe), cases, recipe.folds.train_patients, seed=recipe.seed)
    for note in task.check_folds(material, folds):
        listener.stage(f"Note: {note}")
    with listener.progress("Inspecting") as progress:
        found = fingerprint(cases, progress=progress)
    refuse_unsound(found)
    records = describe_cases(cases, found.likenesses)
    guard_folds(records, folds, recipe.data)
    outside = guard_outside(records, kept_apart(task, material, dataset, recipe), recipe.data)
    notes = data_notes(cases, recipe, found)
    for note in notes:
        listener.stage(f"Note: {note}")
    listener.stage("Planning: timing training steps on this machine")
    seconds = None if recipe.budget_seconds is None else recipe.budget_seconds / len(folds)
    plan = task.plan(material, recipe, found, device, seconds)
    write_text(folder / "plan.md", plan.text)
    write_json(folder / "plan.json", [dict(zip(("choice", "value", "why"), row, strict=True)) for row in plan.rows])
    write_json(folder / "environment.json", describe_environment(device))
    write_splits(folds, folder / "splits_final.json")
    about = describe_data(task, material, dataset, folds, found, records, outside)
    write_json(folder / "data.json", {**about, "notes": notes, **({"settled": told} if told else {})})
    if recipe.dicom.codes is not None:
        write_text(folder / CODES, recipe.dicom.codes.read_text(encoding="utf-8-sig"))
    plan.recipe.save(folder / "recipe.yaml")
    return Study(folder, task, material, folds, task.resolve(plan.recipe), device)


def describe_data(
    task: Task,
    material: Material,
    dataset: Dataset,
    folds: list[Fold],
    found: Fingerprint,
    records: Records,
    outside: Mapping[str, Records],
) -> dict[str, Any]:
    """``data.json``: the cases of the run and those kept apart, each with file hashes, and the fingerprint."""
    return {
        "dataset": {
            "name": dataset.name,
            "root": str(dataset.root.resolve()),
            "layout": dataset.layout,
            "columns": dict(dataset.columns),
            "channels": list(dataset.channels),
            "channel_kinds": list(dataset.channel_kinds),
            **task.describe(material),
        },
        "cases": with_folds(records, folds),
        "outside": outside,
        "fingerprint": found.to_dict(),
    }


def with_folds(records: Records, folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """Records of cases with the number of the fold that validates each (None: it always trains)."""
    fold_of = {case: n for n, fold in enumerate(folds) for case in fold.val}
    return [{**record, "fold": fold_of.get(record["id"])} for record in records]


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
    recipe = study.settings.recipe
    pace = {name: outcome.pace for name, outcome in outcomes.items()}
    left_out = {name: outcome.left_out for name, outcome in outcomes.items()}
    repeat = recipe.model_copy(update={"budget": None, "pace": pace, "left_out": left_out})
    repeat.save(study.folder / "repeat.yaml")
    with listener.progress("Predicting the held-out cases") as progress:
        validate_run(study, {k: vars(v) for k, v in outcomes.items()}, progress)
    with listener.progress("Explaining held-out cases"):
        write_examples(Run(study.folder), study, listener)
    whole = Dataset(Run(study.folder).data_root) if recipe.folds.test else study.dataset
    external = open_external(study.task, study.material, recipe, whole)
    with listener.progress("Predicting the external cases") as progress:
        evaluate_external(study, external, progress)
    report_run(study.folder)
    return Run(study.folder)
