"""A run that is ready to train, or is opened again: its folder, task, cases, folds and settings.

Knows how prepared cases become the training of a fold, whatever the task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voxloom.dataset import Dataset, Fold, Labels, read_splits
from voxloom.errors import BadInput
from voxloom.inference.device import pick_device
from voxloom.prepare import Cache, PreparedCase, Statistics, measure_statistics
from voxloom.progress import Progress
from voxloom.recipe.recipe import Recipe
from voxloom.run.run import Run, cache_folder
from voxloom.runfiles import RunFold
from voxloom.tasks.settings import Settings
from voxloom.tasks.task import Task, task_of
from voxloom.tasks.values import Material
from voxloom.training.job import Job


@dataclass(frozen=True)
class Study:
    """A run that is ready to train."""

    folder: Path
    task: Task
    material: Material
    folds: list[Fold]
    settings: Settings
    device: str

    def place(self, number: int) -> RunFold:
        """Where the files of a fold lie."""
        return RunFold(number, self.folder)

    @property
    def dataset(self) -> Dataset:
        """The usable training cases."""
        return self.material.dataset

    @property
    def labels(self) -> Labels:
        """Of the label maps (BadInput for a task whose targets are none)."""
        if self.material.labels is None:
            raise BadInput(f"a {self.task.name} run has no label maps", self.folder)
        return self.material.labels


def open_study(run: Run) -> Study:
    """The data, folds and settings of a run that was started before."""
    about = run.data
    study = study_of(run, Dataset(run.data_root), run.recipe)
    cases = study.dataset.subset([case["id"] for case in about["cases"]])
    return Study(study.folder, study.task, study.material.of(cases), study.folds, study.settings, study.device)


def reopen(run: Run, dataset: Dataset, recipe: Recipe) -> Study:
    """The study of a run that goes on with the data set that it was started with.

    Raises
    ------
    BadInput : the data set has other cases than the run, or a file has changed.
    """
    known = {case["id"]: case["files"] for case in run.data["cases"]}
    study = study_of(run, dataset, recipe)
    if set(known) != {case.id for case in study.dataset}:
        fix = "Resume with the data set it was started with"
        raise BadInput("the data set has other cases than the run", dataset.root, fix)
    digests = Cache(cache_folder(run.folder)).digests(study.dataset)
    for case in study.dataset:
        if sorted(digests[path] for path in case.source_files) != sorted(known[case.id].values()):
            raise BadInput(f"case {case.id} has changed since the run was started", dataset.root, "Start a new run")
    return study


def study_of(run: Run, dataset: Dataset, recipe: Recipe) -> Study:
    """A run's study on a data set, with what was settled when it was started."""
    task = task_of(run)
    material = task.material(dataset, recipe, run.data["dataset"])
    folds = read_splits(run.folder / "splits_final.json", material.dataset)
    return Study(run.folder, task, material, folds, task.resolve(recipe), pick_device(recipe.device))


def training_of(study: Study, number: int, progress: Progress | None = None) -> Job:
    """The training of one fold, its cases prepared (from the cache where they are)."""
    statistics = fold_statistics(study, study.folds[number])
    prepared = _prepared(study, study.dataset, statistics, progress)
    return study.task.job(study, number, prepared, statistics)


def prepared_cases(study: Study, names: Sequence[str], statistics: Statistics | None) -> Mapping[str, PreparedCase]:
    """Some cases as a training with these statistics sees them, from the cache where they are."""
    return _prepared(study, study.dataset.subset(names), statistics)


def _prepared(
    study: Study, dataset: Dataset, statistics: Statistics | None, progress: Progress | None = None
) -> Mapping[str, PreparedCase]:
    return Cache(cache_folder(study.folder)).prepare(
        dataset, study.settings.prepare, labels=study.material.labels, statistics=statistics, progress=progress
    )


def fold_statistics(study: Study, fold: Fold) -> Statistics | None:
    """Intensity statistics of the training cases of a fold only, so that nothing leaks from the held-out ones."""
    if not study.settings.prepare.needs_statistics:
        return None
    cases = [study.dataset[name] for name in fold.train]
    seed, folder = study.settings.recipe.seed, cache_folder(study.folder)
    return measure_statistics(cases, study.settings.prepare, study.labels, seed=seed, folder=folder)
