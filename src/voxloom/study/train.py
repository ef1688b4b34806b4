"""``train``: from a data set and a recipe to a run with weights, figures and a report.

Knows the order of the steps and the files of a run. Each step is a function of another module.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset, Fold, Labels, read_splits, write_splits
from voxloom.dataset.inspect import Fingerprint, fingerprint
from voxloom.dataset.leaks import describe_cases
from voxloom.dataset.nested import first_patients
from voxloom.errors import BadInput
from voxloom.files import PART, write_json, write_text
from voxloom.inference.precision import pick_device
from voxloom.prepare import Cache, PreparedCase, Statistics, measure_statistics
from voxloom.progress import Progress
from voxloom.study.abilities import ask_folders, refuse_unused
from voxloom.study.cases import choose_folds, settled, usable_cases
from voxloom.study.environment import describe_environment
from voxloom.study.external import evaluate_external, kept_apart, open_external
from voxloom.study.facts import Resolved, complete, gather_facts, plan_rows, plan_text, resolve
from voxloom.study.guard import Records, guard_folds, guard_outside
from voxloom.study.mirroring import without_sided_mirrors
from voxloom.study.notes import data_notes
from voxloom.study.recipe import Recipe
from voxloom.study.run import Run, cache_folder
from voxloom.study.sound import refuse_unsound
from voxloom.training.callbacks import Reporter
from voxloom.training.checkpoint import CHECKPOINT
from voxloom.training.fit import Training, fit
from voxloom.training.loop import Outcome
from voxloom.training.skipping import skipped_sentence
from voxloom.training.timing import seconds_per_step


@dataclass(frozen=True)
class Listener:
    """Who is told how far a run is; every member may be left out."""

    stage: Callable[[str], None] = lambda text: None
    progress: Callable[[str], contextlib.AbstractContextManager[Progress | None]] = lambda text: (
        contextlib.nullcontext()
    )
    reporter: Callable[[int], contextlib.AbstractContextManager[Reporter | None]] = lambda fold: (
        contextlib.nullcontext()
    )


SILENT = Listener()

#: Held while a process works in a run.
LOCK = ".lock"
#: Files of a run that are written before its recipe, in this order.
_BEFORE_RECIPE = ("plan.md", "plan.json", "environment.json", "splits_final.json", "data.json")


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

    Raises
    ------
    BadInput : the data set, recipe, folds or folder cannot be used; the message says why and what to do.
    KeyboardInterrupt : on Ctrl-C, after saving; ``resume`` continues.
    """
    dataset = data if isinstance(data, Dataset) else Dataset(data)
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
            if chosen.landmarks:
                refuse_unused(chosen)
                from voxloom.study.landmarks.train import start, train_folds

                return train_folds(start(dataset, chosen, folder, listener), listener)
            return _train_folds(start_study(dataset, chosen, folder, listener), listener)
        except BadInput:
            discard_unstarted(folder)
            raise


def never_started(folder: Path) -> bool:
    """Whether a folder is empty but for what a run leaves that was killed before it had its recipe (written last)."""
    names = {path.name for path in folder.iterdir() if PART not in path.name}
    return names <= {LOCK, *_BEFORE_RECIPE}


def discard_unstarted(folder: Path) -> None:
    """Remove a run that was refused before any training, so that the mended data can be trained into the same folder."""
    if not checkpoints_of(folder):
        shutil.rmtree(folder, ignore_errors=True)


def checkpoints_of(folder: Path) -> list[Path]:
    """What the folds of a run would be taken up from."""
    return list(folder.glob(f"fold_*/{CHECKPOINT}"))


