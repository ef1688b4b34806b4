"""Equivalence and non-inferiority of paired scores, with a margin that is chosen before looking. One value per patient.

Two one-sided tests (Schuirmann 1987) with the variance of ``mean_estimate``; equivalence at 5 % is a 90 % interval inside the margin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from numpy.typing import ArrayLike

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import paired, snapped
from voxloom.evaluation.statistics.interval import Estimate
from voxloom.evaluation.statistics.means import spread_of

Question = Literal["equivalence", "non-inferiority"]


@dataclass(frozen=True)
class MarginTest:
    """Is a difference within a margin?

    Parameters
    ----------
    question : "equivalence" (to both sides), or "non-inferiority" (not worse by the margin).
    margin : in the unit of the score, above 0.
    difference : mean of first minus second with its 90 % interval, whose end(s) decide at 5 %.
    p : of "the difference is the margin or more"; NaN where too few patients allow no interval.
    patients : that were compared.
    """

    question: Question
    margin: float
    difference: Estimate
    p: float
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def margin_test(
    first: ArrayLike,
    second: ArrayLike,
    margin: float,
    *,
    question: Question = "equivalence",
    larger_is_better: bool = True,
    groups: Sequence[Any] | None = None,
) -> MarginTest:
    """Test a difference against a margin.

    Parameters
    ----------
    first, second : finite scores of the same cases; the first is asked to be as good as the second.
    margin : the largest difference that would not matter, above 0.
    larger_is_better : of the score; says which side of non-inferiority is worse.
    groups : patient per case.

    Raises
    ------
    BadInput : a margin that is not above 0.
    """
    from scipy.stats import t

    if not (math.isfinite(margin) and margin > 0):
        raise BadInput(
            f"a margin of {margin:g} is none", None, "Give the largest difference that would not matter, above 0"
        )
    a, b = paired(first, second, least=1)
    difference = snapped(a - b, a, b)
    patients = len(set(map(str, groups))) if groups is not None else len(a)
    mean, spread = float(difference.mean()), spread_of(difference, groups)
    if spread is None:
        return MarginTest(question, margin, Estimate(mean, math.nan, math.nan, 0.9), math.nan, patients)
    error, freedom, _ = spread
    above = float(t.sf((mean + margin) / error, freedom))  # of "first is lower by the margin or more"
    below = float(t.sf((margin - mean) / error, freedom))  # of "first is higher by the margin or more"
    half = float(t.ppf(0.95, freedom)) * error
    p = max(above, below) if question == "equivalence" else above if larger_is_better else below
    return MarginTest(question, margin, Estimate(mean, mean - half, mean + half, 0.9), p, patients)
