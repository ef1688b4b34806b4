"""From networks' answers to numbers with intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.formats.dicom.results.terms import Figure
from voxloom.report.notebook import html_table
from voxloom.runfiles import RunFold
from voxloom.tasks.regression.objective import Scale
from voxloom.tasks.whole_case.calibration import read_calibration
from voxloom.tasks.whole_case.predictor import AnswerPredictor, CasePredictor
from voxloom.training.weights import load_weights
from voxloom.volume import Volume


@dataclass(frozen=True)
class NumberAnswer:
    """Numbers of one case.

    Parameters
    ----------
    targets, values : names and predictions, in the units of the targets.
    low, high : ends of the interval that holds the truth with the promised chance; NaN without a calibration.
    spread : SD over networks and changed views.
    sds : what the network itself says of its error (Gaussian likelihood); NaN where it says nothing.
    promise : of the interval.
    """

    targets: tuple[str, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    spread: tuple[float, ...]
    sds: tuple[float, ...]
    promise: float | None = None

    @property
    def unsure(self) -> tuple[float, ...]:
        """How unsure each number is: what the networks say of their error, else their spread."""
        return tuple(s if math.isfinite(s) else d for s, d in zip(self.sds, self.spread, strict=True))

    def _repr_html_(self) -> str:
        """A row per target, in a notebook."""
        rows = [["target", "value", "interval"]]
        for one in figures_of(self):
            ends = "none" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"
            rows.append([one.name, f"{one.value:.4g}", ends])
        told = (
            () if self.promise is None else (f"Intervals hold the truth of {100 * self.promise:g} % of new patients",)
        )
        return html_table(rows, notes=told)

    def to_dict(self) -> dict[str, Any]:
        """Plain values; what is not known, or has no bound, is left out."""
        found: dict[str, Any] = {}
        for n, name in enumerate(self.targets):
            about = {"value": self.values[n], "low": self.low[n], "high": self.high[n], "sd": self.sds[n]}
            about["spread"] = self.spread[n]
            found[name] = {key: value for key, value in about.items() if math.isfinite(value)}
        return {"targets": found} | ({"promise": self.promise} if self.promise is not None else {})


def figures_of(answer: NumberAnswer) -> tuple[Figure, ...]:
    """The numbers for people, with their intervals where these are known and have ends."""
    found = []
    for name, value, low, high in zip(answer.targets, answer.values, answer.low, answer.high, strict=True):
        if math.isfinite(low) and math.isfinite(high):
            found.append(Figure(name, value, "1", low, high, answer.promise))
        else:
            found.append(Figure(name, value))
    return tuple(found)


@dataclass(frozen=True)
class NumberCalibration:
    """Half-widths of conformal intervals per target, in its units, infinite where there were too few cases to promise one; and hashes
    of the cases of another data set that they were fitted to."""

    limits: tuple[float, ...] = ()
    promise: float | None = None
    used: frozenset[str] = frozenset()

    @classmethod
    def of(cls, run: Path) -> NumberCalibration:
        """That of a run; nothing where there is none."""
        about = read_calibration(run)
        if about is None:
            return cls()
        used = frozenset(about.get("used", ()))
        return cls(tuple(math.inf if v is None else float(v) for v in about["limits"]), about["promise"], used)


@dataclass(frozen=True)
class NumberPredictor(AnswerPredictor):
    """The networks of a regression run."""

    meaning: Scale
    calibration: NumberCalibration = NumberCalibration()

    @classmethod
    def load(cls, networks: CasePredictor, folds: Sequence[RunFold], calibration: NumberCalibration) -> NumberPredictor:
        """With the targets that ``model.json`` names."""
        _, about = load_weights(folds[0].folder)
        return cls(networks, Scale.from_dict(about["meaning"]), calibration)

    def predict(
        self,
        source: str | Path | Volume | Sequence[Path],
        attributes: Mapping[str, Any] | None = None,
        *,
        resample_tilt: bool = False,
    ) -> NumberAnswer:
        """Numbers of one scan: the mean over networks and views."""
        answers = self.networks.answers(source, attributes, resample_tilt=resample_tilt)
        each, sds = self.meaning.values(answers.reshape(-1, answers.shape[-1]))
        values, spread = each.mean(axis=0), each.std(axis=0)
        unsure = np.full(len(values), np.nan)
        if sds is not None:  # law of total variance over the members
            unsure = np.sqrt((sds**2).mean(axis=0) + each.var(axis=0))
        half = np.array(self.calibration.limits or [np.nan] * len(values))
        return NumberAnswer(
            self.meaning.names,
            tuple(float(v) for v in values),
            tuple(float(v) for v in values - half),
            tuple(float(v) for v in values + half),
            tuple(float(v) if len(each) > 1 else math.nan for v in spread),
            tuple(float(v) for v in unsure),
            self.calibration.promise,
        )
