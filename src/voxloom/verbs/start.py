"""A run before its training: its cases are inspected and guarded, its settings planned, and the files that define it written.

Knows ``plan.md``, ``plan.json``, ``environment.json``, ``splits_final.json``, ``data.json`` and ``recipe.yaml``, whatever the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxloom.dataset import Dataset, Fold, write_splits
from voxloom.dataset.inspect import Fingerprint, fingerprint
from voxloom.dataset.leaks import describe_cases
from voxloom.dataset.nested import first_patients
from voxloom.files import write_json, write_text
from voxloom.formats.dicom.results import read_codes
from voxloom.inference.device import pick_device
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import choose_folds
from voxloom.run.environment import describe_environment
from voxloom.run.guard import Records, guard_folds, guard_outside
from voxloom.run.listener import Listener
from voxloom.run.notes import data_notes
from voxloom.run.sound import refuse_broken, refuse_unsound
from voxloom.tasks.abilities import refuse_unused
from voxloom.tasks.choice import chosen_task
from voxloom.tasks.study import Study
from voxloom.tasks.task import Task
from voxloom.tasks.values import Material
from voxloom.training.trackers import refuse_absent
from voxloom.verbs.dicom_results import CODES
from voxloom.verbs.external import kept_apart


@dataclass(frozen=True)
class Inspected:
    """What is known of the cases of a run before it is planned.

    Parameters
    ----------
    records, outside : what identifies the cases that are trained on, and by name those of the sets that are kept apart.
    notes : what a reader must know of the data.
    """

    fingerprint: Fingerprint
    records: Records
    outside: Mapping[str, Records]
    notes: Sequence[str]


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
    folds = chosen_folds(task, material, recipe, listener)
    seen = inspect_cases(task, material, dataset, folds, recipe, listener)
    listener.stage("Planning: timing training steps on this machine")
    seconds = None if recipe.budget_seconds is None else recipe.budget_seconds / len(folds)
    plan = task.plan(material, recipe, seen.fingerprint, device, seconds)
    write_text(folder / "plan.md", plan.text)
    write_json(folder / "plan.json", [dict(zip(("choice", "value", "why"), row, strict=True)) for row in plan.rows])
    write_json(folder / "environment.json", describe_environment(device))
    write_splits(folds, folder / "splits_final.json")
    about = describe_data(task, material, dataset, folds, seen)
    write_json(folder / "data.json", {**about, **({"settled": told} if told else {})})
    if recipe.dicom.codes is not None:
        write_text(folder / CODES, recipe.dicom.codes.read_text(encoding="utf-8-sig"))
    plan.recipe.save(folder / "recipe.yaml")  # last: a folder without it was never started
    return Study(folder, task, material, folds, task.resolve(plan.recipe), device)


def chosen_folds(task: Task, material: Material, recipe: Recipe, listener: Listener) -> list[Fold]:
    """The folds of a recipe, with what the task has to say of them."""
    cases = material.dataset
    folds = first_patients(choose_folds(cases, recipe), cases, recipe.folds.train_patients, seed=recipe.seed)
    for note in task.check_folds(material, folds):
        listener.stage(f"Note: {note}")
    return folds


def inspect_cases(
    task: Task, material: Material, dataset: Dataset, folds: Sequence[Fold], recipe: Recipe, listener: Listener
) -> Inspected:
    """Measure the training cases, and see that no scan and no patient stands on two sides.

    Raises
    ------
    BadInput : cases cannot be used, contradict each other, or leak.
    """
    cases = material.dataset
    with listener.progress("Inspecting") as progress:
        found = fingerprint(cases, progress=progress)
    if material.labels is not None:
        refuse_broken(found)
    refuse_unsound(found)
    records = describe_cases(cases, found.likenesses)
    guard_folds(records, folds, recipe.data)
    outside = guard_outside(records, kept_apart(task, material, dataset, recipe), recipe.data)
    notes = data_notes(cases, recipe, found)
    for note in notes:
        listener.stage(f"Note: {note}")
    return Inspected(found, records, outside, notes)


def describe_data(
    task: Task, material: Material, dataset: Dataset, folds: Sequence[Fold], seen: Inspected
) -> dict[str, Any]:
    """``data.json``: the cases of the run and those kept apart, each with file hashes, the fingerprint, and notes."""
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
        "cases": with_folds(seen.records, folds),
        "outside": seen.outside,
        "fingerprint": seen.fingerprint.to_dict(),
        "notes": seen.notes,
    }


def with_folds(records: Records, folds: Sequence[Fold]) -> list[dict[str, Any]]:
    """Records of cases with the number of the fold that validates each (None: it always trains)."""
    fold_of = {case: n for n, fold in enumerate(folds) for case in fold.val}
    return [{**record, "fold": fold_of.get(record["id"])} for record in records]
