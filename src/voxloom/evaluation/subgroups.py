"""Does a model do as well for women as for men, at every age, site and scanner? A metric by attribute, with a test of difference.

Knows values per case, patients and attributes. A group of few patients has no interval; an attribute that changes within patients
(two scanners) is shown without a test, as its groups are not independent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.limits import ANYTHING, Limits
from voxloom.evaluation.statistics import Estimate, holm, kruskal, mann_whitney, mean_estimate
from voxloom.evaluation.statistics.arrays import means_of_groups

#: Numbers with more different values are divided into so many bands, at their quantiles.
BANDS = 4
#: Words with more levels than this are names, not groups.
MOST = 12
NOT_KNOWN = "not known"


@dataclass(frozen=True)
class Subgroup:
    """The metric of one level of an attribute: cases, patients, mean with its interval, and the lowest value."""

    level: str
    cases: int
    patients: int
    mean: Estimate
    worst: float


@dataclass(frozen=True)
class Fairness:
    """One attribute.

    Parameters
    ----------
    attribute : its name.
    groups : by level; cases without it are the group ``NOT_KNOWN``, which is not tested.
    gap : largest minus smallest mean.
    test, p, p_holm : Mann-Whitney of two levels, Kruskal-Wallis of more, one value per patient; Holm over the attributes. NaN where no
        test is possible: one level, or an attribute that changes within patients.
    """

    attribute: str
    groups: tuple[Subgroup, ...]
    gap: float
    test: str
    p: float
    p_holm: float

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def fairness(
    values: Sequence[float],
    patients: Sequence[str],
    attributes: Mapping[str, Sequence[Any]],
    *,
    larger_is_better: bool = True,
    limits: Limits = ANYTHING,
) -> list[Fairness]:
    """The metric by every attribute.

    Parameters
    ----------
    values : finite metric per case.
    patients : of the same cases.
    attributes : name -> value per case, None or "" where it is not known.
    larger_is_better : says which value of a group is its worst.
    limits : that the metric cannot leave.

    Raises
    ------
    BadInput : an attribute is a name (more than ``MOST`` words), or not known for any case.
    """
    numbers, who = np.asarray(values, dtype=np.float64), np.asarray([str(p) for p in patients])
    worst = np.min if larger_is_better else np.max
    found = []
    for name, raw in attributes.items():
        level_of = np.array(levels(name, raw), dtype=object)
        order = [n for n in dict.fromkeys(sorted(level_of, key=_level_key)) if n != NOT_KNOWN]
        groups = []
        for level in [*order, *([NOT_KNOWN] if NOT_KNOWN in level_of else [])]:
            own = level_of == level
            mean = mean_estimate(numbers[own], who[own].tolist()).within(limits)
            groups.append(Subgroup(level, int(own.sum()), len(set(who[own])), mean, float(worst(numbers[own]))))
        means = [g.mean.value for g in groups if g.level != NOT_KNOWN]
        test, p = _tested(numbers, who, level_of, order)
        found.append((name, tuple(groups), max(means) - min(means), test, p))
    corrected = holm([row[-1] for row in found])
    return [Fairness(*row, held) for row, held in zip(found, corrected, strict=True)]


def levels(name: str, raw: Sequence[Any]) -> list[str]:
    """The level of every case: words as they are, many different numbers as bands between their quantiles.

    Raises
    ------
    BadInput : as in ``fairness``.
    """
    known = [value for value in raw if not _is_unknown(value)]
    if not known:
        raise BadInput(f"{name} is not known for any case", None, "Name another column")
    as_numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in known)
    if as_numbers and len(set(known)) > BANDS + 1:
        edges = np.unique(np.quantile(known, np.linspace(0, 1, BANDS + 1)))
        named = [f"{a:g} to {b:g}" for a, b in pairwise(edges)]
        return [NOT_KNOWN if _is_unknown(v) else named[_band(float(v), edges)] for v in raw]
    words = [NOT_KNOWN if _is_unknown(v) else f"{v:g}" if as_numbers else str(v) for v in raw]
    count = len(set(words) - {NOT_KNOWN})
    if count > MOST:
        raise BadInput(
            f"{name} has {count} different values, which are names and not groups", None, "Name another column"
        )
    return words


def _band(value: float, edges: np.ndarray) -> int:
    return int(np.clip(np.searchsorted(edges, value, side="right") - 1, 0, len(edges) - 2))


def _is_unknown(value: Any) -> bool:
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def _level_key(level: str) -> tuple[int, float, str]:
    """Bands and numbers in their order, then words."""
    try:
        return (0, float(level.split(" to ")[0]), level)
    except ValueError:
        return (1, 0.0, level)


def _tested(numbers: np.ndarray, who: np.ndarray, level_of: np.ndarray, order: Sequence[str]) -> tuple[str, float]:
    parts = [set(who[level_of == level]) for level in order]
    if len(order) < 2:
        return "one group only", math.nan
    if len(set.union(*parts)) < sum(map(len, parts)):
        return "changes within patients", math.nan
    groups = [means_of_groups(numbers[level_of == n], who[level_of == n].tolist()) for n in order]
    outcome = mann_whitney(*groups) if len(groups) == 2 else kruskal(groups)
    return outcome.test, outcome.p
