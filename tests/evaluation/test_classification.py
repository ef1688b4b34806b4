"""Figures of classes against scikit-learn, tables that come back, verdicts per patient, calibration, conformal sets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from voxloom.errors import BadInput
from voxloom.evaluation.classification import ClassEvaluation, ClassRow, decision_curve, per_patient
from voxloom.evaluation.conformal import class_scores, class_set, quantile
from voxloom.evaluation.probabilities import at_temperature, brier, fit_temperature, reliability
from voxloom.evaluation.regression import NumberEvaluation, NumberRow


def evaluation(n: int = 90, seed: int = 0, classes: tuple[str, ...] = ("a", "b", "c")) -> ClassEvaluation:
    random = np.random.default_rng(seed)
    found = ClassEvaluation(classes)
    for k in range(n):
        truth = k % len(classes)
        logits = random.normal(size=len(classes))
        logits[truth] += 1.2
        p = np.exp(logits) / np.exp(logits).sum()
        found.add(ClassRow(f"case{k}", f"p{k // 2}", classes[truth], tuple(p.tolist())))
    return found


def test_figures_are_scikit_learns() -> None:
    found = evaluation()
    figures, truth, p = found.summary(), found.truth, found.probabilities
    guess = p.argmax(axis=1)
    assert figures["accuracy"]["all"]["value"] == pytest.approx(metrics.accuracy_score(truth, guess))
    assert figures["balanced_accuracy"]["all"]["value"] == pytest.approx(metrics.balanced_accuracy_score(truth, guess))
    assert figures["mcc"]["all"]["value"] == pytest.approx(metrics.matthews_corrcoef(truth, guess))
    assert figures["auc"]["all"]["value"] == pytest.approx(metrics.roc_auc_score(truth, p, multi_class="ovr"))
    f1 = metrics.f1_score(truth, guess, average=None)
    recall = metrics.recall_score(truth, guess, average=None)
    for n, name in enumerate(found.classes):
        assert figures["f1"][name]["value"] == pytest.approx(f1[n])
        assert figures["sensitivity"][name]["value"] == pytest.approx(recall[n])
        expected = metrics.average_precision_score(truth == n, p[:, n])
        assert figures["average_precision"][name]["value"] == pytest.approx(expected)
    assert (found.confusion() == metrics.confusion_matrix(truth, guess)).all()
    assert figures["brier"]["all"]["value"] == pytest.approx(brier(p, truth))
    low, high = figures["accuracy"]["all"]["ci"]
    assert low < figures["accuracy"]["all"]["value"] < high


def test_the_table_comes_back(tmp_path: Path) -> None:
    found = evaluation(12)
    again = ClassEvaluation.read_csv(found.write_csv(tmp_path / "metrics.csv"))
    assert again.classes == found.classes
    assert [row.truth for row in again.rows] == [row.truth for row in found.rows]
    np.testing.assert_allclose(again.probabilities, found.probabilities, rtol=1e-5)
    (tmp_path / "other.csv").write_text("case,dice\na,1\n")
    with pytest.raises(BadInput, match="not a table of classes"):
        ClassEvaluation.read_csv(tmp_path / "other.csv")


def test_any_positive_finding_makes_a_patient_positive() -> None:
    found = ClassEvaluation(("benign", "malignant"))
    for case, patient, truth, p in (
        ("1", "x", "benign", 0.2), ("2", "x", "malignant", 0.9), ("3", "y", "benign", 0.6), ("4", "y", "benign", 0.1),
    ):  # fmt: skip
        found.add(ClassRow(case, patient, truth, (1 - p, p)))
    whole = per_patient(found)
    assert [(r.case, r.truth, r.probabilities[1]) for r in whole.rows] == [
        ("x", "malignant", 0.9),
        ("y", "benign", 0.6),
    ]


def test_temperature_undoes_overconfidence() -> None:
    random = np.random.default_rng(0)
    honest = random.dirichlet((1, 1, 1), 4000)
    truth = np.array([random.choice(3, p=p) for p in honest])
    sharp = at_temperature(honest, 0.4)
    assert fit_temperature(sharp, truth) == pytest.approx(1 / 0.4, rel=0.1)
    mended = at_temperature(sharp, fit_temperature(sharp, truth))
    assert reliability(mended, truth).error < 0.03 < 0.1 < reliability(sharp, truth).error
    everything_right = np.eye(3)[truth] * 0.4 + 0.2
    assert fit_temperature(everything_right, truth) >= 1.0


def test_conformal_sets_keep_their_promise_over_500_repeats() -> None:
    random, held = np.random.default_rng(0), []
    for _ in range(500):
        logits = random.normal(size=(140, 3)) * 1.5
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        truth = np.array([random.choice(3, p=row) for row in p])
        limit = quantile(class_scores(p[:99], truth[:99]), 0.9)
        held += [t in class_set(row.tolist(), limit) for row, t in zip(p[99:], truth[99:], strict=True)]
    assert 0.89 <= np.mean(held) <= 0.92


def test_too_few_patients_rule_nothing_out() -> None:
    scores = [0.1, 0.2, 0.3, 0.4]
    assert math.isinf(quantile(scores, 0.9))
    assert class_set([0.7, 0.2, 0.1], math.inf) == (0, 1, 2)
    many = [float(n) for n in range(40)]
    assert quantile(many, 0.9) == 36.0  # rank ceil(41 * 0.9) = 37
    assert math.isinf(quantile(many, 0.9, groups=[n // 10 for n in range(40)]))  # four patients


def test_net_benefit_of_a_perfect_model_is_the_prevalence() -> None:
    truth = np.array([True, False, False, True])
    curve = decision_curve(truth, truth.astype(float), [0.2, 0.5])
    assert [b for _, b, _ in curve] == [0.5, 0.5]
    assert curve[1][2] == pytest.approx(0.0)


def test_numbers() -> None:
    random = np.random.default_rng(0)
    truth = random.uniform(20, 80, 60)
    guess = 50 + 0.8 * (truth - 50) + random.normal(0, 3, 60)
    rows = [
        NumberRow(f"c{n}", f"p{n}", "age", t, g, g - 8, g + 8)
        for n, (t, g) in enumerate(zip(truth, guess, strict=True))
    ]
    figures = NumberEvaluation(rows).summary()["targets"]["age"]
    assert figures["mae"]["value"] == pytest.approx(np.abs(guess - truth).mean())
    assert figures["r2"]["value"] == pytest.approx(metrics.r2_score(truth, guess))
    assert figures["mae_of_mean"] == pytest.approx(np.abs(truth - truth.mean()).mean())
    assert figures["bands"][0]["bias"] > 0 > figures["bands"][-1]["bias"]  # drawn to the middle
    assert figures["interval"]["held"] == pytest.approx(np.mean(np.abs(guess - truth) <= 8))
    low, high = figures["limits"]
    assert low < figures["bias"]["value"] < high


def test_numbers_come_back(tmp_path: Path) -> None:
    found = NumberEvaluation([NumberRow("a", "p", "age", 30.0, 31.5)])
    (row,) = NumberEvaluation.read_csv(found.write_csv(tmp_path / "m.csv")).rows
    assert (row.truth, row.prediction) == (30.0, 31.5)
    assert math.isnan(row.low)


def test_all_right_is_not_known_for_sure() -> None:
    rows = [ClassRow(f"c{n}", f"p{n}", "ab"[n % 2], (0.9, 0.1) if n % 2 == 0 else (0.1, 0.9)) for n in range(10)]
    found = ClassEvaluation(("a", "b"), rows).summary()
    assert found["accuracy"]["all"]["value"] == 1
    assert found["accuracy"]["all"]["ci"] == pytest.approx([0.05 ** (1 / 10), 1])
    assert found["sensitivity"]["b"]["ci"] == pytest.approx([0.05 ** (1 / 5), 1])
    assert all(math.isnan(end) for end in found["f1"]["b"]["ci"])
