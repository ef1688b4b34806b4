"""Dice predicted by a linear model, and a lower bound that holds for a promised share of new patients.

Ridge regression of the logit of Dice on standardized features; the bound is the lower end of a one-sided jackknife-minmax
interval (Barber, Candes, Ramdas and Tibshirani 2021, section 2): for a patient exchangeable with the calibration patients it
holds with at least the promised probability, whatever the distribution and however good the regression. A patient's worst case
stands for the patient. That is a promise on average over calibrations; this one calibration may keep it less often. With a
``confidence`` the bound is that of split conformal prediction instead, whose order statistic holds the promise for this very
calibration with that chance (Vovk, Machine Learning 2013, 92:349; Wilks 1941). Too few patients for the promise give no bound (0),
and say so. Knows numbers only.
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
    promise : share of new patients, all of whose cases have a true Dice above their bound.
    cases, patients : it was calibrated on.
    fit : intercept and one coefficient per feature.
    left_out : the same, fitted without one patient, for every patient.
        With a confidence only the regression of half of the patients.
    margin : logits that the bound lies below the least prediction of ``left_out``; None where patients are too few.
    confidence : chance that this calibration keeps the promise; None where it is kept on average over calibrations.
    """

    features: tuple[str, ...]
    promise: float
    cases: int
    patients: int
    fit: tuple[float, ...]
    left_out: tuple[tuple[float, ...], ...]
    margin: float | None
    confidence: float | None = None

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
                f"No bound: a promise for {share} of patients needs {fewest_patients(self.promise, self.confidence)} patients, "
                f"there are {self.patients}."
            )
        among = f"{share} of new patients like the {self.patients} of calibration ({self.cases} cases)"
        above = "all of a patient's cases have a true Dice above their bound"
        if self.confidence is None:
            return (
                f"For at least {among} {above}: on average over calibrations, so this one may keep it for fewer (--confidence makes a "
                "bound that holds for this one)."
            )
        return f"With {100 * self.confidence:.0f} % confidence, for at least {among} {above}."

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
                None if values.get("confidence") is None else float(values["confidence"]),
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
    confidence: float | None = None,
) -> tuple[QualityModel, list[float]]:
    """Fit the regressor and its bound.

    Parameters
    ----------
    rows : features per case, all with the same names.
    dice : true Dice per case, from predictions of networks that never saw the case.
    patients : per case; a patient is left out whole.
    promise : share of new patients for whom the bound must hold.
    confidence : chance with which this calibration must keep the promise; half of the patients, drawn by a fixed seed, then fit and
        the others calibrate. None for the promise on average over calibrations, which needs fewer patients.

    Returns
    -------
    The model, and the Dice predicted for each case without its patient.

    Raises
    ------
    BadInput : fewer than three patients, or a promise or confidence outside 0 to 1.
    """
    if not 0 < promise < 1:
        raise BadInput(f"a promise of {promise:g} cannot be kept or broken", None, "Choose a share, e.g. 0.9")
    if confidence is not None and not 0 < confidence < 1:
        raise BadInput(f"a confidence of {confidence:g} is none", None, "Choose a share, e.g. 0.95")
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
    bound: tuple[Numbers, float | None]
    if confidence is None:
        worst = np.array([(out_of_sample - y)[groups == one].max() for one in people])
        bound = (without, margin_of(worst, promise))
    else:
        bound = _split_bound(x, y, groups, people, promise, confidence)
    model = QualityModel(
        names,
        promise,
        len(rows),
        len(people),
        tuple(_ridge(x, y).tolist()),
        tuple(tuple(row) for row in bound[0].tolist()),
        bound[1],
        confidence,
    )
    return model, [expit(value) for value in out_of_sample]


def _split_bound(
    x: Numbers, y: Numbers, groups: NDArray[np.str_], people: Sequence[str], promise: float, confidence: float
) -> tuple[Numbers, float | None]:
    """The regression of one half of the patients, and the margin by the residuals of the other half."""
    half = np.random.default_rng(0).permutation(np.array(people))
    learn, judge = half[: len(half) // 2], half[len(half) // 2 :]
    fit = _ridge(x[np.isin(groups, learn)], y[np.isin(groups, learn)])
    residuals = np.column_stack([np.ones(len(x)), x]) @ fit - y
    worst = np.sort([residuals[groups == one].max() for one in judge])
    place = sure_place(len(worst), promise, confidence)
    return fit[None], None if place is None else float(worst[place - 1])


def sure_place(patients: int, promise: float, confidence: float) -> int | None:
    """Which of the ordered residuals a share ``promise`` of new ones stays below, with chance ``confidence``; None for none.

    The share below the k-th of n has the distribution Beta(k, n + 1 - k), whatever that of the residuals (Wilks 1941).
    """
    from scipy.stats import beta

    places = np.arange(1, patients + 1)
    kept = places[beta.cdf(promise, places, patients + 1 - places) <= 1 - confidence]
    return int(kept[0]) if len(kept) else None


def margin_of(residuals: ArrayLike, promise: float) -> float | None:
    """The ceil(promise (n + 1))-th smallest of n residuals; None where n is too small for it."""
    ordered = np.sort(np.asarray(residuals, dtype=float))
    place = math.ceil(promise * (len(ordered) + 1) - 1e-9)
    return float(ordered[place - 1]) if place <= len(ordered) else None


def fewest_patients(promise: float, confidence: float | None = None) -> int:
    """The smallest number of patients that can keep a promise; half of them where it is to be kept with confidence."""
    if confidence is None:
        return math.ceil(promise / (1 - promise) - 1e-9)
    return 2 * math.ceil(math.log(1 - confidence) / math.log(promise) - 1e-9)


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
