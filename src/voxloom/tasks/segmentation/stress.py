"""Dice of label maps of scans that get worse; the truth follows what is rotated, mirrored or cropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxloom.dataset import Case, Labels
from voxloom.evaluation import dice_score
from voxloom.evaluation.stress import Stressed
from voxloom.run.run import Run
from voxloom.runfiles import RunFold, folders_of
from voxloom.tasks.segmentation.predictor import Predictor
from voxloom.tasks.segmentation.truth import truth_of
from voxloom.tasks.stressed import POINTS, Fall
from voxloom.volume import Volume


class MaskStress:
    """See :class:`voxloom.tasks.stressed.StressTest`."""

    figure = "dice"

    def predictor(self, run: Run, folds: Sequence[RunFold]) -> Predictor:
        """With the run's post-processing."""
        largest = tuple(run.summary.get("largest_component", ()))
        return Predictor.from_folds(folders_of(folds), largest=largest).with_run(run)

    def follows(self, case: Case) -> Volume:
        """The true label map."""
        return truth_of(case)

    def values(self, predictor: Any, case: Case, stressed: Stressed, labels: Labels | None) -> dict[str, float]:
        """Dice per label, on the grid of the truth."""
        meant = labels or predictor.labels
        found, truth = stressed.restore(predictor.predict(stressed.image)).data[0], stressed.truth.data[0]
        valid, dices = meant.valid(truth), {}
        for (label, mask), (_, true) in zip(meant.masks(found), meant.masks(truth), strict=True):
            pair = (mask, true) if valid is None else (mask & valid, true & valid)
            dices[label] = dice_score(*pair)
        return dices

    def fall(self, run: Run, cases: Sequence[Case]) -> Fall:
        """Five points of Dice."""
        return POINTS


STRESS = MaskStress()
