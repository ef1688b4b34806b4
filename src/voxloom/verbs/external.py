"""External test sets: kept wholly apart while a run is planned and trained, evaluated by all folds together afterwards.

Knows where a run keeps them (``external/NAME``, ``summary.json``). The figures are those of any evaluation.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from voxloom.dataset import Dataset
from voxloom.dataset.join import set_names
from voxloom.errors import BadInput
from voxloom.files import file_stem, write_json
from voxloom.progress import Progress
from voxloom.recipe.recipe import Recipe
from voxloom.run.cases import drawn_test, whole_cases
from voxloom.run.run import Run
from voxloom.runfiles import SUMMARY, CaseFiles
from voxloom.tasks.scoring import counter, predict_and_score, time_per_case
from voxloom.tasks.study import Study
from voxloom.tasks.task import Task
from voxloom.tasks.values import Material
from voxloom.tasks.wish import Wish

FOLDER = "external"
#: The set that ``folds.test`` draws.
TEST = "test set"


def open_external(task: Task, material: Material, recipe: Recipe, whole: Dataset) -> dict[str, Dataset]:
    """The annotated cases of the external sets of a recipe, by name, with the channels of the run's data set.

    ``test set`` is what ``folds.test`` sets apart of ``whole``, the data set as it was given.

    Raises
    ------
    BadInput : a set has no annotated case, other channels, or targets that contradict the run's.
    """
    sets, channels = (
        [Dataset(path, series=recipe.data.series) for path in recipe.data.external],
        material.dataset.channels,
    )
    found = {}
    if recipe.folds.test:
        drawn = whole_cases(whole, recipe)
        sets, names = [drawn.subset(drawn_test(drawn, recipe)), *sets], [TEST, *set_names(sets)]
    else:
        names = set_names(sets)
    for one, name in zip(sets, names, strict=True):
        annotated = [case for case in one if task.annotated(case)]
        if not annotated:
            fix = f"Give a data set with {task.needed} to --external"
            raise BadInput("no annotated case to evaluate on", one.root, fix)
        if pseudo := [case.id for case in annotated if case.is_pseudo]:
            raise BadInput(f"case {pseudo[0]} has a pseudo-label, which is not a truth", one.root, "Use --add for it")
        matched = task.matched(recipe, material.labels, channels, one, annotated)
        found[name] = Dataset.from_cases(
            name,
            [replace(case, split=None) for case in matched.cases],
            channels,
            matched.labels,
            root=one.root,
            channel_kinds=material.dataset.channel_kinds,
            notes=matched.notes,
        )
    return found


def kept_apart(task: Task, material: Material, whole: Dataset, recipe: Recipe) -> dict[str, Dataset]:
    """All that a study must never train on: its external sets, and the annotated cases of its own test split."""
    outside = open_external(task, material, recipe, whole)
    annotated = [case.id for case in whole.test if task.annotated(case)]
    return {**outside, **({"test split": whole.subset(annotated)} if annotated else {})}


def evaluate_external(study: Study, external: dict[str, Dataset], progress: Progress | None = None) -> dict[str, Any]:
    """Predict and score every external set with all folds of a run; adds ``external`` to ``summary.json``.

    Returns
    -------
    Figures by the name of the set, as in its table's summary.
    """
    if not external:
        return {}
    run, task = Run(study.folder), study.task
    predictor = task.open(run, Wish(device=study.device))
    tick, figures = counter(sum(map(len, external.values())), progress), {}
    records, material_labels = run.data.get("outside", {}), study.material.labels
    for name, dataset in external.items():
        place, cases = CaseFiles(study.folder / FOLDER / file_stem(name)), list(dataset)
        labels = None if material_labels is None else dataset.labels or material_labels
        scored = predict_and_score(task, predictor, cases, place.predictions, tick, labels=labels)
        scored.table.write_csv(place.table)
        write_json(place.cases, records[name])
        further = task.figures(run, labels, cases, place.folder, scored.files)
        further = {**further, **time_per_case(scored.seconds, study.device)}
        warnings = [*dataset.notes, *scored.warnings]
        told = {"warnings": warnings} if warnings else {}
        about = {"name": name, "folder": f"{FOLDER}/{place.folder.name}"}
        figures[name] = {**about, **scored.table.summary(), **further, **told}
    write_json(study.folder / SUMMARY, {**run.summary, "external": figures})
    return figures
