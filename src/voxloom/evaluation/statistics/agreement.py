"""Agreement of raters and of methods: Bland-Altman, intraclass correlation, Krippendorff's alpha, Cohen's kappa.

Thin: pingouin, krippendorff, statsmodels and SciPy compute; here are the conventions, the intervals and the refusals.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.statistics.arrays import Numbers, means_of_groups, paired, place_in_groups, snapped
from voxloom.evaluation.statistics.interval import Estimate
from voxloom.evaluation.statistics.jackknife import jackknife

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

    The SD is that of a single difference of a new patient: the root of the variance between patients plus that within them. All
    intervals are those of Zou (Stat Methods Med Res 2013, 22:630), whose limits add the variances of the bias and of the SD (MOVER);
    with one pair per patient the bias has Student's. docs/trust.md has their simulated coverage.

    Parameters
    ----------
    first, second : finite measurements of the same cases; at least 3.
    groups : patient per pair. Where patients repeat, the bias is the mean of the patients' mean differences.

    Returns
    -------
    With fewer than ``LIMITS_LEAST`` patients no end of an interval is given (NaN).

    Raises
    ------
    BadInput : fewer than 3 pairs, or numbers that are not finite.
    """
    a, b = paired(first, second, least=3)
    difference = snapped(a - b, a, b)
    place = place_in_groups(groups, len(a))
    means, counts = np.bincount(place, weights=difference) / np.bincount(place), np.bincount(place).astype(np.float64)
    inside = float(((difference - means[place]) ** 2).sum())
    bias, sd, ends = _limits(means, counts, inside)
    estimates = [Estimate(c, *e) for c, e in zip((bias, bias - 1.96 * sd, bias + 1.96 * sd), ends, strict=True)]
    slope, p = _growth(means_of_groups((a + b) / 2, groups), means)
    return BlandAltman(len(a), estimates[0], sd, estimates[1], estimates[2], slope, p, len(means))


#: With fewer patients no limit of agreement has an interval.
LIMITS_LEAST = 3


def _limits(means: Numbers, counts: Numbers, inside: float) -> tuple[float, float, list[tuple[float, float]]]:
    """Bias, SD, and the ends of the intervals of bias, lower and upper limit.

    Parameters
    ----------
    means, counts : mean difference and number of pairs of every patient.
    inside : sum of squares of the differences about their patients' means.
    """
    from scipy.stats import chi2, t

    patients, within = len(means), int(counts.sum()) - len(means)
    bias = float(means.mean())
    between = float(means.var(ddof=1)) if patients > 1 else 0.0
    share = (
        (1 - float((1 / counts).mean())) * inside / within if within else 0.0
    )  # of the variance within, beyond ``between``
    sd = math.sqrt(between + share)
    if patients < LIMITS_LEAST:
        return bias, sd, [(math.nan, math.nan)] * 3
    below, above = 0.0, 0.0
    for variance, freedom in ((between, patients - 1), (share, within)):
        if freedom:
            below += (variance * (1 - freedom / chi2.ppf(0.975, freedom))) ** 2
            above += (variance * (freedom / chi2.ppf(0.025, freedom) - 1)) ** 2
    least, most = (math.sqrt(max(0.0, sd**2 + v)) for v in (-math.sqrt(below), math.sqrt(above)))
    error = math.sqrt(between / patients)
    near, far = (math.hypot(1.96 * error, 1.96 * (end - sd)) for end in (least, most))
    student = float(t.ppf(0.975, patients - 1)) * error
    lower, upper = bias - 1.96 * sd, bias + 1.96 * sd
    return bias, sd, [(bias - student, bias + student), (lower - far, lower + near), (upper - near, upper + far)]


def _growth(size: Numbers, difference: Numbers) -> tuple[float, float]:
    """Slope and p of the differences on the means, one value per patient; p is NaN for fewer than three patients."""
    from scipy import stats

    if len(size) < 3:
        return 0.0, math.nan
    if float(np.ptp(size)) == 0 or float(np.ptp(difference)) == 0:
        return 0.0, 1.0
    slope, p = stats.linregress(size, difference)[0:4:3]
    return float(slope), float(p)


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


#: Fewer patients give no interval of kappa or alpha; of alpha of ranks and numbers, whose squared differences have a long tail.
CHANCE_LEAST, NUMBERS_LEAST = 10, 15


