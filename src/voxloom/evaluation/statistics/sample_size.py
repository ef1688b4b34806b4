"""How many test patients a study needs, from the spread of a pilot: for an interval of a width, or for the power to see a difference.

A pilot's SD is itself uncertain: beside it stands the number by the upper end of its one-sided 80 % interval (Browne, Statistics in
Medicine 1995), which keeps the promise in four of five studies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import means_of_groups, numbers_of
from voxloom.evaluation.statistics.means import LEAST_PATIENTS

#: Patients of a signed-rank test for those of a t test, with normal differences: its efficiency is 3 / pi (Pitman).
WILCOXON = math.pi / 3
#: Numbers beyond are not searched for.
MOST = 1_000_000


@dataclass(frozen=True)
class SampleSize:
    """Patients that a question needs.

    Parameters
    ----------
    question : in words.
    sd, patients : of the pilot, and how many patients it had.
    needed : by the pilot's SD.
    safe : by the upper end of its one-sided 80 % interval.
    """

    question: str
    sd: float
    patients: int
    needed: int
    safe: int

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def size_for_width(values: ArrayLike, width: float, groups: Sequence[Any] | None = None) -> SampleSize:
    """Patients for a 95 % interval of the mean that is ``width`` wide, from end to end.

    Parameters
    ----------
    values : finite scores of a pilot, one per case.
    width : in the unit of the score, above 0.
    groups : patient per case; new patients are taken to have as many scans.

    Raises
    ------
    BadInput : fewer than ``LEAST_PATIENTS`` patients, scores without spread, or a width that is not above 0.
    """
    from scipy.stats import t

    _positive(width, "width")
    whole = f"a 95 % interval of the mean that is {width:g} wide"
    return _sized(values, groups, whole, lambda sd, n: 2 * float(t.ppf(0.975, n - 1)) * sd / math.sqrt(n) <= width)


def size_for_difference(
    differences: ArrayLike, difference: float, groups: Sequence[Any] | None = None, power: float = 0.8
) -> SampleSize:
    """Patients for a paired signed-rank test at 5 % to find a mean difference with a chance of ``power``.

    Parameters
    ----------
    differences : finite differences of two runs in a pilot, one per case.
    difference : to be found, above 0.
    groups : patient per case.
    power : 0 to 1.

    Raises
    ------
    BadInput : as ``size_for_width``, or a power outside 0 to 1.
    """
    from scipy.stats import nct, t

    _positive(difference, "difference")
    if not 0 < power < 1:
        raise BadInput(f"a power of {power:g} is none", None, "Choose a chance, e.g. 0.8")

    def enough(sd: float, n: int) -> bool:
        freedom, shift = n / WILCOXON - 1, difference / sd * math.sqrt(n / WILCOXON)
        if freedom < 1:
            return False
        limit = float(t.ppf(0.975, freedom))
        return float(nct.sf(limit, freedom, min(shift, 30.0))) >= power

    question = (
        f"a chance of {100 * power:.0f} % to find a mean difference of {difference:g} (signed-rank test, p < .05)"
    )
    return _sized(differences, groups, question, enough)


def _positive(value: float, name: str) -> None:
    if not (math.isfinite(value) and value > 0):
        raise BadInput(f"a {name} of {value:g} is none", None, "Give a number above 0")


def _sized(
    values: ArrayLike, groups: Sequence[Any] | None, question: str, enough: Callable[[float, int], bool]
) -> SampleSize:
    from scipy.stats import chi2

    means = means_of_groups(numbers_of(values), groups)
    if len(means) < LEAST_PATIENTS:
        raise BadInput(f"a pilot of {len(means)} patients says too little, {LEAST_PATIENTS} are needed")
    sd = float(means.std(ddof=1))
    if sd <= 1e-12 * max(1.0, float(np.abs(means).max())):
        raise BadInput("all patients of the pilot score the same, so it has no spread to plan by")
    upper = sd * math.sqrt((len(means) - 1) / float(chi2.ppf(0.2, len(means) - 1)))
    return SampleSize(question, sd, len(means), _fewest(enough, sd), _fewest(enough, upper))


def _fewest(enough: Callable[[float, int], bool], sd: float) -> int:
    """The smallest number of patients that is enough; more are enough as well."""
    low, high = LEAST_PATIENTS - 1, LEAST_PATIENTS
    while not enough(sd, high):
        low, high = high, 2 * high
        if high > MOST:
            raise BadInput(f"more than {MOST:,} patients would be needed", None, "Ask for a larger difference or width")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(sd, middle) else (middle, high)
    return high
