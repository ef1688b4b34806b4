"""Mixed models: a score of cases within patients within sites, and the agreement of raters on repeated frames of a patient.

Scores are fitted by restricted maximum likelihood (statsmodels); the degrees of freedom of a term are those of the level at which it
varies ("containment", Pinheiro and Bates 2000, section 2.4.2), as the normal quantiles of large samples find too much with few groups.
Components of agreement are moments of the analysis of variance, which equal that likelihood's in balanced designs. Knows numbers only.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import Numbers, numbers_of, place_in_groups
from voxloom.evaluation.statistics.association import Term
from voxloom.evaluation.statistics.interval import Estimate
from voxloom.evaluation.statistics.jackknife import jackknife

#: Levels of a score, from the outermost.
SITE, PATIENT, CASE = "site", "patient", "case"
#: A level with fewer groups is not a random effect: their spread cannot be told.
LEAST_GROUPS = 5
#: Terms with fewer degrees of freedom have neither p nor interval: the likelihood's errors take the variances for known, which then
#: makes them too small (docs/trust.md).
LEAST_FREEDOM = 10.0


@dataclass(frozen=True)
class MixedModel:
    """A mixed model of one score.

    Parameters
    ----------
    terms : the mean of the score first (factors are centered), then each factor; NaN for p and interval where too few groups bear on
        it.
    level : name of a term -> the level at which it varies: "site", "patient" or "case".
    sd : level -> standard deviation between its groups; "case" is what is left within patients, in the unit of the score.
    cases, patients, sites : how many; sites None without.
    """

    terms: tuple[Term, ...]
    level: Mapping[str, str]
    sd: Mapping[str, float]
    cases: int
    patients: int
    sites: int | None

    @property
    def shares(self) -> dict[str, float]:
        """Level -> share of the variance that is not explained by the factors."""
        whole = sum(sd**2 for sd in self.sd.values())
        return {level: sd**2 / whole if whole else math.nan for level, sd in self.sd.items()}

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return {**asdict(self), "shares": self.shares}


def mixed_model(
    scores: ArrayLike,
    patients: Sequence[Any],
    *,
    sites: Sequence[Any] | None = None,
    factors: Mapping[str, ArrayLike] | None = None,
) -> MixedModel:
    """A score of cases within patients, and within sites where they are given.

    Parameters
    ----------
    scores : finite, one per case.
    patients : of each case; a patient who was seen at two sites is refused.
    sites : of each case.
    factors : name -> finite value per case; centered, so that the first term is the mean score.

    Raises
    ------
    BadInput : fewer than ``LEAST_GROUPS`` patients (or sites, where they are given), no patient with several cases and no sites, a
        factor that is the same everywhere, or a fit that does not end.
    """
    y = numbers_of(scores, "scores")
    patient = place_in_groups(patients, len(y))
    site = None if sites is None else place_in_groups(sites, len(y))
    _check_levels(patient, site)
    columns = {name: numbers_of(values, f"values of {name}") for name, values in (factors or {}).items()}
    for name, values in columns.items():
        if len(values) != len(y) or float(np.ptp(values)) == 0:
            raise BadInput(f"{name} is the same in all cases, or has no value for some", None, "Leave it out")
    design = np.column_stack([np.ones(len(y)), *((v - v.mean()) for v in columns.values())])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        raise BadInput(f"one of {', '.join(columns)} follows from the others", None, "Leave one out")
    found = _fit(y, design, patient, site)
    names = ["mean", *columns]
    level = {name: _level(column, patient, site) for name, column in zip(names, design.T, strict=True)}
    freedom = _freedom(level, patient, site, len(y))
    terms = tuple(
        _term(name, float(value), float(error), freedom[level[name]])
        for name, value, error in zip(names, found.values, found.errors, strict=True)
    )
    counts = int(patient.max()) + 1, None if site is None else int(site.max()) + 1
    return MixedModel(terms, level, found.sd, len(y), *counts)


def _check_levels(patient: NDArray[np.intp], site: NDArray[np.intp] | None) -> None:
    patients = int(patient.max(initial=-1)) + 1
    if patients < LEAST_GROUPS:
        raise BadInput(f"{patients} patients are too few for a mixed model", None, f"It takes {LEAST_GROUPS} or more")
    if site is None:
        if patients == len(patient):
            fix = "Use means and intervals over patients (voxloom evaluate), or name sites: --site COLUMN"
            raise BadInput("every patient has one case, so there is no level within patients", None, fix)
        return
    count = int(site.max()) + 1
    if count < LEAST_GROUPS:
        fix = "Compare the sites instead: voxloom fairness --by site"
        raise BadInput(f"{count} sites are too few to tell how much sites differ", None, fix)
    first = np.full(patients, -1)
    first[patient] = site
    if (first[patient] != site).any():
        raise BadInput("a patient has cases of two sites, so patients do not lie within sites", None, "Leave sites out")


@dataclass(frozen=True)
class _Fitted:
    values: Numbers
    errors: Numbers
    sd: dict[str, float]


def _fit(y: Numbers, design: Numbers, patient: NDArray[np.intp], site: NDArray[np.intp] | None) -> _Fitted:
    """Fixed effects, their errors and the standard deviations of the levels."""
    scale = float(y.std())
    if scale <= 1e-12 * max(1.0, float(np.abs(y).max())):
        raise BadInput("all scores are the same, so there is nothing to tell apart")
    repeats = len(patient) > int(patient.max()) + 1
    outermost = patient if site is None else site
    outer, inner, left = _variances(y / scale, design, outermost, patient if site is not None and repeats else None)
    levels = {PATIENT: outer, CASE: left}
    if site is not None:
        levels = {SITE: outer, PATIENT: inner, CASE: left} if repeats else {SITE: outer, PATIENT: left}
    values, errors = _weighted(y / scale, design, outermost, patient, (outer, inner, left))
    return _Fitted(values * scale, errors * scale, {name: math.sqrt(v) * scale for name, v in levels.items()})


def _variances(
    y: Numbers, design: Numbers, outermost: NDArray[np.intp], within: NDArray[np.intp] | None
) -> tuple[float, float, float]:
    """Variances of the outermost groups, of the groups within them (0 without), and of the rest, by statsmodels' REML."""
    from statsmodels.regression.mixed_linear_model import MixedLM, VCSpec

    parts = None
    if within is not None:
        own = [np.flatnonzero(outermost == n) for n in range(int(outermost.max()) + 1)]
        blocks = [np.equal.outer(within[rows], np.unique(within[rows])).astype(float) for rows in own]
        names = [[f"p{n}" for n in range(block.shape[1])] for block in blocks]
        parts = VCSpec([PATIENT], [names], [blocks])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a variance at 0, which is an answer
        model = MixedLM(y, design, groups=outermost, exog_re=np.ones((len(y), 1)), exog_vc=parts)
        try:
            found = model.fit(reml=True, method=["lbfgs", "powell"], skip_hessian=True)
        except (
            np.linalg.LinAlgError
        ):  # the outermost groups do not differ: their variance is exactly 0, which it cannot invert
            if within is not None:
                inner, _, left = _variances(y, design, within, None)
                return 0.0, inner, left
            residuals = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
            return 0.0, 0.0, float(residuals @ residuals) / (len(y) - design.shape[1])
    inner = max(float(found.vcomp[0]), 0.0) if parts is not None else 0.0
    return max(float(np.asarray(found.cov_re)[0, 0]), 0.0), inner, float(found.scale)


