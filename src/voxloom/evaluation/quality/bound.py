"""Dice predicted by a linear model, and a lower bound that holds for a promised share of cases.

Ridge regression of the logit of Dice on standardized features; the bound is the lower end of a one-sided jackknife-minmax
interval (Barber, Candes, Ramdas and Tibshirani 2021, section 2): for a patient exchangeable with the calibration patients it
holds with at least the promised probability, whatever the distribution and however good the regression. A patient's worst case
stands for the patient. Too few patients for the promise give no bound (0), and say so. Knows numbers only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput

Numbers = NDArray[np.float64]

#: Dice is held so far from 0 and 1 before its logit is taken; a bound at this edge is given as 0.
EDGE = 1e-3
#: Fewer patients than this leave nothing to learn from when one is left out.
FEWEST = 3
_PENALTIES = np.logspace(-2, 4, 13)


@dataclass(frozen=True)
class QualityModel:
    """A fitted regressor with its bound; JSON-able.

    Parameters
    ----------
    features : names, in the order of the coefficients.
    promise : share of cases whose true Dice lies above the bound.
    cases, patients : it was calibrated on.
    fit : intercept and one coefficient per feature.
    left_out : the same, fitted without one patient, for every patient.
    margin : logits that the bound lies below the least prediction of ``left_out``; None where patients are too few.
    """

    features: tuple[str, ...]
    promise: float
    cases: int
    patients: int
    fit: tuple[float, ...]
    left_out: tuple[tuple[float, ...], ...]
    margin: float | None

    def predict(self, features: Mapping[str, float]) -> tuple[float, float]:
        """Predicted Dice of a case, and its lower bound (0 where there is none).

        Raises
        ------
        BadInput : a feature is missing.
        """
        missing = [name for name in self.features if name not in features]
        if missing:
            raise BadInput(f"features are missing: {', '.join(missing)}", "quality", "Calibrate the run again")
        row = np.array([1.0, *(features[name] for name in self.features)])
        predicted = float(row @ np.array(self.fit))
        if self.margin is None:
            return expit(predicted), 0.0
        low = expit(float((np.array(self.left_out) @ row).min()) - self.margin)
        return expit(predicted), low if low > EDGE else 0.0

    def sentence(self) -> str:
        """What is promised, or why nothing is."""
        share = f"{100 * self.promise:.0f} %"
        if self.margin is None:
            return (
                f"No bound: a promise for {share} of cases needs {fewest_patients(self.promise)} patients, "
                f"there are {self.patients}."
            )
        return (
            f"At least {share} of cases like the {self.cases} of calibration ({self.patients} patients) have a true Dice "
            "above the bound."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; ``from_dict`` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> QualityModel:
        """From ``to_dict`` (BadInput when it is damaged)."""
        try:
            found = cls(
                tuple(values["features"]),
                float(values["promise"]),
                int(values["cases"]),
                int(values["patients"]),
                tuple(map(float, values["fit"])),
                tuple(tuple(map(float, row)) for row in values["left_out"]),
                None if values["margin"] is None else float(values["margin"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"the calibration is damaged ({error})", "quality.json", "Calibrate the run again"
            ) from error
        if {len(row) for row in (found.fit, *found.left_out)} != {len(found.features) + 1}:
            raise BadInput("the calibration is damaged", "quality.json", "Calibrate the run again")
        return found


def fit_quality(
    rows: Sequence[Mapping[str, float]],
    dice: Sequence[float],
    patients: Sequence[str],
    *,
    promise: float = 0.9,
) -> tuple[QualityModel, list[float]]:
    """Fit the regressor and its bound.

    Parameters
    ----------
    rows : features per case, all with the same names.
    dice : true Dice per case, from predictions of networks that never saw the case.
    patients : per case; a patient is left out whole.
    promise : share of cases for which the bound must hold.

    Returns
    -------
    The model, and the Dice predicted for each case without its patient.

    Raises
    ------
    BadInput : fewer than three patients, or a promise outside 0 to 1.
    """
    if not 0 < promise < 1:
        raise BadInput(f"a promise of {promise:g} cannot be kept or broken", None, "Choose a share, e.g. 0.9")
    names = tuple(rows[0]) if rows else ()
    groups = np.array(patients)
    people = list(dict.fromkeys(patients))
    if len(people) < FEWEST:
        fix = "Train with more folds or a larger hold-out"
        raise BadInput(f"{len(people)} held-out patient(s) are too few to calibrate on", None, fix)
    x = np.array([[row[name] for name in names] for row in rows], dtype=float)
    y = logits(dice)
    without = np.array([_ridge(x[groups != one], y[groups != one]) for one in people])
    ones = np.column_stack([np.ones(len(x)), x])
    out_of_sample = np.array([float(row @ without[people.index(p)]) for row, p in zip(ones, patients, strict=True)])
    worst = np.array([(out_of_sample - y)[groups == one].max() for one in people])
    model = QualityModel(
        names,
        promise,
        len(rows),
        len(people),
        tuple(_ridge(x, y).tolist()),
        tuple(tuple(row) for row in without.tolist()),
        margin_of(worst, promise),
    )
    return model, [expit(value) for value in out_of_sample]


def margin_of(residuals: ArrayLike, promise: float) -> float | None:
    """The ceil(promise (n + 1))-th smallest of n residuals; None where n is too small for it."""
    ordered = np.sort(np.asarray(residuals, dtype=float))
    place = math.ceil(promise * (len(ordered) + 1) - 1e-9)
    return float(ordered[place - 1]) if place <= len(ordered) else None


def fewest_patients(promise: float) -> int:
    """The smallest number of patients that can keep a promise."""
    return math.ceil(promise / (1 - promise) - 1e-9)


def logits(dice: ArrayLike) -> Numbers:
    """Log odds of Dice, held ``EDGE`` away from 0 and 1."""
    inside = np.clip(np.asarray(dice, dtype=float), EDGE, 1 - EDGE)
    found: Numbers = np.log(inside / (1 - inside))
    return found


def expit(value: float) -> float:
    """The share with these log odds."""
    return 1 / (1 + math.exp(-value)) if value >= 0 else 1 - 1 / (1 + math.exp(value))


def _ridge(x: Numbers, y: Numbers) -> Numbers:
    """Intercept and coefficients in the features' own units; the penalty is chosen by leave-one-out error."""
    from sklearn.linear_model import RidgeCV
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    ridge = RidgeCV(alphas=_PENALTIES).fit(scaler.transform(x), y)
    slopes = ridge.coef_ / scaler.scale_
    return np.array([float(ridge.intercept_) - float(slopes @ scaler.mean_), *slopes])
