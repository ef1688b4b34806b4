"""Whether predicted Dice and its bound hold on cases that the calibration never saw. Knows numbers only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from voxloom.evaluation.selective import risk_coverage
from voxloom.evaluation.statistics.arrays import means_of_groups, place_in_groups
from voxloom.evaluation.statistics.means import share_estimate


@dataclass(frozen=True)
class QualityCheck:
    """How a quality prediction fared.

    Parameters
    ----------
    cases, patients : how many.
    above : patients, all of whose cases have a true Dice of at least the bound.
    coverage : their share, with an exact 95 % interval (mid-p).
    promise : the share that was promised.
    mean_error : mean absolute difference of predicted and true Dice.
    rho : Spearman's correlation of predicted and true Dice, one value per patient; None where one of them is constant.
    area, best_area, random_area : mean error 1 - Dice along the risk-coverage curve, by predicted Dice, by true Dice, and
        whatever the order.
    mean_bound : mean of the bounds; the closer to the true Dice, the more it says.
    """

    cases: int
    patients: int
    above: int
    coverage: tuple[float, float, float]
    promise: float
    mean_error: float
    rho: float | None
    area: float
    best_area: float
    random_area: float
    mean_bound: float

    def sentence(self) -> str:
        """The result in words."""
        share, low, high = (100 * value for value in self.coverage)
        return (
            f"For {self.above} of {self.patients} patients ({share:.0f} %, 95 % confidence interval {low:.0f} to {high:.0f} %) the "
            f"true Dice of every case is at least its bound; {100 * self.promise:.0f} % were promised."
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "sentence": self.sentence()}


def check_quality(
    true: Sequence[float],
    predicted: Sequence[float],
    bounds: Sequence[float],
    promise: float,
    patients: Sequence[str] | None = None,
) -> QualityCheck:
    """Compare predicted Dice and bounds with the true Dice of the same cases, at least one.

    Parameters
    ----------
    patients : of the cases; None takes every case as a patient of its own.
    """
    from scipy import stats

    t, p, b = (np.asarray(values, dtype=float) for values in (true, predicted, bounds))
    place = place_in_groups(patients, len(t))
    kept = np.bincount(place, weights=t < b) == 0
    interval = share_estimate(kept)
    each = [means_of_groups(values, patients) for values in (p, t)]
    varied = len(each[0]) > 2 and all(np.ptp(values) > 0 for values in each)
    curve = risk_coverage(p, 1 - t)
    return QualityCheck(
        len(t),
        len(kept),
        int(kept.sum()),
        (interval.value, interval.low, interval.high),
        promise,
        float(np.abs(t - p).mean()),
        float(stats.spearmanr(*each).statistic) if varied else None,
        curve.area,
        curve.best,
        float((1 - t).mean()),
        float(b.mean()),
    )
