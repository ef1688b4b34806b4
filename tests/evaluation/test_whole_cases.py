"""What is told beside the figures of classes and numbers: thresholds, raters, abstaining, kept promises, gaps, bands."""

from __future__ import annotations

from pathlib import Path

import krippendorff
import numpy as np
import pytest
from scipy import stats

from voxloom.evaluation.classification import ClassEvaluation, ClassRow
from voxloom.evaluation.conformal import check_classes, check_errors, check_of
from voxloom.evaluation.findings import FindingEvaluation, FindingRow
from voxloom.evaluation.raters.model_rater import rater_agreement
from voxloom.evaluation.regression import NumberEvaluation, NumberRow, corrected_gaps, error_by_band
from voxloom.evaluation.selective import abstention
from voxloom.evaluation.statistics.interval import exact_share


def binary(count: int = 40, per: int = 1, promise: float | None = None) -> ClassEvaluation:
    random, found = np.random.default_rng(0), ClassEvaluation(("benign", "malignant"))
    for n in range(count):
        p = float(1 / (1 + np.exp(-random.normal(1.5 if n % 2 else -1.5, 1.2))))
        sets = tuple(c for c, q in (("benign", 1 - p), ("malignant", p)) if q > 0.25)
        about = (sets, promise) if promise else ()
        found.add(ClassRow(f"c{n}", f"p{n // per}", found.classes[n % 2], (1 - p, p), *about))
    return found


def test_thresholds_count_who_is_called_positive() -> None:
    table = binary()
    truth, p = table.truth == 1, table.probabilities[:, 1]
    for row in table.at_thresholds((0.2, 0.5, 0.8)):
        called = p >= row["threshold"]
        assert row["positive"] == called.sum()
        assert row["sensitivity"]["value"] == called[truth].mean()
        assert row["specificity"]["value"] == (~called)[~truth].mean()
        assert row["positive_predictive_value"]["value"] == truth[called].mean()
        assert row["negative_predictive_value"]["value"] == (~truth)[~called].mean()
        low, high = row["sensitivity"]["ci"]
        assert low <= row["sensitivity"]["value"] <= high


def test_verdicts_per_patient_stand_beside_the_cases() -> None:
    assert "per_patient" not in binary().summary()
    found = binary(40, per=4).summary()["per_patient"]
    assert found["counts"] == {"benign": 0, "malignant": 10}
    assert np.sum(found["confusion"]["counts"]) == 10


def test_sets_come_back_from_the_table_and_are_checked(tmp_path: Path) -> None:
    table = binary(40, promise=0.9)
    again = ClassEvaluation.read_csv(table.write_csv(tmp_path / "metrics.csv"))
    assert [r.possible for r in again.rows] == [r.possible for r in table.rows]
    held = [r.truth in r.possible for r in table.rows]
    found = again.summary()["sets"]
    assert (found["promise"], found["held"], found["patients"]) == (0.9, np.mean(held), 40)
    assert (found["low"], found["high"]) == pytest.approx(
        tuple(stats.binomtest(sum(held), 40).proportion_ci(method="exact"))
    )
    assert "sets" not in binary().summary()


