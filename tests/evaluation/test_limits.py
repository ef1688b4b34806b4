"""Intervals of means stay where the metric can be."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxloom.dataset import Label, Labels
from voxloom.evaluation import Evaluation, evaluate_case
from voxloom.evaluation.limits import ANYTHING, LIMITS, NOT_NEGATIVE, SHARE, limits_of
from voxloom.evaluation.scores import CLASS_SCORES, MASK_SCORES, NUMBER_SCORES, POINT_SCORES
from voxloom.evaluation.statistics import Estimate, mean_estimate
from voxloom.evaluation.subgroups import fairness
from voxloom.evaluation.summary import summarize
from voxloom.volume import Volume

#: Five patients, one of whom failed: Student's interval of their mean ends above 1.
FAILED = [0.93, 0.92, 0.91, 0.94, 0.45]


def test_every_metric_has_limits() -> None:
    assert set(LIMITS) == {*MASK_SCORES, *POINT_SCORES, *CLASS_SCORES, *NUMBER_SCORES}
    assert limits_of("package.module:METRIC") == ANYTHING


@pytest.mark.parametrize(("limits", "ends"), [(SHARE, (0.0, 1.0)), (NOT_NEGATIVE, (0.0, 1.5)), (ANYTHING, (-0.5, 1.5))])
def test_an_interval_is_cut_off(limits: tuple[float, float], ends: tuple[float, float]) -> None:
    found = Estimate(0.5, -0.5, 1.5).within(limits)
    assert (found.value, found.low, found.high) == (0.5, *ends)


def test_none_stays_none() -> None:
    found = Estimate(0.5, math.nan, math.nan).within(SHARE)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_mean_dice_has_no_interval_beyond_1() -> None:
    assert mean_estimate(FAILED).high > 1
    assert summarize(FAILED, None, limits_of("dice"))["ci"][1] == 1
    (by_site,) = fairness(FAILED, list("abcde"), {"site": ["x"] * 5}, limits=SHARE)
    assert by_site.groups[0].mean.high == 1


def test_nor_has_a_table_of_cases() -> None:
    """Five patients, in one of whom the organ was missed."""
    organ = Volume(np.pad(np.ones((1, 4, 4, 4), np.uint8), ((0, 0), (2, 2), (2, 2), (2, 2))), np.eye(4))
    labels = Labels((Label("organ", (1,)),))
    evaluation = Evaluation(labels.names)
    for n in range(5):
        found = organ.with_data(organ.data * (n > 0))
        evaluation.add(f"c{n}", evaluate_case(found, organ, labels), patient=f"p{n}")
    summary = evaluation.summary()
    assert summary["dice"]["organ"]["mean"] == pytest.approx(0.8)
    assert summary["dice"]["organ"]["ci"][1] == summary["precision"]["organ"]["ci"][1] == 1
