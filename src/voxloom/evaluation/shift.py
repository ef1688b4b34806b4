"""Is a test set like the training cases? Every fact of the scans compared, and how far each scan lies from the nearest training case.

Numbers by the Mann-Whitney test over patients, categories by Fisher's or the chi-square test, all Holm-corrected together; of features
of a network the distance to the nearest training case, beside that of held-out cases. A difference that is found need not harm a
model, and one that is not found can; the report says where to look. Knows numbers and names only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.nearness import Nearness
from voxloom.evaluation.statistics import holm, mann_whitney, same_shares
from voxloom.evaluation.statistics.arrays import means_of_groups

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Side:
    """Facts of the cases of one side.

    Parameters
    ----------
    patients : of every case.
    numbers : name -> value per case; NaN where it is not known.
    words : name -> category per case; "" where it is not known.
    """

    patients: Sequence[str]
    numbers: Mapping[str, Sequence[float]]
    words: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Shift:
    """One fact on both sides.

    Parameters
    ----------
    name : with its unit.
    training, test : median and range over patients, or the shares of the categories, in words.
    outside : share of the test patients beyond the range (or the categories) of the training's.
    effect : -1 to 1, rank-biserial: above 0 where the test's values are larger; of categories Cramér's V, 0 to 1.
    p, p_holm : that both sides are alike, raw and Holm-corrected over all facts; NaN with one patient on a side.
    """

    name: str
    training: str
    test: str
    outside: float
    effect: float
    p: float
    p_holm: float = math.nan

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def compare_sides(training: Side, test: Side) -> list[Shift]:
    """Every fact that both sides know, the most unlike first.

    Raises
    ------
    BadInput : they have none in common.
    """
    found = [
        one
        for name in training.numbers
        if name in test.numbers and (one := _numbers(name, *_known(training, name), *_known(test, name))) is not None
    ]
    for name in training.words:
        if name in test.words:
            sides = [_categories(side, name) for side in (training, test)]
            if all(sides):
                found.append(_words(name, *sides))
    if not found:
        raise BadInput(
            "nothing is known of both sides", None, "Train again with this version, which measures its cases"
        )
    corrected = holm([one.p for one in found])
    shifts = [replace(one, p_holm=p) for one, p in zip(found, corrected, strict=True)]
    return sorted(shifts, key=lambda s: (s.p_holm if s.p_holm == s.p_holm else 2.0, -abs(s.effect), -s.outside))


def _known(side: Side, name: str) -> tuple[Numbers, list[str]]:
    values = np.asarray(side.numbers[name], dtype=np.float64)
    known = np.isfinite(values)
    return values[known], [p for p, ok in zip(side.patients, known, strict=True) if ok]


def _numbers(name: str, a: Numbers, patients: list[str], b: Numbers, others: list[str]) -> Shift | None:
    if not len(a) or not len(b):
        return None
    ours, theirs = means_of_groups(a, patients), means_of_groups(b, others)
    slack = 1e-6 * max(abs(float(a.min())), abs(float(a.max())), 1e-12)
    outside = float(((theirs < a.min() - slack) | (theirs > a.max() + slack)).mean())
    tested = mann_whitney(theirs, ours)
    p = tested.p if min(len(ours), len(theirs)) > 1 else math.nan
    return Shift(name, _range(ours), _range(theirs), outside, tested.effect, p)


def _range(values: Numbers) -> str:
    low, middle, high = (f"{v:.4g}" for v in (values.min(), np.median(values), values.max()))
    return low if low == high else f"{middle} ({low} to {high})"


def _categories(side: Side, name: str) -> list[str]:
    """The most frequent category of every patient who has one."""
    own: dict[str, list[str]] = {}
    for patient, word in zip(side.patients, side.words[name], strict=True):
        if word:
            own.setdefault(patient, []).append(word)
    return [max(sorted(set(words)), key=words.count) for words in own.values()]


def _words(name: str, ours: list[str], theirs: list[str]) -> Shift:
    tested = same_shares(theirs, ours)
    p = tested.p if min(len(ours), len(theirs)) > 1 else math.nan
    return Shift(
        name, _shares(ours), _shares(theirs), float(np.mean([w not in ours for w in theirs])), tested.effect, p
    )


def _shares(words: list[str]) -> str:
    kinds = sorted(set(words), key=lambda w: (-words.count(w), w))
    return ", ".join(f"{kind} {100 * words.count(kind) / len(words):.0f} %" for kind in kinds[:5])


@dataclass(frozen=True)
class EmbeddingShift:
    """How far test cases lie from the training cases in the features of a network, beside cases that it was not trained on either.

    Parameters
    ----------
    distances : test case -> distance to the nearest training case, over the median of that distance of held-out cases.
    rarer : test case -> share of held-out patients with a case that lies at least as far (the case itself counted): the p-value of
        "this case comes from where the held-out ones come from".
    unlike : test cases so far that at most one of 100 like the held-out ones is; None with too few held-out patients to tell.
    effect, p : Mann-Whitney over patients; effect above 0 where test cases lie farther.
    training, held_out : cases that were looked at.
    """

    distances: Mapping[str, float]
    rarer: Mapping[str, float]
    unlike: tuple[str, ...] | None
    effect: float
    p: float
    training: int
    held_out: int

    def to_dict(self) -> dict[str, Any]:
        """Names and values."""
        return asdict(self)


def embedding_shift(
    training: ArrayLike,
    held_out: ArrayLike,
    held_out_patients: Sequence[str],
    test: Mapping[str, ArrayLike],
    test_patients: Mapping[str, str],
) -> EmbeddingShift:
    """Distances of test cases from training cases, against those of held-out cases.

    Parameters
    ----------
    training, held_out : features (cases, features) of the cases that the network was trained on, and of cases that it was not.
    test : case -> its features.

    Raises
    ------
    BadInput : fewer than two training cases, no held-out or no test case.
    """
    if not test:
        raise BadInput("distances need a test case")
    near = Nearness(training, held_out, held_out_patients)
    far = near.distances(np.array([test[case] for case in test], dtype=np.float64))
    who = [test_patients[case] for case in test]
    unlike = near.unlike(far)
    tested = mann_whitney(far, near.own, first_groups=who, second_groups=list(held_out_patients))
    return EmbeddingShift(
        dict(zip(test, far.tolist(), strict=True)),
        dict(zip(test, near.shares(far).tolist(), strict=True)),
        None if unlike is None else tuple(case for case, far_off in zip(test, unlike, strict=True) if far_off),
        tested.effect,
        tested.p if min(len(set(who)), len(set(held_out_patients))) > 1 else math.nan,
        len(np.asarray(training)),
        len(near.own),
    )
