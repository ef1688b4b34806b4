"""Studies of few patients: what is printed holds, and what cannot be known is refused. Each line was once a fault."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from voxloom.errors import BadInput
from voxloom.evaluation import mean_ci, summarize
from voxloom.evaluation.auc import auc_interval, compare_aucs
from voxloom.evaluation.findings import mean_finding_auc
from voxloom.evaluation.raters.summary import crossed_icc
from voxloom.evaluation.regression import NumberEvaluation, NumberRow
from voxloom.evaluation.statistics import (
    bland_altman,
    cohen_kappa,
    friedman,
    holm,
    icc,
    interval_text,
    krippendorff_alpha,
    mann_whitney,
    mcnemar,
    mean_estimate,
    mean_square,
    regression,
    root_mean_square,
    share_estimate,
    spearman,
    wilcoxon,
)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_few_patients_have_no_interval_of_the_mean(count: int) -> None:
    found = summarize(list(np.linspace(0.7, 0.9, count)))
    assert interval_text(found["ci"]) == "no interval"
    assert math.isnan(found["sd"]) == (count == 1)


def test_equal_scores_and_a_patient_who_holds_most_cases_have_no_interval() -> None:
    assert math.isnan(mean_ci([0.8] * 10)[0]), "no spread is no knowledge of the spread"
    values = np.random.default_rng(0).normal(size=60)
    assert math.isnan(mean_ci(values, ["a"] * 50 + [*"bcdefghijk"])[0])
    assert not math.isnan(mean_ci(values, [*"abcdefghijkl"] * 5)[0])


def test_the_mean_interval_is_students_for_symmetric_values_and_leans_to_the_tail() -> None:
    even = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    assert mean_ci(even) == pytest.approx(stats.t.interval(0.95, 4, 0, stats.sem(even)))
    skewed = np.array([0.9, 0.91, 0.92, 0.93, 0.4])
    low, high = stats.t.interval(0.95, 4, skewed.mean(), stats.sem(skewed))
    ours = mean_ci(skewed)
    assert ours[0] < low - 0.05
    assert ours[1] == pytest.approx(high)


def test_a_share_has_the_mid_p_interval_and_counts_patients() -> None:
    found = share_estimate([True] * 8 + [False] * 2)
    for end, beyond in (
        (found.low, stats.binom.sf(8, 10, found.low)),
        (found.high, stats.binom.cdf(7, 10, found.high)),
    ):
        assert beyond + stats.binom.pmf(8, 10, end) / 2 == pytest.approx(0.025)
    none = share_estimate([False] * 10)
    assert (none.low, none.high) == (0, pytest.approx(1 - 0.05 ** (1 / 10)))
    copies = share_estimate(np.repeat([True] * 8 + [False] * 2, 5), np.repeat(np.arange(10), 5).tolist())
    assert copies.high - copies.low == pytest.approx(found.high - found.low, abs=0.1)


def test_spearman_of_three_cases_and_with_ties() -> None:
    three = spearman([1, 2, 3], [1, 2, 3])
    assert three.p == pytest.approx(1 / 3)
    assert three.rho.text() == "1.00 [no interval]"
    random = np.random.default_rng(3)
    for _ in range(50):
        found = spearman(random.integers(0, 3, 12), random.integers(0, 3, 12)).rho
        assert math.isnan(found.value) or found.low <= found.value <= found.high, "an interval holds its own estimate"


def test_rounding_is_no_difference() -> None:
    patients = [n for n in range(8) for _ in range(3)]
    found = wilcoxon([0.1, 0.2, -0.3] * 8, [0.0] * 24, groups=patients)
    assert (found.p, found.n, found.zeros) == (1.0, 0, 8)
    assert wilcoxon([0.1 + 0.2] * 6, [0.3] * 6).p == 1.0
    assert wilcoxon([0.1, 0.2, 0.3], [0.3, 0.4, 0.5]).statistic == 0, "differences of -0.2 are tied"


def test_a_test_counts_what_it_used() -> None:
    found = wilcoxon([1, 2, 3, 4], [1, 2, 4, 6])
    assert (found.n, found.zeros) == (2, 2)


@pytest.mark.parametrize("count", [5, 9, 14])
def test_rank_tests_are_exact_with_ties(count: int) -> None:
    random = np.random.default_rng(count)
    values, others = random.integers(-3, 5, count), random.integers(0, 4, count)
    signs = stats.permutation_test(
        (values[values != 0] * 1.0,),
        lambda x, axis: (np.sign(x) * stats.rankdata(np.abs(x), axis=axis)).sum(axis=axis),
        permutation_type="samples",
        n_resamples=2**count,
    )
    assert wilcoxon(values, np.zeros(count)).p == pytest.approx(signs.pvalue)
    if count < 14:
        ranks = stats.rankdata([*values, *others[:4]])
        sums = np.array([sum(chosen) for chosen in combinations(ranks, count)])
        far = np.abs(sums - sums.mean()) >= abs(ranks[:count].sum() - sums.mean()) - 1e-9
        assert mann_whitney(values, others[:4]).p == pytest.approx(far.mean())


def test_friedman_of_three_patients_cannot_be_sure() -> None:
    agreed = friedman([[1, 2, 3]] * 3)
    assert agreed.p == pytest.approx(1 / 36, abs=0.006)  # chi-square says .0498; all orders of two of three rows
    assert agreed.effect == pytest.approx(1)


def test_mcnemar_of_points_counts_patients() -> None:
    """A patient of twenty points in favor of one run is one vote."""
    first, second = [True] * 20 + [False, True], [False] * 20 + [True, False]
    assert mcnemar(first, second).p < 0.001
    assert mcnemar(first, second, groups=["a"] * 20 + ["b", "c"]).p > 0.4


def test_crashes_of_one_patient() -> None:
    assert wilcoxon([1, 2], [1, 3]).p == 1.0
    with pytest.raises(BadInput, match="1 patients are too few"):
        regression([1.0, 2.0, 3.0, 5.0], {"a": [1, 2, 3, 5]}, groups=["p"] * 4)
    found = bland_altman([1, 2, 4], [1, 3, 3], groups=["p"] * 3)
    assert math.isnan(found.upper.low)
    assert compare_aucs([1, 0, 0], [0.9, 0.1, 0.2], [0.8, 0.1, 0.3]).p != 0


def test_identical_raters_and_constant_scores() -> None:
    same = icc([[n, n] for n in range(8)])["ICC(A,1)"]
    assert same.text() == "1.00 [no interval]"
    rows = [NumberRow(str(n), str(n), "age", float(n), 3.0) for n in range(8)]
    figures = NumberEvaluation(rows).summary()["targets"]["age"]
    assert math.isfinite(figures["r2"]["value"])
    constant = [NumberRow(str(n), str(n), "age", 4.0, float(n)) for n in range(8)]
    assert math.isnan(NumberEvaluation(constant).summary()["targets"]["age"]["r2"]["value"])


def test_kappa_never_passes_one() -> None:
    first = [0] * 30 + [1] * 30
    second = [0] * 30 + [1] * 29 + [0]
    found = cohen_kappa(first, second)
    assert found.low < found.value < found.high < 1


def test_holm_is_that_of_statsmodels() -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.random.default_rng(1).uniform(0, 0.2, 7)
    assert holm(p.tolist()) == pytest.approx(multipletests(p, method="holm")[1])


def test_auc_of_few_patients_is_refused() -> None:
    truth, scores = [1] * 4 + [0] * 9, np.random.default_rng(2).normal(size=13)
    assert math.isnan(auc_interval(truth, scores).low)
    assert math.isnan(compare_aucs(truth, scores, scores + np.arange(13) % 3).p)


def test_a_mean_of_nothing() -> None:
    assert math.isnan(mean_estimate([]).value)
    assert math.isnan(share_estimate([]).value)


def test_a_finding_of_four_patients_gives_the_mean_auc_no_interval() -> None:
    random = np.random.default_rng(3)
    place, patients = np.tile([0, 1], 24), [f"p{n // 4}" for n in range(48)]  # two scans of each of twelve patients
    truth = np.array([n // 4 % 2 == 0 for n in range(48)])
    p = random.uniform(size=48) + 0.3 * truth
    assert math.isfinite(mean_finding_auc(place, truth, p, patients).low)
    rare = truth & ((place == 0) | (np.arange(48) < 32))  # the second finding: four patients
    found = mean_finding_auc(place, rare, p, patients)
    assert math.isfinite(found.value)
    assert math.isnan(found.low)


def test_a_brier_score_has_an_interval_of_its_long_tail() -> None:
    errors = np.array([0.1, 0.1, 0.2, 0.2, 0.9])
    found, root, plain = mean_square(errors), root_mean_square(errors), mean_estimate(errors**2)
    assert found.value == pytest.approx(plain.value)
    assert (root.low, root.high) == pytest.approx((math.sqrt(found.low), math.sqrt(found.high)))
    assert plain.low < 0 < found.low, "no mean square is below 0"
    assert found.high > plain.high


def test_alpha_of_numbers_needs_more_patients_than_that_of_classes() -> None:
    scores = np.random.default_rng(4).integers(0, 5, (15, 1)) + np.random.default_rng(5).integers(0, 2, (15, 3))
    assert math.isfinite(krippendorff_alpha(scores[:14].tolist(), "nominal").low)
    assert math.isnan(krippendorff_alpha(scores[:14].tolist(), "interval").low)
    assert math.isfinite(krippendorff_alpha(scores.tolist(), "interval").low)


def test_one_way_agreement_of_readers_who_read_all_cases_has_no_interval() -> None:
    ratings = np.random.default_rng(6).normal(size=(12, 1)) + np.random.default_rng(7).normal(0, 0.3, (12, 2))
    found, plain = crossed_icc(ratings, [str(n) for n in range(12)]), icc(ratings)
    assert {form for form, one in found.items() if math.isnan(one.low)} == {"ICC(1,1)", "ICC(1,k)"}
    assert [one.value for one in found.values()] == pytest.approx([one.value for one in plain.values()])
