"""The promise of a 95 % interval, checked by simulation: how often it holds the true value."""

from __future__ import annotations

import numpy as np
import pytest

from voxloom.evaluation import bootstrap_ci
from voxloom.evaluation.statistics import bland_altman

STUDIES = 500


def share_covered(draw, truth: float, seed: int) -> float:
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(STUDIES):
        values, groups = draw(random)
        low, high = bootstrap_ci(values, groups)
        hits += low <= truth <= high
    return hits / STUDIES


@pytest.mark.parametrize("count", [6, 12, 40])
def test_mean_of_dice_like_scores(count: int) -> None:
    """Scores near 1 with a tail to the left, as Dice has: mean 9 / 11."""
    covered = share_covered(lambda random: (random.beta(9, 2, count), None), 9 / 11, count)
    assert 0.915 <= covered <= 0.985


def test_cases_of_one_patient_are_alike() -> None:
    """Fifteen patients with one to six scans; taking scans as independent would cover far too seldom."""

    def draw(random):
        scans = random.integers(1, 7, 15)
        patients = np.repeat(np.arange(15), scans)
        return random.normal(0.8, 0.1, 15)[patients] + random.normal(0, 0.03, len(patients)), patients

    clustered = share_covered(draw, 0.8, 1)
    blind = share_covered(lambda random: (draw(random)[0], None), 0.8, 1)
    assert 0.91 <= clustered <= 0.985
    assert blind < clustered - 0.15


def test_limits_of_agreement() -> None:
    random = np.random.default_rng(2)
    hits = np.zeros(3)
    for _ in range(STUDIES):
        difference = random.normal(2.0, 5.0, 20)
        found = bland_altman(difference, np.zeros(20))
        truths = ((found.bias, 2.0), (found.lower, 2.0 - 1.96 * 5), (found.upper, 2.0 + 1.96 * 5))
        hits += [e.low <= truth <= e.high for e, truth in truths]
    assert (hits / STUDIES >= 0.92).all()
    assert (hits / STUDIES <= 0.98).all()
