"""Agreement of raters and of methods: Bland-Altman, intraclass correlation, Krippendorff's alpha, Cohen's kappa.

Thin: pingouin, krippendorff, statsmodels and SciPy compute; here are the conventions, the intervals and the refusals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import Numbers, groups_repeat, means_of_groups, paired, place_in_groups
from voxloom.evaluation.statistics.bootstrap import RESAMPLES, SEED, bootstrap, interval_of
from voxloom.evaluation.statistics.interval import Estimate

#: The six forms of McGraw and Wong (1996), in pingouin's order, with the names of Shrout and Fleiss (1979).
ICC_FORMS = {
    "ICC(1,1)": "one-way random, absolute agreement, single rater (Shrout-Fleiss 1,1)",
    "ICC(A,1)": "two-way random, absolute agreement, single rater (Shrout-Fleiss 2,1)",
    "ICC(C,1)": "two-way mixed, consistency, single rater (Shrout-Fleiss 3,1)",
    "ICC(1,k)": "one-way random, absolute agreement, mean of k raters (Shrout-Fleiss 1,k)",
    "ICC(A,k)": "two-way random, absolute agreement, mean of k raters (Shrout-Fleiss 2,k)",
    "ICC(C,k)": "two-way mixed, consistency, mean of k raters (Shrout-Fleiss 3,k)",
}
#: The form that fits raters who stand for others, each judged by a single reading.
ICC_DEFAULT = "ICC(A,1)"

Level = Literal["nominal", "ordinal", "interval", "ratio"]


@dataclass(frozen=True)
class BlandAltman:
    """Agreement of two methods (Bland and Altman, Lancet 1986 and Stat Methods Med Res 1999).

    Parameters
    ----------
    n : pairs.
    bias : mean of first minus second, with its interval.
    sd : standard deviation of the differences (n - 1); of a single pair of a new patient, where patients repeat.
    lower, upper : limits of agreement, bias -+ 1.96 sd, with their intervals.
    slope, slope_p : regression of the differences on the means, one value per patient: a bias that grows with the size.
    patients : how many; as many as pairs without groups.
    """

    n: int
    bias: Estimate
    sd: float
    lower: Estimate
    upper: Estimate
    slope: float
    slope_p: float
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def bland_altman(first: ArrayLike, second: ArrayLike, *, groups: Sequence[Any] | None = None) -> BlandAltman:
    """Bias and limits of agreement of paired measurements, in their unit.

    Parameters
    ----------
    first, second : finite measurements of the same cases; at least 3.
    groups : patient per pair. Where a patient occurs twice, the SD is the root of the variance between patients plus that
        within them (one-way analysis of variance; Bland and Altman, J Biopharm Stat 2007), and the intervals are bootstrapped
        over patients. Otherwise they are Student's, with the variance of the limits as in Bland and Altman (1999),
        s2 (1/n + 1.96^2 / (2 (n - 1))).

    Raises
    ------
    BadInput : fewer than 3 pairs, or numbers that are not finite.
    """
    from scipy import stats

    a, b = paired(first, second, least=3)
    difference = a - b
    place = place_in_groups(groups, len(a))
    n, bias, patients = len(a), float(difference.mean()), int(place.max()) + 1
    if groups_repeat(groups):
        sd = float(_pooled_sd(*_sums(difference, place)))
        estimates = _clustered_limits(difference, place, sd)
    else:
        sd = float(difference.std(ddof=1))
        t = float(stats.t.ppf(0.975, n - 1))
        limit_error = sd * math.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))
        errors = (sd / math.sqrt(n), limit_error, limit_error)
        centers = (bias, bias - 1.96 * sd, bias + 1.96 * sd)
        estimates = [Estimate(c, c - t * e, c + t * e) for c, e in zip(centers, errors, strict=True)]
    slope, p = _growth(means_of_groups((a + b) / 2, groups), means_of_groups(difference, groups))
    return BlandAltman(n, estimates[0], sd, estimates[1], estimates[2], slope, p, patients)


def _growth(size: Numbers, difference: Numbers) -> tuple[float, float]:
    """Slope and p of the differences on the means, one value per patient; p is NaN for fewer than three patients."""
    from scipy import stats

    if len(size) < 3:
        return 0.0, math.nan
    if float(np.ptp(size)) == 0 or float(np.ptp(difference)) == 0:
        return 0.0, 1.0
    slope, p = stats.linregress(size, difference)[0:4:3]
    return float(slope), float(p)


def _sums(difference: Numbers, place: NDArray[np.intp]) -> tuple[Numbers, Numbers, Numbers]:
    """Per patient: the number of differences, their sum, and the sum of their squares."""
    count, total, square = (
        np.bincount(place, weights=w).astype(np.float64) for w in (np.ones_like(difference), difference, difference**2)
    )
    return count, total, square


def _pooled_sd(count: Numbers, total: Numbers, square: Numbers) -> Numbers:
    """SD of a single difference of a new patient, from sums per patient along the last axis (patients).

    The root of the variance between patients plus that within them, as a one-way analysis of variance estimates them from
    patients with different numbers of scans. With one patient only that within.
    """
    n, patients = count.sum(axis=-1), count.shape[-1]
    inside = square.sum(axis=-1) - (total**2 / count).sum(axis=-1)
    within = np.maximum(inside, 0) / np.maximum(n - patients, 1)
    if patients < 2:
        return np.sqrt(within)
    across = (total**2 / count).sum(axis=-1) - total.sum(axis=-1) ** 2 / n
    usual = (n - (count**2).sum(axis=-1) / n) / (patients - 1)
    between = np.maximum(across / (patients - 1) - within, 0) / usual
    return np.asarray(np.sqrt(between + within))


def _clustered_limits(difference: Numbers, place: NDArray[np.intp], sd: float) -> list[Estimate]:
    """Bias and limits with intervals from drawing whole patients; all resamples at once, from sums per patient."""
    count, total, square = _sums(difference, place)
    drawn = np.random.default_rng(SEED).integers(len(count), size=(RESAMPLES, len(count)))
    mean = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    sds = _pooled_sd(count[drawn], total[drawn], square[drawn])
    center = float(difference.mean())
    return [Estimate(center + z * sd, *interval_of(mean + z * sds, len(count))) for z in (0.0, -1.96, 1.96)]


#: pingouin's F test of an ICC asks for so many patients.
ICC_LEAST = 5


def icc(ratings: ArrayLike, *, groups: Sequence[Any] | None = None) -> dict[str, Estimate]:
    """Intraclass correlation in all six forms, with 95 % intervals from the F distribution (pingouin).

    Parameters
    ----------
    ratings : (cases, raters), finite; at least 2 raters and ``ICC_LEAST`` patients (cases without groups).
    groups : patient per case; the ratings of each rater are averaged within a patient first, so that a patient who was scanned
        ten times is not taken for ten who are alike.

    Returns
    -------
    name of the form (``ICC_FORMS`` explains each) -> estimate. Name the form in the text: they answer different questions.

    Raises
    ------
    BadInput : too few cases or raters, or a missing rating.
    """
    import pandas as pd
    import pingouin

    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise BadInput(f"an ICC needs a row per case and at least 2 raters, not {table.shape}")
    if not np.isfinite(table).all():
        raise BadInput("an ICC needs a finite rating of every rater for every case", None, "Leave out the other cases")
    table = np.column_stack([means_of_groups(column, groups) for column in table.T])
    if len(table) < ICC_LEAST:
        raise BadInput(f"an ICC needs at least {ICC_LEAST} patients, not {len(table)}")
    case, rater = (n.ravel() for n in np.indices(table.shape))
    frame = pd.DataFrame({"case": case, "rater": rater, "rating": table.ravel()})
    rounding = {key: value for key, value in pingouin.options.items() if key.startswith("round.column.CI95")}
    pingouin.options.update(dict.fromkeys(rounding, 12))  # its default rounds the interval to two digits
    try:
        with np.errstate(all="ignore"):  # raters who never differ have no error to divide by
            found = pingouin.intraclass_corr(frame, targets="case", raters="rater", ratings="rating")
    finally:
        pingouin.options.update(rounding)
    column = next(name for name in found.columns if name.startswith("CI95"))
    return {
        form: Estimate(float(value), float(interval[0]), float(interval[1]))
        for form, value, interval in zip(ICC_FORMS, found["ICC"], found[column], strict=True)
    }


def krippendorff_alpha(
    ratings: Sequence[Sequence[Any]],
    level: Level = "nominal",
    *,
    groups: Sequence[Any] | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Krippendorff's alpha with a bootstrap interval over the rated cases (or over patients).

    Parameters
    ----------
    ratings : (cases, raters); None, NaN or "" where a rater did not rate a case. Texts are allowed for the nominal level.
    level : of measurement; numbers are needed beyond "nominal".
    groups : patient per case.

    Raises
    ------
    BadInput : nothing was rated twice, or texts are given for a level other than nominal.
    """
    import krippendorff

    table = _coded(ratings, level)
    if not ((~np.isnan(table)).sum(axis=1) >= 2).any():
        raise BadInput("Krippendorff's alpha needs a case with at least two ratings")

    def alpha(rows: Numbers) -> float:
        rated = rows[~np.isnan(rows)]
        if len(np.unique(rated)) < 2 or not ((~np.isnan(rows)).sum(axis=1) >= 2).any():
            return math.nan  # alpha is undefined without variation
        return float(krippendorff.alpha(reliability_data=rows.T, level_of_measurement=level))

    return bootstrap(alpha, table, groups=groups, resamples=resamples)


