"""Evaluating a run: the held-out cases after training, any other data set later, and the report.

Knows the run's ``predictions``, ``metrics.csv`` and ``summary.json``. The metrics are in ``voxloom.evaluation``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.dataset import Case, Dataset, Labels
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, dice_score, evaluate_case
from voxloom.files import write_json
from voxloom.formats import write_volume
from voxloom.inference.postprocess import keep_largest
from voxloom.progress import Progress
from voxloom.study.predict import Predictor
from voxloom.study.run import Run
from voxloom.volume import Volume

#: Keeping the largest component only must gain this much Dice on the validation cases to be used.
WORTHWHILE_GAIN = 1e-4


@dataclass(frozen=True)
class RunEvaluation:
    """Figures of a run on one data set.

    Parameters
    ----------
    run : folder of the run.
    name : "validation", or the name of the data set.
    evaluation : one row per case and label.
    """

    run: Path
    name: str
    evaluation: Evaluation

    def summary(self) -> dict[str, Any]:
        """Mean, median, SD and bootstrap confidence interval per label and over labels."""
        return self.evaluation.summary()

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run's report, which includes these figures."""
        return report_run(self.run, Path(path) if path is not None else None)


def predict_and_score(
    predictor: Predictor, cases: Sequence[Case], out: Path, labels: Labels, progress: Progress | None = None, done: int = 0, total: int = 0
) -> Evaluation:
    """Predict labelled cases into ``out`` and score each on its own grid; predictions are held one at a time."""
    evaluation = Evaluation(labels.names)
    for number, case in enumerate(cases):
        truth = case.read_label()
        if truth is None:
            raise BadInput("has no label to compare with", case.id, "Evaluate only labelled cases")
        prediction = predictor.predict(case.read_image())
        write_volume(prediction, out / f"{case.id}.nii.gz")
        evaluation.add(case.id, evaluate_case(prediction, truth, labels), patient=case.patient)
        if progress is not None:
            progress(done + number + 1, total or len(cases))
    return evaluation