def _weighted(
    y: Numbers,
    design: Numbers,
    outermost: NDArray[np.intp],
    patient: NDArray[np.intp],
    variances: tuple[float, float, float],
) -> tuple[Numbers, Numbers]:
    """Coefficients and errors by generalized least squares under variances of the outermost groups, of patients, and of the rest."""
    outer, inner, left = variances
    size = design.shape[1]
    whole, side = np.zeros((size, size)), np.zeros(size)
    for n in range(int(outermost.max()) + 1):
        rows = np.flatnonzero(outermost == n)
        covariance = outer + inner * np.equal.outer(patient[rows], patient[rows]) + left * np.eye(len(rows))
        solved = np.linalg.solve(covariance, np.column_stack([design[rows], y[rows]]))
        whole += design[rows].T @ solved[:, :-1]
        side += design[rows].T @ solved[:, -1]
    inverse = np.linalg.inv(whole)
    return inverse @ side, np.sqrt(np.diag(inverse))


def _level(column: Numbers, patient: NDArray[np.intp], site: NDArray[np.intp] | None) -> str:
    """The outermost level whose groups do not mix values of a column."""
    if site is not None and _constant_within(column, site):
        return SITE
    return PATIENT if _constant_within(column, patient) else CASE


def _constant_within(column: Numbers, place: NDArray[np.intp]) -> bool:
    low, high = np.full(int(place.max()) + 1, np.inf), np.full(int(place.max()) + 1, -np.inf)
    np.minimum.at(low, place, column)
    np.maximum.at(high, place, column)
    return bool((high - low <= 1e-12 * max(1.0, float(np.abs(column).max()))).all())


def _freedom(
    level: Mapping[str, str], patient: NDArray[np.intp], site: NDArray[np.intp] | None, cases: int
) -> dict[str, float]:
    """Degrees of freedom of every level: its groups minus those of the next outer one and the terms that vary at it."""
    groups = {SITE: 0 if site is None else int(site.max()) + 1, PATIENT: int(patient.max()) + 1, CASE: cases}
    found, outer = {}, 0
    for name, count in groups.items():
        terms = sum(at == name for at in level.values())
        found[name] = float(count - outer - terms)
        outer = count
    return found