def _coded(ratings: Sequence[Sequence[Any]], level: Level) -> Numbers:
    """Ratings as numbers with NaN for a missing one; texts become numbers in their sorted order."""
    rows = [[None if _is_missing(v) else v for v in row] for row in ratings]
    known = {v for row in rows for v in row if v is not None}
    if any(isinstance(v, str) for v in known):
        if level != "nominal":
            raise BadInput(f"texts such as {sorted(map(str, known))[0]!r} have no {level} level", None, "Give numbers")
        code = {v: float(n) for n, v in enumerate(sorted(known, key=str))}
        rows = [[None if v is None else code[v] for v in row] for row in rows]
    return np.array([[math.nan if v is None else float(v) for v in row] for row in rows], dtype=np.float64)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (value != value)


def cohen_kappa(
    first: Sequence[Any], second: Sequence[Any], weights: Literal["none", "linear", "quadratic"] = "none"
) -> Estimate:
    """Cohen's kappa of two raters with its asymptotic interval (statsmodels; Fleiss, Cohen and Everitt 1969).

    Parameters
    ----------
    first, second : categories of the same cases; sortable, equally spaced where weighted.
    weights : of disagreements by their distance in the sorted order of the categories.

    Raises
    ------
    BadInput : the lists differ in length or are empty.
    """
    from statsmodels.stats.inter_rater import cohens_kappa

    if len(first) != len(second) or not len(first):
        raise BadInput(f"{len(first)} ratings cannot be paired with {len(second)}")
    categories = sorted({*first, *second})
    if len(categories) < 2:
        return Estimate(math.nan, math.nan, math.nan)  # chance agreement is 1: kappa is undefined
    place = {category: n for n, category in enumerate(categories)}
    table = np.zeros((len(categories),) * 2)
    for a, b in zip(first, second, strict=True):
        table[place[a], place[b]] += 1
    kind = {"none": None, "linear": "linear", "quadratic": "quadratic"}[weights]
    found = cohens_kappa(table, wt=kind)
    return Estimate(float(found.kappa), float(found.kappa_low), float(found.kappa_upp))
