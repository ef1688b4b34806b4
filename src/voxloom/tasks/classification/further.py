"""Figures of scored cases beside those of their table: at stated thresholds, and with the network as one more rater.

Knows the predictions that a run keeps and the columns of raters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset import Case
from voxloom.evaluation.classification import ClassEvaluation, ClassRow
from voxloom.evaluation.raters.model_rater import rater_agreement
from voxloom.files import read_json
from voxloom.run.run import Run
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.whole_case.settings import ClassificationSettings


def further_figures(
    run: Run, settings: ClassificationSettings, cases: Sequence[Case], predictions: Mapping[str, Path]
) -> dict[str, Any]:
    """``thresholds`` of two classes, ``raters`` where the target has several columns."""
    meaning = Meaning.from_dict(run.data["dataset"]["meaning"])
    if meaning.kind == "findings":
        return {}
    known = [(case, target) for case in cases if (target := meaning.target(case)) is not None]
    rows = []
    for case, target in known:
        p = read_json(predictions[case.id])["probabilities"]
        truth = meaning.classes[int(np.argmax(target))]
        rows.append(ClassRow(case.id, case.patient, truth, tuple(p[name] for name in meaning.classes)))
    table = ClassEvaluation(meaning.classes, rows)
    found: dict[str, Any] = {}
    if not rows:
        return {}
    if len(meaning.classes) == 2 and settings.thresholds:
        found["thresholds"] = table.at_thresholds(settings.thresholds)
    if len(meaning.columns) > 1:
        ratings = [meaning.ratings(case) for case, _ in known]
        scores = [[score for score, _ in row] for row in ratings]
        classes = [[name for _, name in row] for row in ratings]
        answers = [meaning.classes[int(np.argmax(row.probabilities))] for row in rows]
        found["raters"] = rater_agreement(scores, classes, [r.truth for r in rows], answers, table.patients)
    return found