def _term(name: str, value: float, error: float, freedom: float) -> Term:
    from scipy import stats

    t = value / error if error > 0 else math.nan
    if freedom < LEAST_FREEDOM or not math.isfinite(t):
        return Term(name, Estimate(value, math.nan, math.nan), error, t, freedom, math.nan)
    half = float(stats.t.ppf(0.975, freedom)) * error
    p = float(2 * stats.t.sf(abs(t), freedom))
    return Term(name, Estimate(value, value - half, value + half), error, t, freedom, p)


#: Fewer patients give no interval of agreement on repeated frames.
REPEATED_LEAST = 15


@dataclass(frozen=True)
class RepeatedAgreement:
    """Agreement of raters on several frames (scans) of every patient.

    Parameters
    ----------
    single : share of the variance of one rating of one frame that is the frame's own: patients and frames against all of it, the
        shifts of these raters included.
    within : the same within patients: do raters agree on what changes from frame to frame?
    sd : standard deviations of "patient", "frame" (within patients), "rater" (their shifts), "rater by patient" (shifts of their
        own for a patient) and "rest", in the unit of the ratings.
    frames, patients, raters : how many.
    """

    single: Estimate
    within: Estimate
    sd: Mapping[str, float]
    frames: int
    patients: int
    raters: int

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def repeated_agreement(ratings: ArrayLike, groups: Sequence[Any]) -> RepeatedAgreement:
    """Components of agreement where patients have several frames.

    Parameters
    ----------
    ratings : (frames, raters), finite; at least two raters.
    groups : patient per frame; at least one with several frames, and two patients.

    Returns
    -------
    Intervals by the jackknife over patients, from ``REPEATED_LEAST`` patients on.

    Raises
    ------
    BadInput : too few patients, frames or raters, or a missing rating.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise BadInput("agreement needs a finite rating of at least 2 raters for every frame")
    place = place_in_groups(groups, len(table))
    patients = int(place.max(initial=-1)) + 1
    if patients < 2 or patients == len(table):
        raise BadInput("agreement on repeated frames needs patients with several frames, and two patients or more")
    found = _components(table, place)
    single, within = (_estimate(table, place, which) for which in (0, 1))
    sd = {name: math.sqrt(max(value, 0.0)) for name, value in found.items()}
    return RepeatedAgreement(single, within, sd, len(table), patients, table.shape[1])


def _estimate(table: Numbers, place: NDArray[np.intp], which: int) -> Estimate:
    """One of ``_shares`` with its interval over patients."""

    def share(rows: Numbers, who: NDArray[np.intp]) -> float:
        return _shares(_components(rows, place_in_groups(who.tolist(), len(rows))))[which]

    return jackknife(share, table, place, groups=place.tolist(), scale="one minus", least=REPEATED_LEAST)


def _shares(v: Mapping[str, float]) -> tuple[float, float]:
    """``single`` and ``within`` of variances; NaN where there is no variance."""
    own = max(v["patient"], 0.0) + max(v["frame"], 0.0)
    whole = own + max(v["rater"], 0.0) + max(v["rater by patient"], 0.0) + v["rest"]
    inside = max(v["frame"], 0.0) + v["rest"]
    return own / whole if whole > 0 else math.nan, max(v["frame"], 0.0) / inside if inside > 0 else math.nan


def _components(table: Numbers, place: NDArray[np.intp]) -> dict[str, float]:
    """Variances of patients, frames within them, raters, raters by patients and the rest, from mean squares; may be below 0."""
    counts = np.bincount(place).astype(float)
    patients, (frames, raters) = len(counts), table.shape
    repeated = frames - patients
    if patients < 2 or repeated < 1:
        return dict.fromkeys(("patient", "frame", "rater", "rater by patient", "rest"), math.nan)
    of_frame, of_patient = table.mean(axis=1), np.bincount(place, weights=table.mean(axis=1)) / counts
    cells = np.stack([np.bincount(place, weights=column) / counts for column in table.T], axis=1)  # patient by rater
    grand, of_rater = table.mean(), table.mean(axis=0)
    typical = (frames - float((counts**2).sum()) / frames) / (patients - 1)  # frames per patient in the mean squares
    left = table - cells[place] - (of_frame - of_patient[place])[:, None]
    rest = float((left**2).sum()) / (repeated * (raters - 1))
    frame = float(raters * ((of_frame - of_patient[place]) ** 2).sum()) / repeated
    shifted = cells - of_patient[:, None] - of_rater[None, :] + grand
    by_patient = float((counts[:, None] * shifted**2).sum()) / ((patients - 1) * (raters - 1))
    patient = float(raters * (counts * (of_patient - grand) ** 2).sum()) / (patients - 1)
    rater = float(frames * ((of_rater - grand) ** 2).sum()) / (raters - 1)
    mixed = (by_patient - rest) / typical
    between = (patient - frame - by_patient + rest) / (raters * typical)
    return {
        "patient": between,
        "frame": (frame - rest) / raters,
        "rater": (rater - by_patient) / frames,
        "rater by patient": mixed,
        "rest": rest,
    }
