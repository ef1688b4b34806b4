"""How one number goes with others: rank correlation, linear regression. SciPy and statsmodels compute."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import Numbers, means_of_groups, numbers_of, paired, place_in_groups, snapped
from voxloom.evaluation.statistics.clusters import Clustered, clustered_least_squares
from voxloom.evaluation.statistics.interval import Estimate

#: Up to so many patients the p-value of a rank correlation is counted over all orders (9! = 362,880).
EXACT_ORDERS = 9


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation: rho with its interval, two-sided p, number of patients (of pairs without groups)."""

    rho: Estimate
    p: float
    n: int


#: Fewer patients give a rank correlation no interval.
RHO_LEAST = 6


def spearman(first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None) -> Correlation:
    """Spearman's rank correlation (1904), one value per patient.

    p is that of all orders of the ranks, ties included, for up to ``EXACT_ORDERS`` patients, and from Student's t beyond. The interval
    is that of Bonett and Wright (Psychometrika 2000, 65:23), from ``RHO_LEAST`` patients on; a rho of exactly 1 or -1 has none, as
    there is nothing to estimate its error by.

    Parameters
    ----------
    first, second : finite values of the same cases; at least 3 patients for a correlation, else it is NaN.
    groups : patient per case; both values are averaged within a patient first.
    """
    from scipy import stats

    a, b = (snapped(means_of_groups(values, groups), values) for values in paired(first, second, least=3))
    value = float(_rho(a, b)) if len(a) >= 3 else math.nan
    if not math.isfinite(value):
        return Correlation(Estimate(math.nan, math.nan, math.nan), math.nan, len(a))
    p = _exact_p(a, b) if len(a) <= EXACT_ORDERS else float(stats.spearmanr(a, b).pvalue)
    return Correlation(Estimate(value, *_rho_ends(value, len(a))), p, len(a))


def _rho_ends(value: float, patients: int) -> tuple[float, float]:
    if patients < RHO_LEAST or abs(value) > 1 - 1e-9:
        return (math.nan, math.nan)
    half = 1.959964 * math.sqrt((1 + value**2 / 2) / (patients - 3))
    return (math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half))


def _exact_p(first: Numbers, second: Numbers) -> float:
    """The share of all orders of the second ranks whose correlation is at least as far from 0 as the one found."""
    from scipy.stats import rankdata

    x, y = (ranks - ranks.mean() for ranks in (rankdata(v) for v in (first, second)))
    sums = np.abs(y[_orders(len(y))] @ x)
    return float(np.mean(sums >= abs(float(x @ y)) - 1e-9))


@cache
def _orders(count: int) -> NDArray[np.int8]:
    """All orders of ``count`` places, (count!, count)."""
    return np.array(list(itertools.permutations(range(count))), dtype=np.int8)


def _rho(first: Numbers, second: Numbers) -> Numbers:
    """Correlation of the ranks along the last axis; NaN where one side does not vary."""
    from scipy.stats import rankdata

    x, y = (ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (rankdata(v, axis=-1) for v in (first, second)))
    spread = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    with np.errstate(invalid="ignore"):
        found: Numbers = (x * y).sum(axis=-1) / spread
    return found


@dataclass(frozen=True)
class Term:
    """One line of a regression table: estimate with interval, standard error, t, its degrees of freedom, and p."""

    name: str
    estimate: Estimate
    error: float
    t: float
    freedom: float
    p: float


@dataclass(frozen=True)
class Regression:
    """A linear regression: its terms (the intercept first), cases, patients, R2 and the F test of all terms together.

    ``f_p`` and a term's p and interval are NaN where too few patients bear on them (``LEAST_FREEDOM``).
    """

    terms: tuple[Term, ...]
    n: int
    patients: int
    r_squared: float
    f_p: float
    errors: str


#: A regression needs so many patients beyond its factors.
BEYOND_FACTORS = 3
#: Terms with fewer degrees of freedom have neither p nor interval: below, the approximation no longer holds (Pustejovsky and
#: Tipton 2018 say 4 to 5).
LEAST_FREEDOM = 4.0


def regression(
    response: ArrayLike, factors: Mapping[str, ArrayLike], *, groups: Sequence[Any] | None = None
) -> Regression:
    """Ordinary least squares of a score on acquisition parameters.

    Where patients repeat, standard errors are robust to clusters in a way that holds for few of them: CR2 with Satterthwaite's
    degrees of freedom (Bell and McCaffrey 2002), the F test by Hotelling's T2 (Pustejovsky and Tipton, J Bus Econ Stat 2018, 36:672).

    Parameters
    ----------
    response : score per case, finite.
    factors : name -> value per case, finite.
    groups : patient per case.

    Raises
    ------
    BadInput : too few patients for the number of factors, a factor that does not vary, or factors that explain one another.
    """
    import statsmodels.api as sm

    y = numbers_of(response, "scores")
    columns = {name: numbers_of(values, f"values of {name}") for name, values in factors.items()}
    place = place_in_groups(groups, len(y))
    patients = int(place.max(initial=-1)) + 1
    _check_factors(y, columns, patients)
    design = np.column_stack([np.ones(len(y)), *columns.values()])
    fitted = sm.OLS(y, design).fit()
    robust = patients < len(y)
    found = (
        clustered_least_squares(design, y, place)
        if robust
        else Clustered(fitted.params, fitted.bse, np.full(design.shape[1], fitted.df_resid), float(fitted.f_pvalue))
    )
    names = ["(Intercept)", *columns]
    least = LEAST_FREEDOM if robust else 1.0  # without clusters t and F are exact
    terms = tuple(_term(*row, least) for row in zip(names, found.values, found.errors, found.freedom, strict=True))
    f_p = found.f_p if min(found.freedom[1:]) >= least else math.nan
    told = "clustered by patient (CR2, Satterthwaite)" if robust else "ordinary"
    return Regression(terms, len(y), patients, float(fitted.rsquared), f_p, told)


def _term(name: str, value: float, error: float, freedom: float, least: float) -> Term:
    from scipy import stats

    value, error, freedom = float(value), float(error), float(freedom)
    t = value / error if error > 0 else math.copysign(math.inf, value) if value else 0.0
    if freedom < least:
        return Term(name, Estimate(value, math.nan, math.nan), error, t, freedom, math.nan)
    half = float(stats.t.ppf(0.975, freedom)) * error
    return Term(
        name, Estimate(value, value - half, value + half), error, t, freedom, float(2 * stats.t.sf(abs(t), freedom))
    )


def _check_factors(response: Numbers, columns: Mapping[str, Numbers], patients: int) -> None:
    if not columns:
        raise BadInput("a regression needs at least one factor")
    for name, values in columns.items():
        if len(values) != len(response):
            raise BadInput(f"{name} has {len(values)} values for {len(response)} scores")
        if float(np.ptp(values)) == 0:
            raise BadInput(f"{name} is the same in all cases", None, "Leave it out of the regression")
    if patients < len(columns) + BEYOND_FACTORS:
        who = "cases" if patients == len(response) else "patients"
        raise BadInput(f"{patients} {who} are too few for {len(columns)} factors", None, "Leave out factors")
    standard = np.column_stack([(v - v.mean()) / v.std() for v in columns.values()])
    if np.linalg.matrix_rank(standard, tol=1e-8 * math.sqrt(len(response))) < len(columns):
        raise BadInput(f"one of {', '.join(columns)} follows from the others", None, "Leave one out of the regression")
