"""A jackknife interval for statistics that are not means: patients are left out one by one (Tukey 1958; Miller 1974).

Deterministic, and honest with far fewer patients than a bootstrap. For smooth statistics only, not for medians or maxima.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import place_in_groups
from voxloom.evaluation.statistics.interval import Estimate
from voxloom.evaluation.statistics.means import LEAST_PATIENTS

#: A statistic's scale on which its interval is symmetric: forth, its slope, back.
Scale = Literal["plain", "log", "logit", "fisher", "one minus"]
_SCALES: dict[Scale, tuple[Callable[[float], float], ...]] = {
    "plain": (lambda v: v, lambda v: 1.0, lambda z: z),
    "log": (math.log, lambda v: 1 / v, math.exp),
    "logit": (
        lambda v: math.log(v / (1 - v)),
        lambda v: 1 / (v * (1 - v)),
        lambda z: 1 / (1 + math.exp(min(-z, 700.0))),
    ),
    "fisher": (math.atanh, lambda v: 1 / (1 - v * v), math.tanh),
    "one minus": (lambda v: -math.log(1 - v), lambda v: 1 / (1 - v), lambda z: 1 - math.exp(min(-z, 700.0))),
}


def jackknife(
    statistic: Callable[..., float],
    *columns: ArrayLike,
    groups: Sequence[Any] | None = None,
    scale: Scale = "plain",
    least: int = LEAST_PATIENTS,
    level: float = 0.95,
) -> Estimate:
    """A statistic of one or more columns with its interval over patients.

    Parameters
    ----------
    statistic : takes the columns (rows of some patients, the same rows of each) and returns a number.
    columns : arrays whose first axis runs over the cases.
    groups : patient per case.
    scale : the interval is made on: "log" for positive numbers, "logit" for shares, "fisher" for correlations, "one minus" (its
        logarithm) for numbers up to 1 such as R2.
    least : with fewer patients there is no interval.

    Returns
    -------
    No interval (NaN) with too few patients, where the statistic is undefined without one of them, at the edge of its scale, and
    where it does not change whoever is left out.

    Raises
    ------
    BadInput : the columns differ in length or are empty.
    """
    arrays = [np.asarray(column) for column in columns]
    count = len(arrays[0])
    if not count or any(len(a) != count for a in arrays):
        raise BadInput(f"columns of {', '.join(str(len(a)) for a in arrays)} cases cannot be taken together")
    value = float(statistic(*arrays))
    place = place_in_groups(groups, count)
    patients = int(place.max()) + 1
    nothing = Estimate(value, math.nan, math.nan, level)
    if patients < least or not math.isfinite(value):
        return nothing
    without = np.array([statistic(*(a[place != n] for a in arrays)) for n in range(patients)], dtype=np.float64)
    if not np.isfinite(without).all():
        return nothing
    error = math.sqrt((patients - 1) / patients * float(((without - without.mean()) ** 2).sum()))
    return scaled_interval(value, error, patients - 1, scale, level)


def scaled_interval(
    value: float, error: float, freedom: float, scale: Scale = "plain", level: float = 0.95
) -> Estimate:
    """Student's interval on a scale, by the delta method; NaN at the edge of the scale and without an error.

    Parameters
    ----------
    value, error : the estimate and its standard error, not on the scale.
    freedom : degrees of freedom.
    """
    from scipy import stats

    forth, slope, back = _SCALES[scale]
    try:
        middle, half = forth(value), float(stats.t.ppf(0.5 + level / 2, freedom)) * error * slope(value)
    except (ValueError, ZeroDivisionError):
        return Estimate(value, math.nan, math.nan, level)
    if half <= 1e-12 * max(1.0, abs(middle)):
        return Estimate(value, math.nan, math.nan, level)
    return Estimate(value, back(middle - half), back(min(middle + half, 700.0)), level)
