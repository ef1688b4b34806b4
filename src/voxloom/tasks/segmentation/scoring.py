"""What follows from the held-out cases of a segmentation run: which post-processing new predictions go through.

Knows the run's ``predictions`` and the summary's entries. The metrics are in ``voxloom.evaluation``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset import Dataset, Labels
from voxloom.evaluation import Evaluation, dice_score, evaluate_case
from voxloom.evaluation.measures import Measures
from voxloom.formats import read_label, write_volume
from voxloom.inference.postprocess import keep_largest
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.tasks.segmentation.postprocessing import (
    Activations,
    ChosenStep,
    as_json,
    planned_steps,
    postprocess_predictions,
)
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.study import Study
from voxloom.tasks.values import Table
from voxloom.training.settings import InferenceSettings

#: Keeping the largest component only must gain this much Dice on the validation cases to be used.
WORTHWHILE_GAIN = 1e-4


def settle(study: Study, scored: Mapping[str, Evaluation]) -> tuple[dict[str, Table], dict[str, Any]]:
    """Decide on the largest component and on post-processing; the tables that hold then, and the entries of the summary."""
    folder, dataset, labels, raw = study.folder, study.dataset, study.labels, scored
    held_out = {study.place(n): fold.val for n, fold in enumerate(study.folds)}
    largest = decide_largest(folder, dataset, labels, held_out)
    if largest:
        scored = {
            p.name: score_again(p, dataset, ids, labels, largest) for p, ids in held_out.items() if p.name in scored
        }
    steps = decide_postprocessing(folder, dataset, labels, held_out)
    if any(step.used for step in steps):
        scored = {p.name: score_again(p, dataset, ids, labels, ()) for p, ids in held_out.items() if p.name in scored}
    if scored is not raw:
        for name, table in scored.items():
            table.before = raw[name]
            if raw[name].probes is not None:
                table.take_probed(raw[name])
    return dict(scored), {"largest_component": list(largest), "postprocess": as_json(steps)}


def decide_largest(
    folder: Path, dataset: Dataset, labels: Labels, held_out: Mapping[RunFold, Sequence[str]]
) -> tuple[str, ...]:
    """Labels whose mean Dice on the held-out cases rises when only their largest component is kept.

    A recipe that names the labels is obeyed; regions are left as they are.
    """
    wanted = Run(folder).recipe.inference["largest_component"]
    if wanted != "auto":
        return tuple(wanted)
    if labels.has_regions:
        return ()
    gains: dict[str, list[float]] = {name: [] for name in labels.names}
    for fold, ids in held_out.items():
        for case in ids:
            found = read_label(fold.held_out.prediction(case)).data[0]
            truth = truth_of(dataset[case]).data[0]
            valid = labels.valid(truth)
            for label, true in labels.masks(truth):
                masks = [dict(labels.masks(m))[label] for m in (keep_largest(found, labels, [label]), found)]
                kept, mask, true = (m if valid is None else m & valid for m in (*masks, true))
                gains[label].append(dice_score(kept, true) - dice_score(mask, true))
    return tuple(label for label, values in gains.items() if values and np.mean(values) > WORTHWHILE_GAIN)


def decide_postprocessing(
    folder: Path, dataset: Dataset, labels: Labels, held_out: Mapping[RunFold, Sequence[str]]
) -> list[ChosenStep]:
    """Try the recipe's post-processing steps on the held-out cases; those that help change the predictions on disk."""
    run = Run(folder)
    settings = InferenceSettings.model_validate(run.recipe.inference)
    planned = planned_steps(settings, labels, run.data.get("fingerprint", {}), dataset)
    fold_of = {case: fold for fold, ids in held_out.items() for case in ids}
    predictions = {case: fold.held_out.prediction(case) for case, fold in fold_of.items()}

    def activations(case: str) -> contextlib.AbstractContextManager[Activations]:
        return Predictor.from_folds([fold_of[case].folder]).activations(dataset[case].read_image())

    return postprocess_predictions(planned, predictions, dataset, labels, activations)


def score_again(
    fold: RunFold, dataset: Dataset, ids: Sequence[str], labels: Labels, largest: tuple[str, ...]
) -> Evaluation:
    """Keep the largest component of some labels in the predictions on disk, and score them anew."""
    measures = Measures.model_validate(Run(fold.run).recipe.evaluate)
    evaluation = Evaluation(labels.names, measures=measures)
    for case in ids:
        path = fold.held_out.prediction(case)
        prediction = read_label(path)
        prediction = prediction.with_data(keep_largest(prediction.data[0], labels, largest)[None])
        write_volume(prediction, path)
        figures = evaluate_case(prediction, truth_of(dataset[case]), labels, measures)
        evaluation.add(case, figures, patient=dataset[case].patient)
    return evaluation


def held_out_figures(run: Run) -> Evaluation:
    """The rows of every fold's ``metrics.csv``."""
    return read_tables(run.held_out_tables)


def read_tables(paths: Sequence[Path]) -> Evaluation:
    """The rows of some ``metrics.csv`` files."""
    pooled = Evaluation.read_csv(paths[0])
    for path in paths[1:]:
        pooled.extend(Evaluation.read_csv(path))
    return pooled