def test_an_exact_share_has_ends() -> None:
    assert np.isnan(exact_share(0, 0)).all()
    assert exact_share(10, 10)[1] == 1
    assert exact_share(0, 10)[0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_a_promise_is_kept_on_patients_it_was_not_fitted_to(seed: int) -> None:
    random = np.random.default_rng(seed)
    p = random.dirichlet((1, 1, 1), 600)
    truth = np.array([random.choice(3, p=q) for q in p])
    groups = [n // 2 for n in range(600)]
    sets = check_classes(p, truth, 0.9, groups)
    assert sets is not None
    assert 0.86 < sets.held < 0.95
    assert sets.patients == 300
    assert 1 < sets.size < 3
    errors = np.abs(random.standard_t(3, 600))
    spread = check_errors(errors, 0.9, groups)
    assert spread is not None
    assert 0.86 < spread.held < 0.95
    assert check_errors([1.0, 2.0], 0.9, ["one", "one"]) is None


def test_a_patient_is_held_with_all_cases() -> None:
    found = check_of([True, False, True], [1, 2, 3], 0.9, ["a", "a", "b"])
    assert (found.held, found.size, found.patients) == (0.5, 2.0, 2)
    assert check_of([True], [np.inf], 0.9).to_dict()["size"] is None


def test_abstaining_gains_where_confidence_orders_the_errors() -> None:
    found = abstention([0.9, 0.8, 0.7, 0.6], [0, 0, 0, 1])
    assert [r["coverage"] for r in found["at"]] == [0.5, 0.75, 1.0]
    assert [r["risk"] for r in found["at"]] == [0, 0, 0.25]
    assert found["area"] == found["best_area"]


def test_the_model_is_one_more_rater() -> None:
    random = np.random.default_rng(0)
    grade = random.integers(1, 6, 50)
    scores = [[int(np.clip(g + random.integers(-1, 2), 1, 5)) for _ in range(4)] for g in grade]
    scores[0][1] = None  # type: ignore[call-overload]
    rule = lambda s: None if s is None or s == 3 else ("low" if s < 3 else "high")
    classes = [[rule(s) for s in row] for row in scores]
    truth = ["low" if g < 3 else "high" for g in grade]
    answers = ["high" if g > 1 else "low" for g in grade]
    found = rater_agreement(scores, classes, truth, answers, [f"p{n}" for n in range(50)])
    numbers = np.array([[np.nan if s is None else s for s in row] for row in scores], dtype=float)
    expected = krippendorff.alpha(reliability_data=numbers.T, level_of_measurement="interval")
    assert found["scores"]["value"] == pytest.approx(expected)
    low, high = found["scores"]["ci"]
    assert low < expected < high
    code = {None: np.nan, "low": 0.0, "high": 1.0}
    five = np.array([[code[c] for c in (*row, a)] for row, a in zip(classes, answers, strict=True)])
    assert found["classes_with_model"]["value"] == pytest.approx(
        krippendorff.alpha(reliability_data=five.T, level_of_measurement="nominal")
    )
    assert found["model_with_truth"]["value"] < found["classes"]["value"] or found["model_with_truth"]["value"] < 1
    wrong = next(r for r in found["by_outcome"] if r["truth"] != r["answer"])
    places = [n for n in range(50) if truth[n] != answers[n]]
    assert wrong["cases"] == len(places)
    assert wrong["mean_score"] == pytest.approx(np.nanmean(numbers[places]))


def ages(count: int = 60, slope: float = -0.3) -> NumberEvaluation:
    random, rows = np.random.default_rng(1), []
    for n in range(count):
        truth = 20.0 + n
        guess = truth + 5 + slope * (truth - 50) + random.normal(0, 2)
        about = (guess - 8, guess + 8, 1 + n / count, 0.9)
        rows.append(NumberRow(f"c{n}", f"p{n}", "age", truth, float(guess), *about))
    return NumberEvaluation(rows)


def test_the_gap_is_freed_from_the_age(tmp_path: Path) -> None:
    table = ages()
    gap = table.summary()["targets"]["age"]["gap"]
    assert gap["slope"] == pytest.approx(-0.3, abs=0.03)
    assert gap["sd"] > 5 > 2.5 > gap["sd_corrected"] > 1.5
    truth = [r.truth for r in table.rows]
    corrected = corrected_gaps(table.rows)
    assert abs(stats.pearsonr(truth, list(corrected.values())).statistic) < 0.1
    assert np.isnan(list(corrected_gaps(table.rows[:3]).values())).all()
    again = NumberEvaluation.read_csv(table.write_csv(tmp_path / "metrics.csv"))
    assert again.rows[7].sd == pytest.approx(table.rows[7].sd, rel=1e-5)
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0].endswith("gap,gap_corrected")
    assert float(lines[8].split(",")[-2]) == pytest.approx(table.rows[7].gap, abs=1e-4)


def test_errors_of_stated_bands_have_intervals() -> None:
    truth, guess = np.arange(40.0), np.arange(40.0) + np.repeat([1, 2, 4, 8], 10)
    bands = error_by_band(truth, guess, (0, 10, 20, 100))
    assert [(b["from"], b["to"], b["n"], b["mae"]["value"]) for b in bands] == [
        (0, 10, 10, 1),
        (10, 20, 10, 2),
        (20, 100, 20, 6),
    ]
    assert bands[2]["mae"]["ci"][0] < 6 < bands[2]["mae"]["ci"][1]
    assert sum(b["n"] for b in error_by_band(truth, guess)) == 40


def test_intervals_and_doubt_are_judged() -> None:
    found = ages().summary()["targets"]["age"]
    held = [r.low <= r.truth <= r.high for r in ages().rows]
    assert found["interval"]["held"] == np.mean(held)
    assert found["interval"]["promise"] == 0.9
    assert found["abstention"]["at"][-1]["risk"] == pytest.approx(found["mae"]["value"])


def test_findings_have_figures_and_come_back(tmp_path: Path) -> None:
    random, rows = np.random.default_rng(0), []
    for n in range(40):
        for finding, there in (("fluid", n % 2 == 0), ("tear", n % 4 == 0)):
            if finding == "tear" and n > 30:
                continue  # not known
            p = float(1 / (1 + np.exp(-(2.0 * there - 1 + random.normal()))))
            rows.append(FindingRow(f"c{n}", f"p{n // 2}", finding, there, p))
    table = FindingEvaluation(("fluid", "tear"), rows)
    found = table.summary()
    assert found["counts"] == {"fluid": 20, "tear": 8}
    assert found["known"] == {"fluid": 40, "tear": 31}
    single = table.of("tear").summary()
    assert found["auc"]["tear"] == single["auc"]["all"]
    assert found["sensitivity"]["tear"] == single["sensitivity"]["tear"]
    mean = np.mean([found["auc"][name]["value"] for name in ("fluid", "tear")])
    assert found["auc"]["all"]["value"] == pytest.approx(mean)
    again = FindingEvaluation.read_csv(table.write_csv(tmp_path / "metrics.csv"))
    assert again.findings == table.findings
    assert [r.truth for r in again.rows] == [r.truth for r in table.rows]


def test_the_benchmark_of_promises_in_small() -> None:
    from benchmarks.conformal import coverage_of_intervals, coverage_of_sets

    sets = [coverage_of_sets(n, 60, 0.9)[0] for n in range(30)]
    intervals = [coverage_of_intervals(n, 60, 0.9) for n in range(30)]
    assert 0.88 < np.mean(sets) < 0.94  # 55 of 61 by the rank of the limit, plus chance
    assert 0.88 < np.mean(intervals) < 0.94
