"""From networks' answers to a calibrated probability per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxloom.evaluation.conformal import class_set
from voxloom.evaluation.probabilities import at_temperature
from voxloom.tasks.classification.answer import ClassAnswer
from voxloom.tasks.classification.classes import Meaning
from voxloom.tasks.classification.objective import probabilities_of
from voxloom.tasks.whole_case.calibration import read_calibration
from voxloom.tasks.whole_case.predictor import AnswerPredictor, CasePredictor
from voxloom.training.weights import load_weights
from voxloom.volume import Volume


@dataclass(frozen=True)
class ClassCalibration:
    """What calibration cases taught: temperature of the probabilities, the limit of conformal sets; and hashes of these cases."""

    temperature: float = 1.0
    limit: float = float("inf")
    promise: float | None = None
    used: frozenset[str] = frozenset()

    @classmethod
    def of(cls, run: Path) -> ClassCalibration:
        """That of a run; nothing where there is none."""
        about = read_calibration(run)
        if about is None:
            return cls()
        used = frozenset(about.get("used", ()))
        limit = about.get("limit")
        return cls(float(about["temperature"]), float("inf") if limit is None else float(limit), about["promise"], used)


@dataclass(frozen=True)
class ClassPredictor(AnswerPredictor):
    """The networks of a classification run."""

    meaning: Meaning
    calibration: ClassCalibration = ClassCalibration()

    @classmethod
    def load(cls, networks: CasePredictor, folders: Sequence[Path], calibration: ClassCalibration) -> ClassPredictor:
        """With the classes that ``model.json`` names."""
        _, about = load_weights(folders[0])
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
        if not several:
            mean = at_temperature(mean, self.calibration.temperature)
        possible: tuple[str, ...] = ()
        if self.calibration.promise is not None and not several:
            possible = tuple(self.meaning.classes[n] for n in class_set(mean.tolist(), self.calibration.limit))
        return ClassAnswer(
            self.meaning.classes,
            tuple(float(p) for p in mean),
            several,
            possible,
            tuple(float(s) for s in spread) if len(each) > 1 else (),
            self.calibration.promise,
        )


def balanced_repeats(targets: Sequence[np.ndarray], share: float) -> list[int]:
    """Draws per case so that rare classes come ``share`` of the way to as often as the most frequent."""
    if not share:
        return [1] * len(targets)
    winners = np.array([int(np.nanargmax(t)) for t in targets])
    counts = np.bincount(winners).astype(float)
    factor = np.where(counts > 0, (counts.max() / np.maximum(counts, 1)) ** share, 1)
    return [max(1, round(float(factor[n]))) for n in winners]
