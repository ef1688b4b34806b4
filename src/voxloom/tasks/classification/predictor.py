"""From networks' answers to a calibrated probability per class."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxloom.evaluation.conformal import class_set
from voxloom.evaluation.probabilities import at_temperature
from voxloom.runfiles import RunFold
from voxloom.tasks.classification.answer import ClassAnswer
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.classification.objective import probabilities_of
from voxloom.tasks.whole_case.calibration import read_calibration
from voxloom.tasks.whole_case.predictor import AnswerPredictor, CasePredictor
from voxloom.training.weights import load_weights
from voxloom.volume import Volume


@dataclass(frozen=True)
class ClassCalibration:
    """What calibration cases taught, and hashes of these cases.

    Parameters
    ----------
    temperatures : of the probabilities; one of all classes, or one per finding.
    limits : of conformal sets, likewise; infinite where there were too few cases to promise one.
    promise : chance with which a set holds the truth; None where nothing was promised.
    used : hashes of the cases of another data set.
    """

    temperatures: tuple[float, ...] = ()
    limits: tuple[float, ...] = ()
    promise: float | None = None
    used: frozenset[str] = frozenset()

    @classmethod
    def of(cls, run: Path) -> ClassCalibration:
        """That of a run; nothing where there is none."""
        about = read_calibration(run)
        if about is None:
            return cls()
        each = list(about["findings"].values()) if "findings" in about else [about]
        temperatures = tuple(float(one["temperature"]) for one in each)
        limits = tuple(math.inf if one["limit"] is None else float(one["limit"]) for one in each)
        return cls(temperatures, limits, about["promise"], frozenset(about.get("used", ())))

    def of_classes(self, p: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
        """Probabilities of classes (K,) at the temperature, and those that cannot be ruled out."""
        if not self.temperatures:
            return p, ()
        own = at_temperature(p, self.temperatures[0])
        if self.promise is None:
            return own, ()
        return own, tuple(classes[n] for n in class_set(own.tolist(), self.limits[0]))

    def of_findings(self, p: np.ndarray, findings: Sequence[str]) -> tuple[np.ndarray, tuple[str, ...]]:
        """The same, finding by finding."""
        if not self.temperatures:
            return p, ()
        pairs = [at_temperature([1 - q, q], t) for q, t in zip(p, self.temperatures, strict=True)]
        kept = [1 in class_set(pair.tolist(), limit) for pair, limit in zip(pairs, self.limits, strict=True)]
        names = tuple(name for name, possible in zip(findings, kept, strict=True) if possible)
        return np.array([pair[1] for pair in pairs]), names if self.promise is not None else ()


@dataclass(frozen=True)
class ClassPredictor(AnswerPredictor):
    """The networks of a classification run."""

    meaning: Meaning
    calibration: ClassCalibration = ClassCalibration()
    least: float = 0.0

    @classmethod
    def load(cls, networks: CasePredictor, folds: Sequence[RunFold], calibration: ClassCalibration) -> ClassPredictor:
        """With the classes that ``model.json`` names."""
        _, about = load_weights(folds[0].folder)
        return cls(networks, Meaning.from_dict(about["meaning"]), calibration)

    def predict(
        self,
        source: str | Path | Volume | Sequence[Path],
        attributes: Mapping[str, Any] | None = None,
        *,
        resample_tilt: bool = False,
    ) -> ClassAnswer:
        """Probabilities of one scan: the mean over networks and views, at the calibrated temperature."""
        answers = self.networks.answers(source, attributes, resample_tilt=resample_tilt)
        flat = torch.from_numpy(answers.reshape(-1, answers.shape[-1]))
        each = probabilities_of(flat, self.meaning)
        mean, spread = each.mean(axis=0), each.std(axis=0)
        several = self.meaning.kind == "findings"
        calibrated = self.calibration.of_findings if several else self.calibration.of_classes
        mean, possible = calibrated(mean, self.meaning.classes)
        return ClassAnswer(
            self.meaning.classes,
            tuple(float(p) for p in mean),
            several,
            possible,
            tuple(float(s) for s in spread) if len(each) > 1 else (),
            self.calibration.promise,
            self.least,
        )


def balanced_repeats(targets: Sequence[np.ndarray], share: float) -> list[int]:
    """Draws per case so that rare classes come ``share`` of the way to as often as the most frequent."""
    if not share:
        return [1] * len(targets)
    winners = np.array([int(np.nanargmax(t)) for t in targets])
    counts = np.bincount(winners).astype(float)
    factor = np.where(counts > 0, (counts.max() / np.maximum(counts, 1)) ** share, 1)
    return [max(1, round(float(factor[n]))) for n in winners]
