"""From figures per case to mean, median, SD and a confidence interval. Nothing is dropped: infinite values are counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.evaluation.limits import ANYTHING, Limits
from voxloom.evaluation.statistics.means import mean_estimate


def summarize(
    values: Sequence[float], groups: Sequence[str] | None = None, limits: Limits = ANYTHING
) -> dict[str, Any]:
    """Figures of one metric over cases.

    Parameters
    ----------
    values : one per case; infinite where a mask was missing, NaN where the metric is not defined.
    groups : patient per value, for the confidence interval.
    limits : that the metric cannot leave (``limits_of``); nor does the interval.

    Returns
    -------
    n (with a value), undefined (how many have none), infinite (how many), mean, median, sd (n - 1; NaN of one), quartiles, min, max,
    ci. With infinite values mean and median include them (the mean is then infinite), and ``finite_mean`` and the interval are over
    the finite ones. The interval is that of ``mean_estimate``, NaN twice where none can be given.
    """
    given: NDArray[np.float64] = np.asarray(values, dtype=float)
    finite = np.isfinite(given)
    kept, numbers = given[finite], given[~np.isnan(given)]
    kept_groups = None if groups is None else [g for g, ok in zip(groups, finite, strict=True) if ok]
    ordered = np.sort(numbers)
    interval = mean_estimate(kept, kept_groups).within(limits)
    return {
        "n": len(numbers),
        "undefined": len(given) - len(numbers),
        "infinite": int(np.isinf(numbers).sum()),
        "mean": float(numbers.mean()) if len(numbers) else math.nan,
        "finite_mean": float(kept.mean()) if len(kept) else math.nan,
        "median": _quantile(ordered, 0.5),
        "sd": float(kept.std(ddof=1)) if len(kept) > 1 else math.nan,
        "q1": _quantile(ordered, 0.25),
        "q3": _quantile(ordered, 0.75),
        "min": float(ordered[0]) if len(ordered) else math.nan,
        "max": float(ordered[-1]) if len(ordered) else math.nan,
        "ci": [interval.low, interval.high],
    }


def _quantile(ordered: NDArray[np.float64], share: float) -> float:
    """Linear quantile that gives infinity, not NaN, where infinite values are reached."""
    if not len(ordered):
        return math.nan
    at = share * (len(ordered) - 1)
    low, high = float(ordered[math.floor(at)]), float(ordered[math.ceil(at)])
    return low if low == high else low + (high - low) * (at - math.floor(at))
