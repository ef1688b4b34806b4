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
from voxloom.evaluation.statistics.arrays import Numbers, means_of_groups, numbers_of, paired
from voxloom.evaluation.statistics.bootstrap import RESAMPLES, SEED, interval_of
from voxloom.evaluation.statistics.interval import Estimate

#: Up to so many patients the p-value of a rank correlation is counted over all orders (9! = 362,880).
EXACT_ORDERS = 9


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation: rho with its interval, two-sided p, number of patients (of pairs without groups)."""

    rho: Estimate
    p: float
    n: int


def spearman(
    first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None, resamples: int = RESAMPLES
) -> Correlation:
    """Spearman's rank correlation (1904), one value per patient, with a bootstrap interval over patients.

    The p-value is that of all orders of the ranks, ties included, for up to ``EXACT_ORDERS`` patients, and from Student's t
    beyond.

    Parameters
    ----------
    first, second : finite values of the same cases; at least 3 patients for a correlation, else it is NaN.
    groups : patient per case; both values are averaged within a patient first.
    """
    from scipy import stats

    a, b = (means_of_groups(values, groups) for values in paired(first, second, least=3))
    value = float(_rho(a, b)) if len(a) >= 3 else math.nan
    if not math.isfinite(value):
        return Correlation(Estimate(math.nan, math.nan, math.nan), math.nan, len(a))
    p = _exact_p(a, b) if len(a) <= EXACT_ORDERS else float(stats.spearmanr(a, b).pvalue)
    drawn = np.random.default_rng(SEED).integers(len(a), size=(resamples, len(a)))  # all resamples at once: much faster
    return Correlation(Estimate(value, *interval_of(_rho(a[drawn], b[drawn]), len(a))), p, len(a))


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
    """One line of a regression table: estimate with interval, standard error, t and p."""

    name: str
    estimate: Estimate
    error: float
    t: float
    p: float


@dataclass(frozen=True)
class Regression:
    """A linear regression: its terms (the intercept first), n, R2 and the F test of all terms together."""

    terms: tuple[Term, ...]
    n: int
    r_squared: float
    f_p: float
    errors: str


def regression(
    response: ArrayLike, factors: Mapping[str, ArrayLike], *, groups: Sequence[Any] | None = None
) -> Regression:
    """Ordinary least squares of a score on acquisition parameters (statsmodels).

    Parameters
    ----------
    response : score per case, finite.
    factors : name -> value per case, finite.
    groups : patient per case; where patients repeat, standard errors are robust to clusters.

    Raises
    ------
    BadInput : too few cases for the number of factors, a factor that does not vary, or factors that explain one another.
    """
    import statsmodels.api as sm

    y = numbers_of(response, "scores")
    columns = {name: numbers_of(values, f"values of {name}") for name, values in factors.items()}
    _check_factors(y, columns)
    design = np.column_stack([np.ones(len(y)), *columns.values()])
    clustered = groups is not None and len({str(g) for g in groups}) < len(y)
    if clustered:
        assert groups is not None
        place = np.unique([str(g) for g in groups], return_inverse=True)[1]
        fitted = sm.OLS(y, design).fit(cov_type="cluster", cov_kwds={"groups": place}, use_t=True)
    else:
        fitted = sm.OLS(y, design).fit()
    intervals = fitted.conf_int(0.05)
    terms = tuple(
        Term(
            name,
            Estimate(float(fitted.params[n]), float(intervals[n][0]), float(intervals[n][1])),
            float(fitted.bse[n]),
            float(fitted.tvalues[n]),
            float(fitted.pvalues[n]),
        )
        for n, name in enumerate(["(Intercept)", *columns])
    )
    errors = "clustered by patient" if clustered else "ordinary"
    return Regression(terms, len(y), float(fitted.rsquared), float(fitted.f_pvalue), errors)


def _check_factors(response: Numbers, columns: Mapping[str, Numbers]) -> None:
    if not columns:
        raise BadInput("a regression needs at least one factor")
    for name, values in columns.items():
        if len(values) != len(response):
            raise BadInput(f"{name} has {len(values)} values for {len(response)} scores")
        if float(np.ptp(values)) == 0:
            raise BadInput(f"{name} is the same in all cases", None, "Leave it out of the regression")
    if len(response) < len(columns) + 3:
        raise BadInput(f"{len(response)} cases are too few for {len(columns)} factors", None, "Leave out factors")
    standard = np.column_stack([(v - v.mean()) / v.std() for v in columns.values()])
    if np.linalg.matrix_rank(standard, tol=1e-8 * math.sqrt(len(response))) < len(columns):
        raise BadInput(f"one of {', '.join(columns)} follows from the others", None, "Leave one out of the regression")
