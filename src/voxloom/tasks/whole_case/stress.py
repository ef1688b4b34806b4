"""Answers for whole scans that get worse: whether they stay right, and how far numbers go astray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxloom.dataset import Case, Labels
from voxloom.evaluation.stress import Stressed
from voxloom.run.run import Run
from voxloom.runfiles import RunFold
from voxloom.tasks.stressed import POINTS, Fall
from voxloom.tasks.task import task_of
from voxloom.volume import Volume

#: Share of the error of always answering the mean by which the mean absolute error may rise.
RISE = 0.05


class WholeCaseStress:
    """What the stress tests of these tasks share; see :class:`voxloom.tasks.stressed.StressTest`."""

    figure: str

    def predictor(self, run: Run, folds: Sequence[RunFold]) -> Any:
        """Networks of folds."""
        return task_of(run).load(folds)

    def follows(self, case: Case) -> Volume:
        """Nothing is drawn on the image."""
        image = case.read_image()
        return image.with_data(np.zeros((1, *image.shape), np.uint8))

    def answer(self, predictor: Any, case: Case, stressed: Stressed) -> Any:
        """The answer for the stressed image of a case, whose covariates stay."""
        return predictor.predict(stressed.image, case.attributes)


class ClassStress(WholeCaseStress):
    """Share of right answers; of findings each on its own."""

    figure = "accuracy"

    def values(self, predictor: Any, case: Case, stressed: Stressed, labels: Labels | None) -> Mapping[str, float]:
        """1 where the answer is right, 0 where it is wrong."""
        truth = predictor.meaning.target(case)
        if truth is None:
            return {}
        found = self.answer(predictor, case, stressed)
        p = np.array(found.probabilities)
        if found.several:
            known = zip(found.classes, p, truth, strict=True)
            return {name: float((q > 0.5) == (t > 0.5)) for name, q, t in known if np.isfinite(t)}
        return {"all": float(p.argmax() == truth.argmax())}

    def fall(self, run: Run, cases: Sequence[Case]) -> Fall:
        """Five points of accuracy."""
        return POINTS


class NumberStress(WholeCaseStress):
    """Absolute error of every target, in SDs of the training targets where there are several, so that they can be averaged."""

    figure = "error"

    def values(self, predictor: Any, case: Case, stressed: Stressed, labels: Labels | None) -> Mapping[str, float]:
        """Per known target."""
        found, meaning = self.answer(predictor, case, stressed), predictor.meaning
        scales = meaning.sds if len(meaning.names) > 1 else (1.0,)
        each = zip(meaning.names, found.values, meaning.raw(case), scales, strict=True)
        return {name: abs(value - truth) / sd for name, value, truth, sd in each if np.isfinite(truth)}

    def fall(self, run: Run, cases: Sequence[Case]) -> Fall:
        """A twentieth of the error of always answering the mean of these cases."""
        predictor = task_of(run).load(run.folds[:1], device="cpu")
        meaning = predictor.meaning  # type: ignore[attr-defined]
        truth = np.array([meaning.raw(case) for case in cases]) / (meaning.sds if len(meaning.names) > 1 else 1.0)
        useless = float(np.nanmean(np.abs(truth - np.nanmean(truth, axis=0))))
        by = RISE * useless
        return Fall(by, f"error larger by {by:.3g} ({100 * RISE:.0f} % of always answering the mean)", down=False)


CLASS_STRESS, NUMBER_STRESS = ClassStress(), NumberStress()
