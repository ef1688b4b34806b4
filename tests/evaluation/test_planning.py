"""Margins, sample sizes and ranks: by hand, by simulation, and through the commands."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation import Evaluation, mask_metrics
from voxloom.evaluation.model_ranks import rank_models
from voxloom.evaluation.statistics import margin_test, mean_ci, size_for_difference, size_for_width, wilcoxon


def test_two_one_sided_t_tests() -> None:
    a = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 0.0]) + 0.5
    found = margin_test(a, np.zeros(6), 2.0)
    ps = [
        stats.ttest_1samp(a, -2.0, alternative="greater").pvalue,
        stats.ttest_1samp(a, 2.0, alternative="less").pvalue,
    ]
    assert found.p == pytest.approx(max(ps))
    assert (found.difference.low, found.difference.high) == pytest.approx(stats.t.interval(0.9, 5, 0.5, stats.sem(a)))
    worse = margin_test(a, np.zeros(6), 2.0, question="non-inferiority")
    assert worse.p == pytest.approx(ps[0])
    assert margin_test(a, np.zeros(6), 2.0, question="non-inferiority", larger_is_better=False).p == pytest.approx(
        ps[1]
    )
    assert math.isnan(margin_test([1, 2, 3], [1, 2, 4], 1.0).p)
    with pytest.raises(BadInput, match="margin of 0"):
        margin_test(a, a, 0)


def test_a_difference_at_the_margin_is_rarely_called_equivalent() -> None:
    random, called = np.random.default_rng(0), 0
    patients = np.repeat(np.arange(10), 4)
    for _ in range(400):
        difference = 0.5 + random.normal(0, 0.3, 10)[patients] + random.normal(0, 0.3, 40)
        called += margin_test(difference, np.zeros(40), 0.5, groups=patients.tolist()).p < 0.05
    assert called / 400 <= 0.08


def test_the_promised_width_and_power_are_reached() -> None:
    random = np.random.default_rng(1)
    pilot = random.normal(0.8, 0.1, 200)
    width = size_for_width(pilot, 0.04)
    assert width.needed == pytest.approx((2 * 1.97 * pilot.std(ddof=1) / 0.04) ** 2, abs=3)
    assert width.safe > width.needed
    low, high = mean_ci(random.normal(0.8, 0.1, width.needed))
    assert high - low == pytest.approx(0.04, rel=0.15)
    power = size_for_difference(random.normal(0, 0.05, 500), 0.03)
    hits = sum(wilcoxon(random.normal(0.03, 0.05, power.needed), np.zeros(power.needed)).p < 0.05 for _ in range(400))
    assert hits / 400 == pytest.approx(0.8, abs=0.07)
    for refused in (lambda: size_for_width([0.8] * 4, 0.1), lambda: size_for_width([0.8] * 9, 0.1)):
        with pytest.raises(BadInput):
            refused()
    with pytest.raises(BadInput, match="more than 1,000,000"):
        size_for_difference(pilot, 1e-6)


def test_ranks_and_the_significance_map() -> None:
    random = np.random.default_rng(2)
    base = random.normal(0.8, 0.05, 24)
    values = {
        "good": base + 0.05,
        "bad": base - 0.05 + random.normal(0, 0.01, 24),
        "same": base + random.normal(0, 0.02, 24) + 0.05,
    }
    patients = [f"p{n // 2}" for n in range(24)]
    found = rank_models(values, patients, larger_is_better=True)
    assert (found.models[-1].name, found.models[-1].rank, found.models[-1].low) == ("bad", 3, 3)
    near = {m.name: m for m in found.models}
    assert near["good"].first + near["same"].first == pytest.approx(1)
    assert (near["same"].low, near["same"].high) == (1, 2)
    p = {(a, b): held for a, b, _, held in found.better}
    assert p["good", "bad"] < 0.01 < 0.05 < p["bad", "good"]
    assert rank_models({n: v[:6] for n, v in values.items()}, patients[:6], larger_is_better=True).models[0].low is None
    turned = rank_models({n: 1 - v for n, v in values.items()}, patients, larger_is_better=False)
    assert [m.name for m in turned.models] == [m.name for m in found.models]


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Three folders of figures: a mask that is cut by more and more, in fourteen patients."""
    truth = np.ones((10, 10, 3), bool)
    for number, name in enumerate(("A", "B", "C")):
        table = Evaluation(["organ"])
        for case in range(14):
            cut = truth.copy()
            cut[: 1 + 2 * (number == 2) + case % 3 - (case == 5 and number == 1)] = False
            table.add(f"c{case}", {"organ": mask_metrics(cut, truth, (1, 1, 1))})
        (tmp_path / name).mkdir()
        table.write_csv(tmp_path / name / "metrics.csv")
    return [str(tmp_path / name) for name in "ABC"]


def test_compare_ranks_and_tests_a_margin(runs: list[str], tmp_path: Path, capsys) -> None:
    assert run(["compare", *runs, "--margin", "0.05", "-o", str(tmp_path / "out"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [m["name"] for m in told["ranking"]["models"]][-1] == "C"
    by_name = {m["name"]: m for m in told["margins"]}
    assert by_name["B"]["p"] < 0.05 < by_name["C"]["p"]
    assert "was not shown to be equivalent to A" in by_name["C"]["sentence"]
    assert told["overall"]["effect_name"] == "Kendall's W"
    page = (tmp_path / "out" / "compare.html").read_text("utf-8")
    assert "Significance map" in page
    assert "Within the margin" in page
    assert run(["compare", *runs, "--non-inferiority"]) == 2


def test_the_command_plans_a_test_set(runs: list[str], capsys) -> None:
    assert run(["sample-size", runs[0], "--width", "0.02", "--json"]) == 0
    width = json.loads(capsys.readouterr().out)["organ"]
    assert width["safe"] > width["needed"] > 14
    assert run(["sample-size", runs[0], runs[1], "--difference", "0.01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["organ"]["needed"] > 5
    for wrong in ([runs[0]], [runs[0], "--difference", "0.01"], [*runs[:2], "--width", "0.1"]):
        assert run(["sample-size", *wrong]) == 2
