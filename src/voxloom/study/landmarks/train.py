"""``train`` for landmarks: from a data set with points and a recipe to a run with weights, figures and a report.

Knows the order of the steps and the files of a run, which are those of every other run; ``predictions`` hold points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxloom.dataset import Case, Dataset, Fold, read_splits, write_splits
from voxloom.dataset.leaks import describe_cases
from voxloom.dataset.nested import first_patients
from voxloom.dataset.sides import left_right_axes
from voxloom.errors import BadInput
from voxloom.files import write_json, write_text
from voxloom.inference.precision import pick_device
from voxloom.landmarks import Layout
from voxloom.points import Point
from voxloom.prepare import Cache, PreparedCase
from voxloom.study.cases import choose_folds, joined_cases
from voxloom.study.environment import describe_environment
from voxloom.study.external import kept_apart, open_external
from voxloom.study.guard import Records, guard_folds, guard_outside
from voxloom.study.landmarks.plan import LandmarkPlan, checked, headers_of, plan_landmarks
from voxloom.study.mirroring import kept_mirrors
from voxloom.study.notes import data_notes
from voxloom.study.recipe import Recipe
from voxloom.study.run import Run, cache_folder
from voxloom.training.landmarks.fit import LandmarkTraining, fit_landmarks
from voxloom.training.landmarks.sampling import LandmarkCase
from voxloom.training.loop import Outcome

if TYPE_CHECKING:
    from voxloom.study.train import Listener


@dataclass(frozen=True)
class LandmarkStudy:
    """A landmark run that is ready to train: its folder, cases, points, layout, folds and settings."""

    folder: Path
    dataset: Dataset
    points: Mapping[str, tuple[Point, ...]]
    layout: Layout
    folds: list[Fold]
    plan: LandmarkPlan
    device: str


def usable_cases(dataset: Dataset, recipe: Recipe) -> Dataset:
    """The training cases that have points, without the excluded ones and without their label maps."""
    dataset = joined_cases(dataset, recipe)
    cases = [case for case in dataset if case.points is not None]
    if not cases:
        raise BadInput(
            "no case has points to train on", dataset.root, "Add points/<case>.csv with the columns name,side,x,y,z"
        )
    return without_labels(dataset, cases)


def without_labels(dataset: Dataset, cases: list[Case]) -> Dataset:
    """The given cases as a data set of images and points only."""
    from dataclasses import replace

    return Dataset.from_cases(
        dataset.name,
        [replace(case, label=None) for case in cases],
        dataset.channels,
        root=dataset.root,
        channel_kinds=dataset.channel_kinds,
    )


def start(dataset: Dataset, recipe: Recipe, folder: Path, listener: Listener) -> LandmarkStudy:
    """Check the points, plan, and write the files that define the run."""
    device = pick_device(recipe.device)
    cases = usable_cases(dataset, recipe)
    points = {case.id: case.read_points() for case in cases}
    settings = checked_landmarks(recipe)
    layout = Layout.of(points.values(), settings.chosen_maps, settings.names)
    recipe, told = without_sided_marks(recipe, layout)
    if told:
        listener.stage(told)
    folds = first_patients(choose_folds(cases, recipe), cases, recipe.folds.train_patients, seed=recipe.seed)
    records = describe_cases(cases)
    guard_folds(records, folds, recipe.data)
    outside = guard_outside(records, kept_apart(recipe, dataset, None), recipe.data)
    notes = data_notes(cases, recipe)
    for note in notes:
        listener.stage(f"Note: {note}")
    listener.stage("Planning")
    plan = plan_landmarks(recipe, headers_of(cases), layout.count)
    if plan.prepare.needs_statistics:
        raise BadInput("normalization by the labelled voxels needs label maps", "prepare.normalize", "Take zscore")
    write_text(folder / "plan.md", plan_text(plan, len(cases)))
    write_json(folder / "plan.json", [dict(zip(("choice", "value", "why"), r, strict=True)) for r in plan.reasons])
    write_json(folder / "environment.json", describe_environment(device))
    write_splits(folds, folder / "splits_final.json")
    about = describe_data(dataset, layout, folds, records, outside)
    write_json(folder / "data.json", {**about, "notes": notes})
    plan.recipe.save(folder / "recipe.yaml")
    return LandmarkStudy(folder, cases, points, layout, folds, plan, device)


def without_sided_marks(recipe: Recipe, layout: Layout) -> tuple[Recipe, str | None]:
    """No mirror images along left-right where the two sides have maps of their own."""
    parted = layout.sided and layout.maps == "landmark"
    sided = left_right_axes(recipe.preparation.orientation) if parted else ()
    return kept_mirrors(recipe, sided, layout.sides)


def checked_landmarks(recipe: Recipe) -> Any:
    """The landmark settings of a recipe."""
    from voxloom.landmarks import LandmarkSettings

    return checked(LandmarkSettings, recipe.landmarks, "landmarks")


def plan_text(plan: LandmarkPlan, cases: int) -> str:
    """``plan.md``: every choice, its value and its reason in words."""
    rows = [f"| {name} | {value} | {why} |" for name, value, why in plan.reasons]
    head = ["# Plan", "", f"{cases} cases with points; recipe `{plan.recipe.name}`.", "", "| choice | value | why |"]
    return "\n".join([*head, "|---|---|---|", *rows, "", "Everything is written out in `recipe.yaml`.", ""])


def describe_data(
    dataset: Dataset, layout: Layout, folds: list[Fold], records: Records, outside: Mapping[str, Records]
) -> dict[str, Any]:
    """``data.json``: the cases of the run and those kept apart, each with file hashes, and its landmarks."""
    from voxloom.study.train import with_folds

    return {
        "dataset": {
            "name": dataset.name,
            "root": str(dataset.root.resolve()),
            "layout": dataset.layout,
            "columns": dict(dataset.columns),
            "channels": list(dataset.channels),
            "channel_kinds": list(dataset.channel_kinds),
            "labels": {},
            "landmarks": layout.to_dict(),
        },
        "cases": with_folds(records, folds),
        "outside": outside,
        "fingerprint": {},
    }


def reopen(dataset: Dataset, run: Run) -> LandmarkStudy:
    """The study of a run that was started before, with its own recipe and folds.

    Raises BadInput when the data set has other cases than the run, or a file has changed.
    """
    recipe, known = run.recipe, {case["id"]: case["files"] for case in run.data["cases"]}
    cases = usable_cases(dataset, recipe)
    if set(known) != {case.id for case in cases}:
        raise BadInput("the data set has other cases than the run", dataset.root, "Resume with the run's data set")
    digests = Cache(cache_folder(run.folder)).digests(cases)
    for case in cases:
        if sorted(digests[path] for path in case.source_files) != sorted(known[case.id].values()):
            raise BadInput(f"case {case.id} has changed since the run was started", dataset.root, "Start a new run")
    layout = Layout.from_dict(run.data["dataset"]["landmarks"])
    folds = read_splits(run.folder / "splits_final.json", cases)
    plan = plan_landmarks(recipe, headers_of(cases), layout.count)
    points = {case.id: case.read_points() for case in cases}
    return LandmarkStudy(run.folder, cases, points, layout, folds, plan, pick_device(recipe.device))


def train_folds(study: LandmarkStudy, listener: Listener, *, resume: bool = False) -> Run:
    """Prepare the cases, train every fold, score the held-out cases, report."""
    from voxloom.study.landmarks.evaluate import evaluate_external_points, report_landmarks, validate_landmarks
    from voxloom.study.train import tell_skipped

    outcomes: dict[str, Outcome] = {}
    for number, fold in enumerate(study.folds):
        listener.stage(f"Fold {number}: {len(fold.train)} cases to train on, {len(fold.val)} held out")
        outcome = outcomes[f"fold_{number}"] = _train_fold(study, number, listener, resume)
        tell_skipped(listener, number, outcome)
    repeat = study.plan.recipe.model_copy(update={"budget": None, "pace": {k: v.pace for k, v in outcomes.items()}})
    repeat.save(study.folder / "repeat.yaml")
    with listener.progress("Predicting the held-out cases") as progress:
        validate_landmarks(study, {name: vars(outcome) for name, outcome in outcomes.items()}, progress)
    evaluate_external_points(study.folder, open_external(study.plan.recipe, study.dataset, None))
    report_landmarks(study.folder)
    return Run(study.folder)


def _train_fold(study: LandmarkStudy, number: int, listener: Listener, resume: bool) -> Outcome:
    with listener.progress("Preparing") as progress:
        prepared = Cache(cache_folder(study.folder)).prepare(study.dataset, study.plan.prepare, progress=progress)
    job = training_of(study, number, prepared)
    seconds = study.plan.recipe.budget_seconds
    budget = None if seconds is None else seconds / len(study.folds)
    with listener.reporter(number) as reporter:
        return fit_landmarks(job, device=study.device, budget=budget, resume=resume, reporter=reporter)


def training_of(study: LandmarkStudy, number: int, prepared: Mapping[str, PreparedCase]) -> LandmarkTraining:
    """The training of one fold."""
    plan, fold = study.plan, study.folds[number]
    cases = {
        name: LandmarkCase(prepared[name], prepared[name].geometry.affine, study.layout.known(study.points[name]))
        for name in (*fold.train, *fold.val)
    }
    return LandmarkTraining(
        folder=study.folder / f"fold_{number}",
        train={name: cases[name] for name in fold.train},
        validation={name: cases[name] for name in fold.val},
        layout=study.layout,
        landmarks=plan.landmarks,
        network=plan.network,
        channels=len(study.dataset.channels),
        training=plan.training,
        augment=plan.augment,
        inference=plan.inference,
        spacing=plan.spacing,
        seed=plan.recipe.seed + number,
        description=describe_model(study, fold),
        repeats={name: repeats_of(study.dataset[name], plan.landmarks.oversample) for name in fold.train},
        pace=plan.recipe.pace.get(f"fold_{number}", ()),
    )


def repeats_of(case: Case, oversample: Mapping[str, int]) -> int:
    """How often a case is drawn in a pass: the largest factor of the attributes that it has."""
    absent = ("", "0", "0.0", "no", "false", "none")
    has = [factor for name, factor in oversample.items() if str(case.attributes.get(name, "")).lower() not in absent]
    return max(has, default=1)


def describe_model(study: LandmarkStudy, fold: Fold) -> dict[str, Any]:
    """``model.json``: all that prediction needs beside the weights."""
    plan = study.plan
    return {
        "format": 1,
        "kind": "landmarks",
        "landmarks": plan.landmarks.model_dump(mode="json"),
        "layout": study.layout.to_dict(),
        "network": plan.network.model_dump(mode="json") if plan.network else None,
        "prepare": plan.prepare.model_dump(mode="json"),
        "inference": plan.inference.model_dump(mode="json"),
        "patch": list(plan.training.patch),
        "precision": plan.training.precision,
        "channels": list(study.dataset.channels),
        "channel_dropout": plan.augment.channel_dropout,
        "trained_on": list(fold.train),
    }
