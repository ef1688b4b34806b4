"""AUC against pairs counted by hand, DeLong against his variance written out, patients against their copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from voxloom.errors import BadInput
from voxloom.evaluation.auc import auc, auc_interval, compare_aucs


def drawn(n: int = 60, seed: int = 0, gap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = np.arange(n) % 3 == 0
    return truth, random.normal(size=n) + gap * truth


def pairs(truth: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """psi of every (positive, negative) pair."""
    difference = scores[truth][:, None] - scores[~truth][None]
    return (difference > 0) + 0.5 * (difference == 0)


def test_auc_counts_pairs_and_ties_are_half() -> None:
    truth, scores = np.array([1, 1, 0, 0, 0]), np.array([3.0, 1.0, 1.0, 0.0, 2.0])
    assert auc(truth, scores) == pytest.approx((1 + 1 + 1 + 0.5 + 1 + 0) / 6)
    truth, scores = drawn()
    assert auc(truth, scores) == pytest.approx(pairs(truth, scores).mean())


def test_the_variance_is_delongs() -> None:
    truth, scores = drawn()
    psi = pairs(truth, scores)
    a = psi.mean()
    variance = psi.mean(axis=1).var(ddof=1) / truth.sum() + psi.mean(axis=0).var(ddof=1) / (~truth).sum()
    found = auc_interval(truth, scores)
    parts = [psi.mean(axis=axis).var(ddof=1) / psi.shape[1 - axis] for axis in (1, 0)]
    freedom = variance**2 / sum(part**2 / (n - 1) for part, n in zip(parts, psi.shape, strict=True))  # Welch
    logit, half = math.log(a / (1 - a)), t.ppf(0.975, freedom) * math.sqrt(variance) / (a * (1 - a))
    assert found.low == pytest.approx(1 / (1 + math.exp(-(logit - half))), abs=1e-6)
    assert found.high == pytest.approx(1 / (1 + math.exp(-(logit + half))), abs=1e-6)


def test_copies_of_a_patient_do_not_narrow_the_interval() -> None:
    truth, scores = drawn()
    patients = np.arange(len(truth))
    once = auc_interval(truth, scores, patients.tolist())
    thrice = auc_interval(np.repeat(truth, 3), np.repeat(scores, 3), np.repeat(patients, 3).tolist())
    blind = auc_interval(np.repeat(truth, 3), np.repeat(scores, 3))
    assert thrice.low == pytest.approx(once.low, abs=1e-9)
    assert thrice.high == pytest.approx(once.high, abs=1e-9)
    assert blind.high - blind.low < 0.7 * (once.high - once.low)


def test_intervals_cover_and_equal_scores_are_rarely_told_apart() -> None:
    random = np.random.default_rng(1)
    true_auc, covered, differs, runs = 0.76025, 0, 0, 400  # Phi(1 / sqrt 2)
    for _ in range(runs):
        truth = np.arange(60) % 2 == 0
        shared = random.normal(size=60) + truth
        found = auc_interval(truth, shared)
        covered += found.low <= true_auc <= found.high
        one, other = shared + random.normal(size=60), shared + random.normal(size=60)
        differs += compare_aucs(truth, one, other).p < 0.05
    assert 0.92 <= covered / runs <= 0.98
    assert 0.02 <= differs / runs <= 0.08


def test_a_better_score_is_told_from_a_worse_one() -> None:
    truth, scores = drawn(200, gap=1.5)
    noisy = scores + np.random.default_rng(3).normal(size=200, scale=3)
    outcome = compare_aucs(truth, noisy, scores)
    assert outcome.p < 0.01
    assert outcome.effect == pytest.approx(auc(truth, scores) - auc(truth, noisy))
    assert compare_aucs(truth, scores, 2 * scores + 1).p == 1.0


def test_what_cannot_be_known_is_not_made_up() -> None:
    assert math.isnan(auc([1, 1], [0.2, 0.3]))
    assert math.isnan(auc_interval([1, 0, 0], [0.9, 0.1, 0.2]).low)  # one positive patient
    perfect = auc_interval([1] * 5 + [0] * 5, [6, 7, 8, 9, 10, 1, 2, 3, 4, 5])
    assert perfect.value == 1.0
    assert perfect.low < 0.5 < perfect.high
    assert math.isnan(auc_interval([1] * 4 + [0] * 9, np.arange(13)).low)
    with pytest.raises(BadInput, match="not numbers"):
        auc([1, 0], [math.nan, 1.0])
