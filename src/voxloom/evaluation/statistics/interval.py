"""The results of statistics: an estimate with its interval, and a test with its effect size. Knows no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

#: What stands where no interval can be given.
NO_INTERVAL = "no interval"


#: The same as a phrase of a sentence.
TOO_FEW = "too few patients for a confidence interval"


def interval_text(ends: Sequence[float], digits: int = 2, between: str = ", ") -> str:
    """The two ends of an interval, ``0.85, 0.97``; ``no interval`` where they are not known (``LEAST_PATIENTS``)."""
    low, high = map(float, ends)
    if math.isnan(low) or math.isnan(high):
        return NO_INTERVAL
    return f"{low:.{digits}f}{between}{high:.{digits}f}"


def exact_share(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The exact interval of a share of independent observations (Clopper and Pearson 1934); NaN twice without any."""
    from scipy.stats import beta

    if not count:
        return math.nan, math.nan
    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval.

    Parameters
    ----------
    value, low, high : in the unit of the data; NaN where they cannot be known.
    level : of confidence.
    """

    value: float
    low: float
    high: float
    level: float = 0.95

    def within(self, limits: tuple[float, float]) -> Estimate:
        """Its interval cut off where the number cannot be: it holds the true one as often as before. NaN stays."""
        low, high = limits
        return replace(self, low=max(self.low, low), high=min(self.high, high))

    def text(self, digits: int = 2) -> str:
        """As in a paper: ``0.93 [0.85, 0.97]``, or ``0.93 [no interval]``."""
        return f"{self.value:.{digits}f} [{interval_text((self.low, self.high), digits)}]"

    def to_dict(self) -> dict[str, float]:
        """Names and values."""
        return asdict(self)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a significance test.

    Parameters
    ----------
    test : name of the test, as a methods section names it.
    statistic : the test's statistic.
    p : two-sided p-value, not corrected; NaN where the test cannot be made.
    effect : size of the effect, 0 for none.
    effect_name : what ``effect`` is.
    n : patients (observations without groups) that the test used.
    zeros : patients without a difference, which it left out.
    """

    test: str
    statistic: float
    p: float
    effect: float
    effect_name: str
    n: int
    zeros: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def p_text(p: float) -> str:
    """A p-value as in a paper: ``p = .003``, ``p < .001``."""
    if math.isnan(p):
        return "p not available"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1) if p < 0.9995 else "p = 1"
