"""Landmark figures by hand, the exact McNemar test, calibration, risk over coverage, trends and annotators."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from voxloom.errors import BadInput
from voxloom.evaluation.learning import learning_trend
from voxloom.evaluation.point_tests import calibrate, compare_annotators, compare_points
from voxloom.evaluation.points import PointEvaluation, score_points
from voxloom.evaluation.selective import risk_coverage
from voxloom.evaluation.statistics import mcnemar
from voxloom.points import Point

TRUTH = [Point("L1", "left", (0, 0, 60)), Point("L2", "left", (0, 0, 30)), Point("L3", "left", (0, 0, 0))]


def test_outcomes_and_distances() -> None:
    predicted = [
        Point("L1", "left", (4, 0, 63), 0.9),  # 4 mm across, 3 mm in the slice
        Point("L2", "left", (0, 4, 3), 0.8),  # nearer to L3: one level off
        Point("L5", "left", (0, 0, -60), 0.7),  # not in the truth
    ]
    rows = {(r.name, r.outcome): r for r in score_points("a", predicted, TRUTH)}
    found = rows["L1", "found"]
    assert (found.dx, found.in_plane, found.distance, found.confidence) == (4, 3, 5, 0.9)
    assert rows["L2", "shifted"].distance == pytest.approx(math.hypot(4, 27))
    assert math.isnan(rows["L3", "missed"].distance)
    assert ("L5", "invented") in rows
    figures = PointEvaluation(rows.values()).summary()
    assert figures["all"]["points"] == 3
    assert [figures["all"][k] for k in ("found", "missed", "shifted", "invented")] == [1, 1, 1, 1]
    assert figures["all"]["recall"] == pytest.approx(1 / 3)  # over all true points
    assert figures["all"]["recall_3d"] == pytest.approx(1 / 3)
    assert figures["all"]["in_plane_mean"] == pytest.approx((3 + math.hypot(4, 27)) / 2)  # over predicted points
    assert figures["levels"]["L3"]["missed"] == 1
    assert (figures["shifted_cases"], figures["invented_cases"]) == (1, 1)


def test_a_row_that_is_moved_as_a_whole_is_at_a_wrong_level_from_its_first_to_its_last() -> None:
    """L1 at the place of T12, and L3 one step below: no true landmark lies there, but the neighbors tell how long a step is."""
    for step, wrong in ((31, 3), (-31, 3), (14, 0), (16, 3)):
        moved = [Point(p.name, p.side, (p.position[0], p.position[1], p.position[2] + step)) for p in TRUTH]
        outcomes = [row.outcome for row in score_points("a", moved, TRUTH)]
        assert outcomes.count("shifted") == wrong, step
    alone = score_points("a", [Point("L1", "left", (0, 0, 160))], TRUTH[:1])
    assert [row.outcome for row in alone] == ["found"]


def test_marks_are_averaged_and_the_normal_decides_what_lies_in_the_slice() -> None:
    truth = [Point("L1", "", (-4, 0, 0)), Point("L1", "", (4, 0, 0))]
    (row,) = score_points("a", [Point("L1", "", (3, 4, 0))], truth)
    assert (row.dx, row.in_plane, row.distance) == (3, 4, 5)
    (axial,) = score_points("a", [Point("L1", "", (3, 4, 0))], truth, normal=(0, 2, 0))
    assert (axial.dx, axial.in_plane) == (4, pytest.approx(3))


def test_the_table_is_read_back(tmp_path: Path) -> None:
    evaluation = PointEvaluation(score_points("fall ä", TRUTH[:2], TRUTH), within=3)
    again = PointEvaluation.read_csv(evaluation.write_csv(tmp_path / "m.csv"), within=3)
    assert str(again.summary()) == str(evaluation.summary())
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadInput, match="scored points"):
        PointEvaluation.read_csv(tmp_path / "other.csv")


def test_exact_mcnemar() -> None:
    a = [True] * 40 + [True] * 9 + [False] * 2 + [False] * 5
    b = [True] * 40 + [False] * 9 + [True] * 2 + [False] * 5
    test = mcnemar(a, b)
    assert (test.both, test.only_a, test.only_b, test.neither) == (40, 9, 2, 5)
    assert test.p == pytest.approx(reference_mcnemar([[40, 9], [2, 5]], exact=True).pvalue)
    assert test.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert mcnemar([True, False], [True, False]).p == 1.0


def test_two_runs_are_compared_on_the_same_landmarks_only() -> None:
    good = PointEvaluation(score_points("a", TRUTH, TRUTH))
    bad = PointEvaluation(score_points("a", [], TRUTH))
    test = compare_points(good, bad)
    assert (test.only_a, test.only_b) == (3, 0)
    assert test.p == 1.0, "three points of one patient are one patient"
    several = [
        PointEvaluation([row for case in "abc" for row in score_points(case, found, TRUTH)]) for found in (TRUTH, [])
    ]
    assert compare_points(*several).p == pytest.approx(0.25)
    assert compare_points(*several, patients={"a": "x", "b": "x"}).p == pytest.approx(0.5)
    with pytest.raises(BadInput, match="1 landmarks were scored in one of the two only, L3"):
        compare_points(good, PointEvaluation(score_points("a", [], TRUTH[:2])))


def test_calibrated_confidences_tell_how_often_points_are_right() -> None:
    random = np.random.default_rng(1)
    raw = random.uniform(0.02, 0.98, 3000)
    chance = 1 / (1 + np.exp(-(2.0 * np.log(raw / (1 - raw)) - 1.0)))
    right = random.random(3000) < chance
    fitted = calibrate(raw.tolist(), right.tolist())
    assert fitted.slope == pytest.approx(2.0, abs=0.2)
    assert fitted.offset == pytest.approx(-1.0, abs=0.2)
    assert np.mean([fitted(c) for c in raw]) == pytest.approx(right.mean(), abs=0.01)
    always = calibrate([0.9] * 5, [True] * 5)
    assert 0.7 < always(0.9) < 0.95  # five points do not make certainty
    assert calibrate([], [])(0.3) == pytest.approx(0.3)


def test_risk_falls_as_unsure_points_are_left_out() -> None:
    curve = risk_coverage([0.9, 0.8, 0.8, 0.1], [0, 0, 1, 1])
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 1 / 4, 1 / 3, 0.5])


def test_the_trend_of_a_learning_curve_is_recovered() -> None:
    sizes = [10, 25, 50, 100, 200, 400]
    trend = learning_trend(sizes, [2.0 + 30 * n**-0.7 for n in sizes])
    assert trend.floor == pytest.approx(2.0, abs=0.05)
    assert trend.rate == pytest.approx(0.7, abs=0.02)
    assert trend(800) == pytest.approx(2.0 + 30 * 800**-0.7, abs=0.02)
    with pytest.raises(BadInput, match="three training-set sizes"):
        learning_trend([1, 2, 2], [3, 2, 2])
    with pytest.raises(BadInput, match="undefined"):
        learning_trend([1, 2, 3], [3, math.nan, 2])


def test_two_annotators() -> None:
    affine = np.diag([4.0, 1.0, 1.0, 1.0])
    a = {"s": [Point("L1", "left", (8, 0, 0)), Point("L1", "left", (12, 0, 0)), Point("L2", "left", (8, 0, -30))]}
    b = {"s": [Point("L1", "left", (12, 3, 0)), Point("L1", "left", (16, 3, 0))]}
    first, second = compare_annotators(a, b, {"s": affine})
    assert first["distance"] == pytest.approx(5.0)
    assert (first["slices_a"], first["slices_b"], first["slices_both"]) == (2, 2, 1)
    assert first["overlap"] == pytest.approx(1 / 3)
    assert second["missing"] == "b"
    assert math.isnan(second["distance"])
