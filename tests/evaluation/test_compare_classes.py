"""Two tables of classes, findings or numbers: differences that are known, tests against their definitions, refusals."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from voxloom.cli.app import run
from voxloom.errors import BadInput
from voxloom.evaluation.auc import auc, auc_difference, compare_aucs
from voxloom.evaluation.classification import ClassEvaluation, ClassRow, f1
from voxloom.evaluation.compare_classes import CLASSES
from voxloom.evaluation.compare_numbers import NUMBERS
from voxloom.evaluation.findings import FindingEvaluation, FindingRow
from voxloom.evaluation.regression import NumberEvaluation, NumberRow
from voxloom.evaluation.statistics import mcnemar, swapped
from voxloom.verbs.compare import compare_runs

CASES = [f"c{n}" for n in range(60)]


def classes(gap: float, seed: int, names: tuple[str, ...] = ("benign", "malignant"), per: int = 1) -> ClassEvaluation:
    random = np.random.default_rng(seed)
    found = ClassEvaluation(names)
    for n, case in enumerate(CASES):
        logits = random.normal(size=len(names))
        logits[n % len(names)] += gap
        p = np.exp(logits) / np.exp(logits).sum()
        found.add(ClassRow(case, f"p{n // per}", names[n % len(names)], tuple(p.tolist())))
    return found


def numbers(error: float, seed: int) -> NumberEvaluation:
    random = np.random.default_rng(seed)
    return NumberEvaluation(
        NumberRow(case, case, "age", 20.0 + n, 20.0 + n + float(random.normal(0, error)))
        for n, case in enumerate(CASES)
    )


def test_auc_is_delongs_and_its_interval_is_the_tests() -> None:
    one, other = classes(0.4, 0), classes(3.0, 1)
    found = CLASSES.pair(one, other, "auc", "malignant", ["malignant"], CASES)
    scores = [t.probabilities[:, 1] for t in (one, other)]
    assert (found.reference, found.value) == tuple(auc(one.truth, s) for s in scores)
    outcome, interval = compare_aucs(one.truth, *scores), auc_difference(one.truth, *scores)
    assert found.test.p == pytest.approx(outcome.p)
    assert outcome.p < 0.05
    assert interval.low > 0
    assert outcome.statistic > 0
    assert interval.low < interval.value < interval.high


def test_accuracy_is_mcnemars_and_patients_count_once() -> None:
    one, other = classes(0.5, 2), classes(2.5, 3)
    right = [(t.probabilities.argmax(1) == t.truth).tolist() for t in (other, one)]
    found = CLASSES.pair(one, other, "accuracy", "all", ["all"], CASES)
    assert found.test == mcnemar(*right).outcome
    assert found.difference.value == pytest.approx(np.mean(right[0]) - np.mean(right[1]))
    grouped = mcnemar(*right, groups=[n // 6 for n in range(60)]).outcome
    net = [sum(right[0][n : n + 6]) - sum(right[1][n : n + 6]) for n in range(0, 60, 6)]
    signs = [abs(np.dot(s, net)) >= abs(sum(net)) for s in itertools.product((-1, 1), repeat=10)]
    assert grouped.p == pytest.approx(np.mean(signs))
    assert grouped.n == 10
    single = mcnemar(*right, groups=list(range(60)))
    assert single.p == pytest.approx(mcnemar(*right).p)


def test_sensitivity_asks_the_cases_of_the_class_only() -> None:
    one, other = classes(0.5, 2), classes(2.5, 3)
    found = CLASSES.pair(one, other, "sensitivity", "malignant", ["malignant"], CASES)
    figures = [t.summary()["sensitivity"]["malignant"]["value"] for t in (one, other)]
    assert (found.cases, found.reference, found.value) == (30, *figures)


def test_figures_of_many_cases_are_tested_by_exchange() -> None:
    one, other = classes(0.2, 4), classes(2.5, 5)
    found = CLASSES.pair(one, other, "f1", "malignant", ["malignant"], CASES)
    assert found.difference.low > 0
    assert found.test.p < 0.05
    truth, guess = one.truth == 1, one.probabilities[:, 1] > 0.5
    assert swapped(f1, truth, guess, guess).p == 1.0


def test_several_classes_are_compared_together_and_one_by_one() -> None:
    names = ("a", "b", "c")
    one, other = classes(0.5, 6, names), classes(2.0, 7, names)
    labels, _ = CLASSES.labels({"A": one, "B": other}, "auc")
    assert labels == ["all", "a", "b", "c"]
    found = CLASSES.pair(one, other, "auc", "all", labels, CASES)
    assert found.value == pytest.approx(other.summary()["auc"]["all"]["value"])
    turned = ClassEvaluation(
        names[::-1], [ClassRow(r.case, r.patient, r.truth, r.probabilities[::-1]) for r in other.rows]
    )
    assert CLASSES.pair(one, turned, "auc", "b", labels, CASES) == CLASSES.pair(one, other, "auc", "b", labels, CASES)
    with pytest.raises(BadInput, match="B tells apart benign, malignant, not a, b, c"):
        CLASSES.labels({"A": one, "B": classes(1, 0)}, "auc")


def test_a_case_of_another_class_is_refused() -> None:
    one, other = classes(1, 0), classes(1, 1)
    other.rows[3] = ClassRow("c3", "p3", "benign", (0.5, 0.5))
    with pytest.raises(BadInput, match="case c3 is malignant in one run and benign in another"):
        CLASSES.pair(one, other, "auc", "malignant", ["malignant"], CASES)


def test_findings_are_questions_of_their_own() -> None:
    tables = []
    for gap, seed in ((0.3, 0), (3.0, 1)):
        random, rows = np.random.default_rng(seed), []
        for n, case in enumerate(CASES):
            for finding, there in (("fluid", n % 2 == 0), ("tear", n % 3 == 0)):
                p = 1 / (1 + np.exp(-(gap * (2 * there - 1) + random.normal())))
                rows.append(FindingRow(case, case, finding, there, float(p)))
        tables.append(FindingEvaluation(("fluid", "tear"), rows))
    labels, _ = CLASSES.labels(dict(zip("AB", tables, strict=True)), "auc")
    assert labels == ["fluid", "tear"]
    for label in labels:
        found = CLASSES.pair(*tables, "auc", label, labels, CASES)
        assert found.difference.low > 0
        assert found.value == pytest.approx(tables[1].summary()["auc"][label]["value"])


def test_errors_of_numbers_are_paired() -> None:
    one, other = numbers(8, 0), numbers(2, 1)
    found = NUMBERS.pair(one, other, "mae", "age", ["age"], CASES)
    assert found.difference.high < 0
    assert found.test.p < 0.001
    explained = NUMBERS.pair(one, other, "r2", "age", ["age"], CASES)
    assert explained.difference.low > 0
    assert explained.test.p < 0.01
    other.rows[5] = NumberRow("c5", "c5", "age", 99.0, 3.0)
    with pytest.raises(BadInput, match="case c5 has a true age of 25 and of 99"):
        NUMBERS.pair(one, other, "mae", "age", ["age"], CASES)


@pytest.mark.drawn
def test_from_files_to_a_sentence_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, table in {"A": classes(0.4, 0), "B": classes(3.0, 1)}.items():
        table.write_csv(tmp_path / name / "metrics.csv")
    for name, ages in {"C": numbers(8, 0), "D": numbers(2, 1)}.items():
        ages.write_csv(tmp_path / name / "metrics.csv")
    found = compare_runs([tmp_path / "A", tmp_path / "B"])
    assert found.metric == "auc"
    assert found.conclusions[0].startswith("B is better than A by ")
    assert " AUC points [" in found.conclusions[0]
    ages = compare_runs([tmp_path / "C", tmp_path / "D"])
    assert ages.conclusions[0].startswith("mae is smaller with D than with C: -")
    with pytest.raises(BadInput, match="figures of another kind"):
        compare_runs([tmp_path / "A", tmp_path / "C"])
    with pytest.raises(BadInput, match="no metric 'dice'"):
        compare_runs([tmp_path / "A", tmp_path / "B"], metric="dice")
    line = ["compare", str(tmp_path / "A"), str(tmp_path / "B"), "-o", str(tmp_path / "out"), "--json"]
    assert run(line) == 0
    assert json.loads(capsys.readouterr().out)["differences"][0]["test"].startswith("DeLong")
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "DeLong&#39;s interval" in page
    assert (tmp_path / "out" / "figures" / "malignant_auc_curves.png").is_file()
    assert run([*line[:-1], "--metric", "brier"]) == 0
