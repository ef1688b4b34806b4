"""Every statistic against a published worked example or a second library."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from voxloom.errors import BadInput
from voxloom.evaluation.statistics import (
    bland_altman,
    cohen_kappa,
    friedman,
    holm,
    icc,
    jackknife,
    krippendorff_alpha,
    mann_whitney,
    mcnemar,
    p_text,
    regression,
    same_shares,
    spearman,
    wilcoxon,
)

# Peak expiratory flow of 17 people by two meters, first readings (Bland and Altman, Lancet 1986, table 1).
WRIGHT = [494, 395, 516, 434, 476, 557, 413, 442, 650, 433, 417, 656, 267, 478, 178, 423, 427]
MINI = [512, 430, 520, 428, 500, 600, 364, 380, 658, 445, 432, 626, 260, 477, 259, 350, 451]
# Four judges rate six targets (Shrout and Fleiss, Psychological Bulletin 1979, table 2).
JUDGES = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
# Four observers, twelve units, missing ratings (Krippendorff, Computing Krippendorff's Alpha-Reliability, 2011).
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [list(row) for row in zip(*OBSERVERS, strict=True)]


def test_bland_altman_of_1986() -> None:
    found = bland_altman(WRIGHT, MINI)
    assert (found.bias.value, found.sd) == (pytest.approx(-2.1, abs=0.05), pytest.approx(38.8, abs=0.05))
    assert (found.bias.low, found.bias.high) == (pytest.approx(-22.0, abs=0.1), pytest.approx(17.8, abs=0.1))
    # The paper multiplies by 2 and takes sqrt(3 s2 / n) for the error of the limits: it prints -79.7 and 75.5,
    # [-114.3, -45.1] and [40.9, 110.1]. Zou's interval leans outward, as the limits of a small sample lie too near.
    assert (found.lower.value, found.upper.value) == (pytest.approx(-79.7, abs=2), pytest.approx(75.5, abs=2))
    assert (found.lower.low, found.lower.high) == (pytest.approx(-121.8, abs=0.1), pytest.approx(-51.3, abs=0.1))
    assert found.lower.low < -114.3 < found.lower.high
    assert found.upper.low < 110.1 < found.upper.high
    assert found.slope_p > 0.1


def test_bland_altman_sees_a_bias_that_grows_and_patients_that_repeat() -> None:
    size = np.linspace(10, 60, 30)
    noise = np.random.default_rng(0).normal(0, 1, 30)
    growing = bland_altman(size * 1.2 + noise, size)
    assert growing.slope == pytest.approx(0.18, abs=0.03)
    assert growing.slope_p < 1e-6
    patients = [n // 5 for n in range(30)]
    shifts = np.repeat([-5.0, 0.0, 5.0], 10) + noise
    alone, clustered = bland_altman(size + shifts, size), bland_altman(size + shifts, size, groups=patients)
    assert clustered.bias.value == pytest.approx(alone.bias.value)
    assert clustered.bias.high - clustered.bias.low > 1.5 * (alone.bias.high - alone.bias.low)


def test_icc_of_shrout_and_fleiss() -> None:
    found = icc(JUDGES)
    published = {
        "ICC(1,1)": 0.17,
        "ICC(A,1)": 0.29,
        "ICC(C,1)": 0.71,
        "ICC(1,k)": 0.44,
        "ICC(A,k)": 0.62,
        "ICC(C,k)": 0.91,
    }
    assert {form: round(e.value, 2) for form, e in found.items()} == published
    # Intervals of McGraw and Wong's formulas for these data, as R's psych::ICC prints them.
    assert (round(found["ICC(A,1)"].low, 2), round(found["ICC(A,1)"].high, 2)) == (0.02, 0.76)
    assert (round(found["ICC(C,1)"].low, 2), round(found["ICC(C,1)"].high, 2)) == (0.34, 0.95)
    assert round(found["ICC(A,1)"].low, 2) != found["ICC(A,1)"].low  # not rounded on the way


@pytest.mark.parametrize(
    ("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_krippendorff_of_2011_with_missing_ratings(level, alpha) -> None:
    found = krippendorff_alpha(UNITS, level)
    assert found.value == pytest.approx(alpha, abs=5e-4)
    twice = krippendorff_alpha(UNITS * 2, level)  # twelve units are too few for an interval beyond classes
    assert twice.low < twice.value < twice.high <= 1.0
    assert math.isnan(found.low) == (level != "nominal")


def test_krippendorff_takes_names_of_categories() -> None:
    named = [["" if v is None else "abcde"[v - 1] for v in row] for row in UNITS]
    assert krippendorff_alpha(named).value == pytest.approx(0.743, abs=5e-4)
    with pytest.raises(BadInput, match="no interval level"):
        krippendorff_alpha(named, "interval")
    with pytest.raises(BadInput, match="at least two ratings"):
        krippendorff_alpha([[1, None], [None, 2]])


def test_cohen_kappa_worked_and_against_scikit_learn() -> None:
    from sklearn.metrics import cohen_kappa_score

    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(0.4)  # 50 grant proposals, two readers
    assert found.low < 0.4 < found.high
    a, b = np.random.default_rng(1).integers(1, 6, (2, 80))
    for ours, theirs in (("none", None), ("linear", "linear"), ("quadratic", "quadratic")):
        expected = cohen_kappa_score(a, b, weights=theirs)
        assert cohen_kappa(a.tolist(), b.tolist(), ours).value == pytest.approx(expected)
    assert math.isnan(cohen_kappa([1, 1], [1, 1]).value)


def test_spearman_worked() -> None:
    intelligence = [106, 100, 86, 101, 99, 103, 97, 113, 112, 110]
    television = [7, 27, 2, 50, 28, 29, 20, 12, 6, 17]
    found = spearman(intelligence, television)
    assert found.rho.value == pytest.approx(-29 / 165)
    assert found.p == pytest.approx(0.6272, abs=1e-3)
    assert found.rho.low < found.rho.value < found.rho.high
    assert math.isnan(spearman([1, 1, 1], [1, 2, 3]).p)


def test_wilcoxon_of_hollander_and_wolfe() -> None:
    # Depression scale at two visits (Hollander and Wolfe 1973, p. 29): V = 40, one-sided p = .0195.
    before = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
    after = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
    found = wilcoxon(before, after)
    assert found.p == pytest.approx(2 * 0.01953, abs=1e-4)
    assert found.statistic == 5  # 45 - 40
    assert found.effect == pytest.approx((40 - 5) / 45)
    import pingouin

    assert found.effect == pytest.approx(float(pingouin.wilcoxon(before, after)["RBC"].iloc[0]))


def test_wilcoxon_with_ties_is_exact() -> None:
    differences = [0.1, 0.1, -0.2, 0.3, 0.0, 0.3, 0.4]
    expected = stats.wilcoxon(differences)
    found = wilcoxon(differences, [0.0] * 7)
    assert (found.statistic, found.p) == (expected.statistic, pytest.approx(expected.pvalue))


def test_wilcoxon_without_differences_and_with_patients() -> None:
    assert wilcoxon([1, 2, 3], [1, 2, 3]).p == 1.0
    differences, patients = [1.0] * 12, [n // 6 for n in range(12)]
    assert wilcoxon(differences, [0.0] * 12).p < 0.01
    assert wilcoxon(differences, [0.0] * 12, groups=patients).n == 2
    assert wilcoxon(differences, [0.0] * 12, groups=patients).p == 0.5


def test_mann_whitney_of_hollander_and_wolfe() -> None:
    # Permeability of the placenta (p. 69): W = 35, one-sided p = .1272.
    term = [0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46]
    early = [1.15, 0.88, 0.90, 0.74, 1.21]
    found = mann_whitney(term, early)
    assert (found.statistic, found.p) == (35, pytest.approx(2 * 0.1272, abs=2e-4))
    assert found.effect == pytest.approx(2 * 35 / 50 - 1)
    assert mann_whitney([1, 1, 2, 2], [3, 4], first_groups=["a", "a", "b", "b"]).n == 4


def test_friedman_against_pingouin() -> None:
    import pandas as pd
    import pingouin

    table = np.random.default_rng(2).normal(size=(14, 3)) + [0, 0.3, 0.9]
    found = friedman(table)
    expected = pingouin.friedman(pd.DataFrame(table))
    assert found.statistic == pytest.approx(float(expected["Q"].iloc[0]))
    assert found.p == pytest.approx(float(expected.filter(like="p").iloc[0, 0]), abs=2e-3)  # ours counts orders
    assert found.effect == pytest.approx(float(expected["W"].iloc[0]))
    assert friedman(np.ones((5, 3))).p == 1.0
    with pytest.raises(BadInput, match="3 methods"):
        friedman(table[:, :2])


def test_mcnemar_is_the_binomial_test_of_the_discordant_pairs() -> None:
    first = [True] * 20 + [True] * 10 + [False] * 2 + [False] * 5
    second = [True] * 20 + [False] * 10 + [True] * 2 + [False] * 5
    found = mcnemar(first, second)
    assert found.p == pytest.approx(2 * (1 + 12 + 66) / 4096)
    assert found.p == pytest.approx(stats.binomtest(2, 12).pvalue)
    assert found.outcome.effect == pytest.approx(8 / 37)


def test_same_shares_of_fishers_tea_and_against_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import Table

    # The lady tasting tea (Fisher, The Design of Experiments, 1935): three of four right in each group, two-sided p = 34/70.
    tea = same_shares([True] * 3 + [False], [True] + [False] * 3)
    assert (tea.test, tea.p) == ("Fisher's exact test", pytest.approx(34 / 70))
    assert tea.effect == pytest.approx(0.5)
    many = (["a"] * 20 + ["b"] * 30 + ["c"] * 14, ["a"] * 28 + ["b"] * 16 + ["c"] * 16)
    found = same_shares(*many)
    expected = Table(np.array([[20, 30, 14], [28, 16, 16]]), shift_zeros=False).test_nominal_association()
    assert found.test == "chi-square test"
    assert (found.statistic, found.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert found.effect == pytest.approx((expected.statistic / 124) ** 0.5)
    few = same_shares("aab", "bbbc")  # of 35 tables with these margins 9 are no likelier than this one
    assert few.test == "Fisher's exact test"
    assert few.p == pytest.approx(9 / 35, abs=0.01)
    assert few.p == same_shares("aab", "bbbc").p
    assert same_shares(["f"] * 9, ["f"] * 12).p == 1.0


def test_holm_worked() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    corrected = holm([0.01, math.nan, 0.04])
    assert corrected[::2] == pytest.approx([0.02, 0.04])
    assert math.isnan(corrected[1])


def test_regression_of_anscombe() -> None:
    x = [10, 8, 13, 9, 11, 14, 6, 4, 12, 7, 5]
    y = [8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68]  # The American Statistician 1973
    found = regression(y, {"x": x})
    intercept, slope = found.terms
    assert (intercept.estimate.value, intercept.error) == (
        pytest.approx(3.0001, abs=1e-4),
        pytest.approx(1.1247, abs=1e-4),
    )
    assert (slope.estimate.value, slope.error) == (pytest.approx(0.5001, abs=1e-4), pytest.approx(0.1179, abs=1e-4))
    assert (slope.p, found.r_squared) == (pytest.approx(0.00217, abs=1e-5), pytest.approx(0.6665, abs=1e-4))
    assert found.errors == "ordinary"


def test_regression_on_several_factors_against_scikit_learn_and_with_patients() -> None:
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(3)
    factors = {"field": random.choice([1.5, 3.0], 40), "slice": random.uniform(1, 6, 40)}
    score = 0.9 - 0.03 * factors["slice"] + random.normal(0, 0.02, 40)
    found = regression(score, factors)
    fitted = LinearRegression().fit(np.column_stack(list(factors.values())), score)
    assert [t.estimate.value for t in found.terms[1:]] == pytest.approx(list(fitted.coef_))
    twice = {name: np.tile(values, 2) for name, values in factors.items()}
    copied, patients = regression(np.tile(score, 2), twice), list(range(40)) * 2
    clustered = regression(np.tile(score, 2), twice, groups=patients)
    assert copied.terms[2].error < 0.75 * found.terms[2].error  # copies pretend to know more
    assert clustered.terms[2].error == pytest.approx(found.terms[2].error, rel=0.15)
    assert clustered.errors == "clustered by patient (CR2, Satterthwaite)"
    assert (clustered.n, clustered.patients) == (80, 40)


def test_cr2_of_single_cases_is_hc2() -> None:
    """With a cluster per case CR2 is HC2 of statsmodels, and an intercept alone has Student's freedom."""
    import statsmodels.api as sm

    from voxloom.evaluation.statistics.clusters import clustered_least_squares

    random = np.random.default_rng(8)
    design = np.column_stack([np.ones(15), random.normal(size=15)])
    y = random.normal(size=15)
    found = clustered_least_squares(design, y, np.arange(15))
    assert found.errors == pytest.approx(sm.OLS(y, design).fit(cov_type="HC2").bse)
    halves = np.column_stack([np.ones(16), np.arange(16) % 2])  # two groups: Welch's error; Student's freedom is 14
    both = clustered_least_squares(halves, np.append(y, 0.3), np.arange(16))
    assert both.freedom[1] == pytest.approx(14)
    assert both.f_p == pytest.approx(2 * stats.t.sf(abs(both.values[1] / both.errors[1]), 14))


