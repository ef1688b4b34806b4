"""Robustness: hand-computed spread over cases and folds."""

from __future__ import annotations

import pytest

from voxloom.evaluation import Evaluation, MaskMetrics, robustness
from voxloom.evaluation.metrics import METRICS


def scored(prefix: str, *dice: tuple[float, float]) -> Evaluation:
    evaluation = Evaluation(["a", "b"])
    for n, pair in enumerate(dice):
        rows = {
            label: MaskMetrics(**{**dict.fromkeys(METRICS, 0.0), "dice": value}, kind="ok")
            for label, value in zip("ab", pair, strict=True)
        }
        evaluation.add(f"{prefix}{n}", rows)
    return evaluation


def test_spread_over_cases_and_folds() -> None:
    folds = {"fold_0": scored("x", (0.8, 0.6), (0.6, 0.6)), "fold_1": scored("y", (0.9, 0.7), (0.9, 0.7))}
    found = robustness(folds)
    assert found["a"]["mean"] == pytest.approx(0.8)
    assert found["a"]["folds"] == {"fold_0": pytest.approx(0.7), "fold_1": pytest.approx(0.9)}
    assert found["a"]["sd_folds"] == pytest.approx(0.02**0.5)
    assert found["a"]["sd_cases"] == pytest.approx((0.06 / 3) ** 0.5)
    assert found["mean"]["folds"]["fold_0"] == pytest.approx(0.65)
