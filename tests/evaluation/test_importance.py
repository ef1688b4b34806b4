"""Importance of settings: against formulas by hand and the published search; learning curves of a table of runs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxloom.errors import BadInput
from voxloom.evaluation.importance import best_rows, importance
from voxloom.evaluation.learning import learning_curve

#: Of the 20 best of 51 random draws those that can be read: Dice, channels, keep, rate, patch (Lamerigts 2017, figure A.1).
HEAD = ("dice", "channels", "keep", "rate", "patch")
BEST = """72.75 16 .95 .001 385|71.48 13 .75 .0004 321|68.98 12 .85 .001 353|67.75 8 .9 .004 289|67.61 13 .9 .004 385
67.57 9 .9 .0004 449|64.34 12 .75 .0004 193|63.14 2 .85 .0004 289|62.63 8 .8 .01 449|60.36 11 .5 .01 417
59.35 13 .75 .001 225|59.22 8 .95 .0004 417|59.18 2 .85 .004 417|58.13 8 .45 .0004 321|57.76 16 .5 .0004 321
57.62 5 .95 .001 417|57.49 4 .6 .0004 481|57.42 4 .75 .001 353|56.77 15 1.0 .0004 353"""
PUBLISHED = [dict(zip(HEAD, map(float, line.split()), strict=True)) for line in BEST.replace("\n", "|").split("|")]


def test_one_factor_is_the_textbook_regression() -> None:
    x, y = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 2.9, 4.2, 4.8, 6.1])
    found = importance([{"x": a, "y": b} for a, b in zip(x, y, strict=True)], ["x"], "y")
    (weight,) = found.weights
    slope = ((x - 3) * (y - 4)).sum() / 10  # 10.1 / 10
    residual = y - 4 - slope * (x - 3)
    error = math.sqrt((residual**2).sum() / 3 / 10)
    assert weight.coefficient == pytest.approx(slope)
    assert weight.error == pytest.approx(error)
    assert weight.standardized == pytest.approx(slope * math.sqrt(2.5))
    t = slope / error  # of Student's t with 3 degrees of freedom, whose distribution is known in closed form
    inside = 2 / math.pi * (t / math.sqrt(3) / (1 + t * t / 3) + math.atan(t / math.sqrt(3)))
    assert weight.p == pytest.approx(1 - inside, rel=1e-6)
    assert found.r2 == pytest.approx(1 - (residual**2).sum() / ((y - 4) ** 2).sum())


def test_several_factors_agree_with_the_normal_equations() -> None:
    factors = ["channels", "keep", "rate", "patch"]
    found = importance(PUBLISHED, factors, "dice", log=["rate"])
    x = np.array([[1, r["channels"], r["keep"], math.log10(r["rate"]), r["patch"]] for r in PUBLISHED])
    y = np.array([r["dice"] for r in PUBLISHED])
    b = np.linalg.solve(x.T @ x, x.T @ y)
    residual = y - x @ b
    errors = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * (residual**2).sum() / (len(y) - 5))
    by_name = {w.factor: w for w in found.weights}
    for n, name in enumerate(["channels", "keep", "log10(rate)", "patch"], start=1):
        assert by_name[name].coefficient == pytest.approx(b[n])
        assert by_name[name].error == pytest.approx(errors[n])
    assert [abs(w.standardized) for w in found.weights] == sorted(abs(w.standardized) for w in found.weights)[::-1]
    assert best_rows(PUBLISHED, "dice", 3)[0]["dice"] == 72.75
    assert best_rows(PUBLISHED, "dice", 1, largest=False)[0]["dice"] == 56.77


def test_words_become_levels_and_what_never_varied_is_named() -> None:
    rows = [{"net": net, "same": 3, "y": y} for net, y in zip("aabbcc", (1.0, 1.2, 2.0, 2.2, 4.0, 4.2), strict=True)]
    found = importance([*rows, {"net": "a", "same": 3}], ["net", "same"], "y")
    assert {w.factor: round(w.coefficient, 6) for w in found.weights} == {"net = b": 1.0, "net = c": 3.0}
    assert found.constant == ("same",)
    assert (found.runs, found.missing) == (6, 1)


@pytest.mark.parametrize(
    ("factors", "log", "says"),
    [
        (["kind"], [], "there is no column `kind`"),
        (["x"], ["x"], "without a logarithm"),
        (["x", "twice"], [], "vary together"),
        (["x", "twice", "z", "w"], [], "cannot explain"),
    ],
)
def test_what_cannot_be_regressed_is_refused(factors: list[str], log: list[str], says: str) -> None:
    rows = [{"x": n, "twice": 2 * n, "z": n * n, "w": n**3, "y": float(n % 3)} for n in range(5)]
    with pytest.raises(BadInput, match=says):
        importance(rows, factors, "y", log=log)


def test_a_learning_curve_is_read_from_a_table_of_runs() -> None:
    rows = [{"n": n, "recall": 1 - (0.02 + 0.5 * n**-0.8), "run": k} for n in (5, 10, 20, 40) for k in "ab"]
    curve = learning_curve([*rows, {"n": 80, "run": "failed", "recall": math.nan}], "n", "recall")
    assert [(n, runs) for n, runs, _ in curve.by_size()] == [(5, 2), (10, 2), (20, 2), (40, 2)]
    assert curve.trend.floor == pytest.approx(0.02, abs=2e-3)
    assert curve.to_dict()["twice"] == {"size": 80, "error": pytest.approx(0.02 + 0.5 * 80**-0.8, abs=2e-3)}
    falling = learning_curve([{"n": n, "mm": 2 + 30 / n} for n in (5, 10, 20)], "n", "mm", largest=False)
    assert falling.errors == (8.0, 5.0, 3.5)
    with pytest.raises(BadInput, match="exceeds 1"):
        learning_curve([{"n": n, "mm": 2 + 30 / n} for n in (5, 10, 20)], "n", "mm")
    with pytest.raises(BadInput, match="too few"):
        learning_curve([{"n": n, "r": 0.5} for n in (5, 10)], "n", "r")
    with pytest.raises(BadInput, match="not a number"):
        learning_curve([{"n": "many", "r": 0.5}], "n", "r")