@pytest.mark.parametrize(
    ("factors", "told"),
    [
        ({"a": [1, 1, 1, 1, 1, 1]}, "same in all cases"),
        ({"a": [1, 2, 3, 4, 5, 6], "b": [2, 4, 6, 8, 10, 12]}, "follows from the others"),
        ({"a": [1, 2, 3]}, "3 values for 6 scores"),
        ({}, "at least one factor"),
        ({n: np.random.default_rng(ord(n)).normal(size=6) for n in "abcd"}, "too few for 4 factors"),
    ],
)
def test_regression_refuses_what_has_no_answer(factors, told) -> None:
    with pytest.raises(BadInput, match=told):
        regression([1, 2, 2, 3, 5, 4], factors)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bland_altman([1, 2, math.inf], [1, 2, 3]),
        lambda: bland_altman([1, 2], [1, 2]),
        lambda: spearman([1, 2, 3], [1, 2]),
        lambda: icc([[1, 2], [2, 3]]),
        lambda: icc([[1, math.nan]] * 6),
        lambda: cohen_kappa([1], []),
        lambda: mcnemar([], []),
        lambda: same_shares([], ["f"]),
        lambda: mann_whitney([], [1]),
        lambda: jackknife(np.mean, [1.0, 2.0], groups=["a"]),
        lambda: cohen_kappa([1, None], [1, 2]),
        lambda: cohen_kappa([1, 2], [1, 2], "foo"),  # type: ignore[arg-type]
        lambda: cohen_kappa([1, "a"], [1, "a"]),
        lambda: krippendorff_alpha([]),
        lambda: krippendorff_alpha([[1, 2], [1]]),
        lambda: regression([1.0] * 4, {"a": [1, 2, 3, 4]}, groups=["p"] * 4),
    ],
)
def test_bad_input_is_refused(call) -> None:
    with pytest.raises(BadInput):
        call()


def test_the_jackknife_of_a_mean_is_students() -> None:
    values = np.random.default_rng(4).normal(size=30)
    found = jackknife(np.mean, values)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    copies = jackknife(np.mean, np.repeat(values, 3), groups=np.repeat(np.arange(30), 3).tolist())
    assert (copies.low, copies.high) == (pytest.approx(found.low), pytest.approx(found.high))
    share = jackknife(np.mean, values > -1.5, scale="logit")
    assert 0 < share.low < share.value < share.high < 1
    assert math.isnan(jackknife(np.mean, np.ones(30), scale="logit").low)


@pytest.mark.parametrize(("p", "text"), [(0.0004, "p < .001"), (0.003, "p = .003"), (0.41, "p = .410"), (1.0, "p = 1")])
def test_p_values_read_as_in_a_paper(p, text) -> None:
    assert p_text(p) == text
