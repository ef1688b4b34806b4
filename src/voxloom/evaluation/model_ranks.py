"""Ranks of several models on the same cases, with their uncertainty, as challenges report them.

Mean, then rank; patients are drawn with replacement, and ranks are taken anew (Maier-Hein et al., Nature Communications 2018;
Wiesenfarth et al., Scientific Reports 2021, challengeR). Pairs are tested one-sided by Wilcoxon's test with Holm's correction: the
significance map. Knows numbers only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxloom.evaluation.statistics import LEAST_PATIENTS, holm, wilcoxon
from voxloom.evaluation.statistics.arrays import means_of_groups, place_in_groups, rankable

#: Draws of the patients, and their seed.
DRAWS, SEED = 2000, 0


@dataclass(frozen=True)
class RankedModel:
    """One model.

    Parameters
    ----------
    name, mean : of the metric over cases.
    rank : 1 for the best; equal means share the mean of their ranks.
    low, high : rank that 95 % of the draws of patients lie between; None with fewer than ``LEAST_PATIENTS`` patients.
    first : share of the draws in which it is the best (ties shared).
    """

    name: str
    mean: float
    rank: float
    low: float | None
    high: float | None
    first: float | None


@dataclass(frozen=True)
class Ranking:
    """Models in the order of their rank, and the significance map.

    Parameters
    ----------
    better : (better, worse, p, Holm-corrected p) of every ordered pair; p of "not better".
    patients : that were drawn.
    """

    models: tuple[RankedModel, ...]
    better: tuple[tuple[str, str, float, float], ...]
    patients: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


def rank_models(values: Mapping[str, Sequence[float]], patients: Sequence[str], *, larger_is_better: bool) -> Ranking:
    """Rank models by their mean over cases; infinite distances count as beyond every finite one.

    Parameters
    ----------
    values : model -> metric per case, in one order of cases.
    patients : of the same cases.
    """
    from scipy.stats import rankdata

    names = list(values)
    table = np.stack(rankable(*values.values()))  # (models, cases)
    signed = -table if larger_is_better else table  # small is good
    place = place_in_groups(patients, table.shape[1])
    counts = np.bincount(place)
    sums = np.stack([np.bincount(place, weights=row) for row in signed])
    ranks = rankdata(signed.mean(axis=1))
    low = high = first = [None] * len(names)
    if len(counts) >= LEAST_PATIENTS:
        drawn = np.random.default_rng(SEED).integers(len(counts), size=(DRAWS, len(counts)))
        means = sums[:, drawn].sum(axis=2) / counts[drawn].sum(axis=1)
        again = rankdata(np.round(means, 12), axis=0)
        low, high = (np.quantile(again, q, axis=1).tolist() for q in (0.025, 0.975))
        best = again == again.min(axis=0)
        first = (best / best.sum(axis=0)).mean(axis=1).tolist()
    found = [
        RankedModel(name, float(np.mean(values[name])), float(r), a, b, f)
        for name, r, a, b, f in zip(names, ranks, low, high, first, strict=True)
    ]
    each = {name: means_of_groups(row, patients) for name, row in zip(names, signed, strict=True)}
    pairs = [(a, b) for a in names for b in names if a != b]
    ps = [_better(each[a], each[b]) for a, b in pairs]
    better = tuple((a, b, p, q) for (a, b), p, q in zip(pairs, ps, holm(ps), strict=True))
    return Ranking(tuple(sorted(found, key=lambda m: m.rank)), better, len(counts))


def _better(first: np.ndarray, second: np.ndarray) -> float:
    """One-sided p of "the first is not better", small values being good."""
    outcome = wilcoxon(first, second)
    return outcome.p / 2 if outcome.effect < 0 else 1 - outcome.p / 2