def krippendorff_alpha(
    ratings: Sequence[Sequence[Any]], level: Level = "nominal", *, groups: Sequence[Any] | None = None
) -> Estimate:
    """Krippendorff's alpha with a jackknife interval over patients, from ``CHANCE_LEAST`` on (``NUMBERS_LEAST`` beyond "nominal").

    Parameters
    ----------
    ratings : (cases, raters); None, NaN or "" where a rater did not rate a case. Texts are allowed for the nominal level.
    level : of measurement; numbers are needed beyond "nominal".
    groups : patient per case; every case is a patient without them.

    Raises
    ------
    BadInput : nothing was rated twice, rows of different length, or texts are given for a level other than nominal.
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

    least = CHANCE_LEAST if level == "nominal" else NUMBERS_LEAST
    return jackknife(alpha, table, groups=groups, scale="one minus", least=least)


def _coded(ratings: Sequence[Sequence[Any]], level: Level) -> Numbers:
    """Ratings as numbers with NaN for a missing one; texts become numbers in their sorted order."""
    rows = [[None if _is_missing(v) else v for v in row] for row in ratings]
    if len({len(row) for row in rows}) != 1:
        told = f"rows of {', '.join(map(str, sorted({len(row) for row in rows})))}" if rows else "none"
        raise BadInput(
            f"ratings must be one row per case with one place per rater, not {told}",
            None,
            "Put None where one is missing",
        )
    known = {v for row in rows for v in row if v is not None}
    if any(isinstance(v, str) for v in known):
        if level != "nominal":
            raise BadInput(f"texts such as {sorted(map(str, known))[0]!r} have no {level} level", None, "Give numbers")
        code = {v: float(n) for n, v in enumerate(sorted(known, key=str))}
        rows = [[None if v is None else code[v] for v in row] for row in rows]
    return np.array([[math.nan if v is None else float(v) for v in row] for row in rows], dtype=np.float64)


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or (value != value)


Weights = Literal["none", "linear", "quadratic"]


def cohen_kappa(
    first: Sequence[Any], second: Sequence[Any], weights: Weights = "none", *, groups: Sequence[Any] | None = None
) -> Estimate:
    """Cohen's kappa of two raters (1960; weighted 1968) with a jackknife interval over patients, from ``CHANCE_LEAST`` on.

    Parameters
    ----------
    first, second : categories of the same cases; sortable, equally spaced where weighted.
    weights : of disagreements by their distance in the sorted order of the categories.
    groups : patient per case; every case is a patient without them.

    Returns
    -------
    NaN with one category only. Never above 1.

    Raises
    ------
    BadInput : the lists differ in length or are empty, a rating is missing, categories cannot be sorted, or unknown weights.
    """
    if len(first) != len(second) or not len(first):
        raise BadInput(f"{len(first)} ratings cannot be paired with {len(second)}")
    if lost := sum(_is_missing(value) for value in (*first, *second)):
        raise BadInput(f"{lost} rating(s) are missing", None, "Leave these cases out and count them")
    if weights not in get_args(Weights):
        raise BadInput(f"no weights {weights!r}", None, f"Choose one of {', '.join(get_args(Weights))}")
    try:
        categories = sorted({*first, *second})
    except TypeError as error:
        raise BadInput(f"categories cannot be sorted ({error})", None, "Give texts only, or numbers only") from error
    if len(categories) < 2:
        return Estimate(math.nan, math.nan, math.nan)  # chance agreement is 1: kappa is undefined
    place = {category: n for n, category in enumerate(categories)}
    a, b = (np.array([place[value] for value in ratings]) for ratings in (first, second))
    power = {"none": 0, "linear": 1, "quadratic": 2}[weights]
    distance = np.abs(np.subtract.outer(np.arange(len(categories)), np.arange(len(categories)))).astype(np.float64)
    cost = distance**power if power else (distance > 0).astype(np.float64)

    def kappa(x: NDArray[np.intp], y: NDArray[np.intp]) -> float:
        shares = [np.bincount(v, minlength=len(categories)) / len(v) for v in (x, y)]
        chance = float(shares[0] @ cost @ shares[1])
        return 1 - float(cost[x, y].mean()) / chance if chance > 0 else math.nan

    return jackknife(kappa, a, b, groups=groups, scale="one minus", least=CHANCE_LEAST)
