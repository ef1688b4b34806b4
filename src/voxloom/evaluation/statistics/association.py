"""How one number goes with others: rank correlation, linear regression. SciPy and statsmodels compute."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import Numbers, numbers_of, paired
from voxloom.evaluation.statistics.bootstrap import RESAMPLES, SEED, bootstrap, interval_of
from voxloom.evaluation.statistics.interval import Estimate


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation: rho with its interval, two-sided p, number of pairs."""

    rho: Estimate
    p: float
    n: int


def spearman(
    first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None, resamples: int = RESAMPLES
) -> Correlation:
    """Spearman's rank correlation (1904) with a bootstrap interval over patients.

    Parameters
    ----------
    first, second : finite values of the same cases; at least 3.
    groups : patient per case. The p-value takes cases as independent; trust the interval where patients repeat.
    """
    from scipy import stats

    a, b = paired(first, second, least=3)
    value = float(_rho(a, b))
    if not math.isfinite(value):
        return Correlation(Estimate(math.nan, math.nan, math.nan), math.nan, len(a))
    p = float(stats.spearmanr(a, b).pvalue)
    if groups is not None and len({str(g) for g in groups}) < len(a):
        rho = bootstrap(lambda x, y: float(_rho(x, y)), a, b, groups=groups, resamples=resamples)
        return Correlation(rho, p, len(a))
    drawn = np.random.default_rng(SEED).integers(len(a), size=(resamples, len(a)))  # all resamples at once: much faster
    return Correlation(Estimate(value, *interval_of(_rho(a[drawn], b[drawn]), len(a))), p, len(a))


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