def free_folder(parent: Path, name: str) -> Path:
    """``parent/name-1``, or the first number that is not taken."""
    return next(folder for n in range(1, 10**6) if not (folder := parent / f"{name}-{n}").exists())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep a second process out of a run."""
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BadInput(
            "another process is working in this run", folder, "Wait for it, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Study:
    """A run that is ready to train: its folder, data, folds and settings."""

    folder: Path
    dataset: Dataset
    labels: Labels
    folds: list[Fold]
    settings: Resolved
    device: str


def start_study(dataset: Dataset, recipe: Recipe, folder: Path, listener: Listener) -> Study:
    """Inspect, plan and write the files that define the run."""
    device = pick_device(recipe.device)
    cases, labels = usable_cases(dataset, recipe)
    recipe, told = without_sided_mirrors(recipe, labels.names)
    if told:
        listener.stage(told)
    folds = first_patients(choose_folds(cases, recipe), cases, recipe.folds.train_patients, seed=recipe.seed)
    with listener.progress("Inspecting") as progress:
        found = fingerprint(cases, progress=progress)
    refuse_unsound(found)
    records = describe_cases(cases, found.likenesses)
    guard_folds(records, folds, recipe.data)
    outside = guard_outside(records, kept_apart(recipe, dataset, labels), recipe.data)
    facts = gather_facts(cases, found, labels)
    notes = data_notes(cases, recipe, found)
    for note in notes:
        listener.stage(f"Note: {note}")
    listener.stage("Planning: timing training steps on this machine")
    seconds = None if recipe.budget_seconds is None else recipe.budget_seconds / len(folds)
    full, plan = complete(recipe, facts, device, seconds, partial(seconds_per_step, device=device))
    write_text(folder / "plan.md", plan_text(recipe, plan, facts))
    rows = plan_rows(recipe, plan)
    write_json(folder / "plan.json", [dict(zip(("choice", "value", "why"), row, strict=True)) for row in rows])
    write_json(folder / "environment.json", describe_environment(device))
    write_splits(folds, folder / "splits_final.json")
    about = describe_data(dataset, labels, folds, found, records, outside)
    write_json(folder / "data.json", {**about, "notes": notes})
    full.save(folder / "recipe.yaml")
    return Study(folder, cases, labels, folds, resolve(full), device)


def describe_data(
    dataset: Dataset,
    labels: Labels,
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
            "labels": labels.to_nnunet(),
            "regions_order": labels.regions_order,
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
    if (folder / "summary.json").is_file() and not checkpoints_of(folder):
        what = "the finished run has no checkpoint to go on from (a sweep keeps none)"
        raise BadInput(what, folder, "Train its recipe.yaml anew")
    recipe = run.recipe if budget is None else run.recipe.changed({"budget": budget})
    if recipe.landmarks:
        return _resume_landmarks(dataset, run, recipe, listener)
    known = {case["id"]: case["files"] for case in run.data["cases"]}
    cases, labels = usable_cases(dataset, recipe)
    if set(known) != {case.id for case in cases}:
        raise BadInput(
            "the data set has other cases than the run", dataset.root, "Resume with the data set it was started with"
        )
    digests = Cache(cache_folder(folder)).digests(cases)
    for case in cases:
        if sorted(digests[path] for path in case.source_files) != sorted(known[case.id].values()):
            raise BadInput(f"case {case.id} has changed since the run was started", dataset.root, "Start a new run")
    with locked(folder):
        if budget is not None:
            recipe.save(folder / "recipe.yaml")
        folds = read_splits(folder / "splits_final.json", cases)
        study = Study(folder, cases, labels, folds, resolve(recipe), pick_device(recipe.device))
        return _train_folds(study, listener, resume=True)


def _resume_landmarks(dataset: Dataset, run: Run, recipe: Recipe, listener: Listener) -> Run:
    """Continue a run that trains on points."""
    from voxloom.study.landmarks.train import reopen, train_folds

    with locked(run.folder):
        recipe.save(run.folder / "recipe.yaml")
        return train_folds(reopen(dataset, run), listener, resume=True)


def _train_folds(study: Study, listener: Listener, *, resume: bool = False) -> Run:
    """Prepare the cases, train every fold, evaluate, report."""
    from voxloom.study.evaluation import report_run, validate_run

    outcomes = {}
    for number in range(len(study.folds)):
        listener.stage(
            f"Fold {number}: {len(study.folds[number].train)} cases to train on, {len(study.folds[number].val)} held out"
        )
        outcome = outcomes[f"fold_{number}"] = _train_fold(study, number, listener, resume)
        tell_skipped(listener, number, outcome)
    repeat = study.settings.recipe.model_copy(update={"budget": None, "pace": {k: v.pace for k, v in outcomes.items()}})
    repeat.save(study.folder / "repeat.yaml")
    with listener.progress("Predicting the held-out cases") as progress:
        validate_run(study.folder, study.dataset, study.labels, {k: vars(v) for k, v in outcomes.items()}, progress)
    external = open_external(study.settings.recipe, study.dataset, study.labels)
    with listener.progress("Predicting the external cases") as progress:
        evaluate_external(study.folder, external, progress)
    report_run(study.folder)
    return Run(study.folder)


def tell_skipped(listener: Listener, number: int, outcome: Outcome) -> None:
    """Say how many steps of a fold were left out, and why; nothing where all were taken."""
    if outcome.skipped:
        listener.stage(f"Fold {number}: {skipped_sentence(outcome.skipped, outcome.steps)}")


def _train_fold(study: Study, number: int, listener: Listener, resume: bool) -> Outcome:
    """Prepare and train one fold."""
    with listener.progress("Preparing") as progress:
        job = training_of(study, number, progress)
    seconds = study.settings.recipe.budget_seconds
    budget = None if seconds is None else seconds / len(study.folds)
    with listener.reporter(number) as reporter:
        return fit(job, device=study.device, budget=budget, resume=resume, reporter=reporter)


def training_of(study: Study, number: int, progress: Progress | None = None) -> Training:
    """The training of one fold, its cases prepared (from the cache where they are)."""
    s, fold = study.settings, study.folds[number]
    statistics = fold_statistics(study, fold)
    prepared = Cache(cache_folder(study.folder)).prepare(
        study.dataset, s.prepare, labels=study.labels, statistics=statistics, progress=progress
    )
    return Training(
        folder=study.folder / f"fold_{number}",
        train={name: prepared[name] for name in fold.train},
        validation={name: prepared[name] for name in fold.val},
        labels=study.labels,
        network=s.network,
        training=s.training,
        augment=s.augment,
        inference=s.inference,
        spacing=typical_spacing([prepared[name] for name in fold.train]),
        seed=s.recipe.seed + number,
        description=describe_model(study, fold, statistics),
        pace=s.recipe.pace.get(f"fold_{number}", ()),
        slices=s.slices,
        init=s.recipe.init,
    )


def open_study(run: Run) -> Study:
    """The data, folds and settings of a run that was started before."""
    recipe = run.recipe
    about = run.data
    cases, labels = usable_cases(Dataset(run.data_root), recipe)
    cases = cases.subset([case["id"] for case in about["cases"]])
    folds = read_splits(run.folder / "splits_final.json", cases)
    return Study(run.folder, cases, labels, folds, resolve(recipe), pick_device(recipe.device))


def fold_statistics(study: Study, fold: Fold) -> Statistics | None:
    """Intensity statistics of the training cases of a fold only, so that nothing leaks from the held-out ones."""
    if not study.settings.prepare.needs_statistics:
        return None
    cases = [study.dataset[name] for name in fold.train]
    seed, folder = study.settings.recipe.seed, cache_folder(study.folder)
    return measure_statistics(cases, study.settings.prepare, study.labels, seed=seed, folder=folder)


def typical_spacing(cases: Sequence[PreparedCase]) -> tuple[float, float, float]:
    """Mm of the prepared grid, the median where every case has its own (``resize_to``, or no spacing in the recipe)."""
    if not cases:
        return (1.0, 1.0, 1.0)
    i, j, k = (sorted(axis)[len(cases) // 2] for axis in zip(*(case.spacing for case in cases), strict=True))
    return (i, j, k)


def describe_model(study: Study, fold: Fold, statistics: Statistics | None) -> dict[str, Any]:
    """``model.json``: all that prediction needs beside the weights."""
    s = study.settings
    return {
        "format": 1,
        "network": s.network.model_dump(mode="json"),
        "prepare": s.prepare.model_dump(mode="json"),
        "inference": s.inference.model_dump(mode="json"),
        "slices": s.slices.model_dump(mode="json"),
        "patch": list(s.training.patch),
        "precision": s.training.precision,
        "channels_last": s.training.channels_last,
        "channels": list(study.dataset.channels),
        "channel_dropout": s.augment.channel_dropout,
        "augment": s.augment.model_dump(mode="json"),
        "labels": study.labels.to_nnunet(),
        "regions_order": study.labels.regions_order,
        "statistics": statistics.to_dict() if statistics else None,
        "trained_on": list(fold.train),
    }
