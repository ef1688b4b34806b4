"""External test sets: kept wholly apart while a run is planned and trained, evaluated by all folds together afterwards.

Knows where a run keeps them (``external/NAME``, ``summary.json``). The figures are those of any evaluation.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from voxloom.dataset import Case, Dataset, Labels
from voxloom.dataset.join import set_names, with_channels
from voxloom.errors import BadInput
from voxloom.files import write_json
from voxloom.notes import collect
from voxloom.progress import Progress
from voxloom.report.parts import file_stem
from voxloom.study.evaluation import predict_and_score, told_warnings
from voxloom.study.matching import matched_labels
from voxloom.study.predict import Predictor
from voxloom.study.recipe import Recipe
from voxloom.study.run import Run
from voxloom.study.structures import score_structures

FOLDER = "external"


def open_external(recipe: Recipe, dataset: Dataset, labels: Labels | None) -> dict[str, Dataset]:
    """The annotated cases of the external sets of a recipe, by name, with the channels of the run's data set.

    Parameters
    ----------
    labels : of the run; None for a run on points, whose external cases must have points instead of a label map.

    Raises
    ------
    BadInput : a set has no annotated case, other channels, or labels that contradict those of the run.
    """
    sets = [Dataset(path, series=recipe.data.series) for path in recipe.data.external]
    found = {}
    for one, name in zip(sets, set_names(sets), strict=True):
        match = None if labels is None else matched_labels(recipe, labels, one)
        ordered = with_channels(one, dataset.channels)
        cases = [replace(c, split=None) for c in ordered if annotated(c, labels)]
        if not cases:
            what = "labels" if labels is not None else "points"
            raise BadInput("no annotated case to evaluate on", one.root, f"Give a data set with {what} to --external")
        if pseudo := [case.id for case in cases if case.is_pseudo]:
            raise BadInput(f"case {pseudo[0]} has a pseudo-label, which is no truth", one.root, "Use --add for it")
        if match is not None:
            cases = [match.applied(case) for case in cases]
        found[name] = Dataset.from_cases(
            name,
            cases,
            dataset.channels,
            labels if match is None else match.labels,
            root=one.root,
            channel_kinds=dataset.channel_kinds,
            notes=() if match is None else match.notes,
        )
    return found


def annotated(case: Case, labels: Labels | None) -> bool:
    """Whether a case has what a run with these labels (or, without any, on points) can be compared with."""
    return (case.points if labels is None else case.label) is not None


def kept_apart(recipe: Recipe, whole: Dataset, labels: Labels | None) -> dict[str, Dataset]:
    """All that a study must never train on: its external sets, and the annotated cases of its own test split."""
    outside = open_external(recipe, whole, labels)
    labelled = [case.id for case in whole.test if annotated(case, labels)]
    return {**outside, **({"test split": whole.subset(labelled)} if labelled else {})}


def evaluate_external(folder: Path, external: dict[str, Dataset], progress: Progress | None = None) -> dict[str, Any]:
    """Predict and score every external set with all folds of a run; adds ``external`` to ``summary.json``.

    Returns
    -------
    Figures by the name of the set, as in ``Evaluation.summary``.
    """
    run = Run(folder)
    predictor = Predictor.of(run)
    total, done, figures = sum(map(len, external.values())), 0, {}
    records = run.data.get("outside", {})

    def tick() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress(done, total)

    for name, dataset in external.items():
        place = folder / FOLDER / file_stem(name)
        labels = dataset.labels or predictor.labels
        with collect() as heard:
            evaluation = predict_and_score(predictor, list(dataset), place / "predictions", labels, tick)
        warnings = [*dataset.notes, *told_warnings(heard)]
        evaluation.write_csv(place / "metrics.csv")
        write_json(place / "cases.json", records[name])
        paths = {case.id: place / "predictions" / f"{case.id}.nii.gz" for case in dataset}
        structures = score_structures(run, labels, paths, list(dataset), place)
        told = {"warnings": warnings} if warnings else {}
        figures[name] = {"name": name, "folder": f"{FOLDER}/{place.name}", **evaluation.summary(), **structures, **told}
    if figures:
        write_json(folder / "summary.json", {**run.summary, "external": figures})
    return figures
