"""Predicted Dice and its bound: the promise is checked by simulation, as that of the bootstrap intervals is."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from voxloom.dataset.labels import Label, Labels
from voxloom.errors import BadInput
from voxloom.evaluation.quality import (
    FEATURES,
    QualityModel,
    check_quality,
    fit_quality,
    prediction_features,
)
from voxloom.evaluation.quality.bound import expit, fewest_patients, logits, margin_of, sure_place

STUDIES, NEW = 80, 40
TWO = Labels((Label("a", (1,)), Label("b", (2,))))

Cases = tuple[list[dict[str, float]], np.ndarray, list[str]]


def draw(random: np.random.Generator, patients: int, scans: int = 1) -> Cases:
    """Dice with a tail to the left whose width depends on a feature; scans of a patient share a part of their error."""
    who = np.repeat(np.arange(patients), scans)
    ease, noise = random.normal(size=len(who)), random.normal(size=len(who))
    shared = random.gumbel(size=patients)[who]
    dice = expits(2 + ease - (0.3 + 0.3 * (ease < 0)) * (0.7 * shared + 0.3 * random.gumbel(size=len(who))))
    rows = [{"ease": float(e), "noise": float(n)} for e, n in zip(ease, noise, strict=True)]
    return rows, dice, [str(n) for n in who]


def expits(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def share_kept(fit: Callable[[Cases], QualityModel], patients: int, scans: int, seed: int) -> float:
    """Share of new patients' scans whose true Dice is at least the bound, over many studies."""
    random = np.random.default_rng(seed)
    kept = 0
    for _ in range(STUDIES):
        model = fit(draw(random, patients, scans))
        rows, dice, _ = draw(random, NEW)
        kept += sum(d >= model.predict(row)[1] for row, d in zip(rows, dice, strict=True))
    return kept / (STUDIES * NEW)


def calibrated(cases: Cases) -> QualityModel:
    return fit_quality(cases[0], cases[1].tolist(), cases[2])[0]


def naive(cases: Cases) -> QualityModel:
    """The mistake that the module avoids: residuals of the cases that the regression was fitted on, scan by scan."""
    model = calibrated(cases)
    ones = np.array([[1.0, *row.values()] for row in cases[0]])
    seen = ones @ np.array(model.fit) - logits(cases[1])
    margin = float(np.sort(seen)[int(np.ceil(0.9 * len(seen))) - 1])
    return QualityModel(model.features, 0.9, model.cases, model.patients, model.fit, (model.fit,), margin)


@pytest.mark.parametrize(("patients", "scans"), [(9, 1), (30, 1), (12, 4)])
def test_the_promise_is_kept(patients: int, scans: int) -> None:
    share = share_kept(calibrated, patients, scans, patients)
    assert share >= 0.885, "0.9 less the error of the simulation"
    assert share < 0.995, "a bound that always holds says nothing"


def test_a_bound_with_confidence_holds_for_this_calibration() -> None:
    """The order statistic's share has the distribution Beta(k, n + 1 - k); too few patients are told how many there must be."""
    assert sure_place(29, 0.9, 0.95) == 29
    assert sure_place(28, 0.9, 0.95) is None
    assert fewest_patients(0.9, 0.95) == 58
    below = 0
    for seed in range(25):
        random = np.random.default_rng(seed)
        model, _ = fit_quality(*draw(random, 50), promise=0.9, confidence=0.9)
        rows, dice, _ = draw(random, 200)
        bounds = np.array([model.predict(row)[1] for row in rows])
        below += np.mean(np.asarray(dice) >= bounds) < 0.9
    assert below / 25 <= 0.2
    few, _ = fit_quality(*draw(np.random.default_rng(0), 30), promise=0.9, confidence=0.95)
    assert "needs 58 patients, there are 30" in few.sentence()
    assert QualityModel.from_dict(json.loads(json.dumps(model.to_dict()))) == model
    assert "With 90 % confidence" in model.sentence()


def test_in_sample_residuals_would_break_it() -> None:
    assert share_kept(naive, 12, 1, 0) < 0.885


def test_too_few_patients_give_no_bound() -> None:
    random = np.random.default_rng(3)
    model = calibrated(draw(random, 8, 5))
    assert model.margin is None
    predicted, bound = model.predict({"ease": 0.0, "noise": 0.0})
    assert 0 < predicted < 1
    assert bound == 0
    assert "needs 9 patients, there are 8" in model.sentence()
    assert margin_of([3, 1, 2] * 3, 0.9) == 3
    assert margin_of(range(20), 0.9) == 18  # the 19th smallest: ceil(0.9 * 21)
    assert margin_of(range(8), 0.9) is None
    with pytest.raises(BadInput, match="too few to calibrate"):
        calibrated(draw(random, 2, 5))
    with pytest.raises(BadInput, match="promise"):
        fit_quality([{"x": 0.0}] * 3, [0.5] * 3, ["a", "b", "c"], promise=1)


def test_a_patient_is_left_out_whole() -> None:
    rows, dice, patients = draw(np.random.default_rng(4), 10, 3)
    model, predicted = fit_quality(rows, dice.tolist(), patients)
    assert len(model.left_out) == model.patients == 10
    without = [n for n, who in enumerate(patients) if who != "7"]
    alone, _ = fit_quality([rows[n] for n in without], dice[without].tolist(), [patients[n] for n in without])
    assert np.allclose(model.left_out[7], alone.fit)
    case = patients.index("7")
    assert predicted[case] == pytest.approx(alone.predict(rows[case])[0])
    worst = max(
        max(logit_of(p) - logit_of(d) for p, d, w in zip(predicted, dice, patients, strict=True) if w == who)
        for who in set(patients)
    )
    assert model.margin == pytest.approx(worst), "with ten patients the worst one decides"


def logit_of(dice: float) -> float:
    return float(logits([dice])[0])


def test_json_round_trip() -> None:
    model = calibrated(draw(np.random.default_rng(5), 20))
    again = QualityModel.from_dict(json.loads(json.dumps(model.to_dict())))
    assert again == model
    with pytest.raises(BadInput, match="missing: noise"):
        model.predict({"ease": 0.0})
    with pytest.raises(BadInput, match="damaged"):
        QualityModel.from_dict({**model.to_dict(), "fit": [0.0]})
    with pytest.raises(BadInput, match="damaged"):
        QualityModel.from_dict({"features": []})


def test_extremes_of_dice() -> None:
    """Cases of Dice 0 and 1 have finite logits, and a bound at the edge is none."""
    rows = [{"x": float(n)} for n in range(20)]
    model, _ = fit_quality(rows, [0.0] * 10 + [1.0] * 10, [str(n) for n in range(20)])
    assert model.predict({"x": -50.0})[1] == 0
    assert 0.9 < model.predict({"x": 40.0})[0] <= 1
    assert expit(-1000) == pytest.approx(0)


def test_features_by_hand() -> None:
    outer = np.zeros((6, 6, 6), np.uint8)
    outer[0, 0, :4] = 1
    outer[5, 5, 5] = 1
    figures = {
        "pairwise_dice": 0.5,
        "least_pairwise_dice": 1.0,
        "entropy": 0.0,
        "mutual_information": 0.5,
        "spread": 0.1,
    }
    found = prediction_features(outer, TWO, 0.002, figures, {"a": 0.02, "b": 1.0})
    assert tuple(found) == FEATURES
    assert found["pairwise_dice"] == 0
    assert found["least_pairwise_dice"] == pytest.approx(-found["entropy"])
    assert found["volume"] == pytest.approx(np.log(0.01))
    assert found["volume_oddness"] == pytest.approx((np.log(2) + 5) / 2), "b is absent though it is usual"
    assert found["components"] == pytest.approx(np.log(2))
    assert found["absent"] == 0.5
    empty = prediction_features(np.zeros((2, 2, 2)), TWO, 1.0, figures, {})
    assert np.isfinite(list(empty.values())).all()
    assert empty["absent"] == 1


def test_check_by_hand() -> None:
    check = check_quality([0.9, 0.8, 0.5, 0.7], [0.85, 0.8, 0.6, 0.75], [0.8, 0.8, 0.55, 0.5], 0.9)
    assert (check.above, check.cases) == (3, 4)
    assert check.coverage[0] == 0.75
    assert check.coverage[1] == pytest.approx(0.2423, abs=1e-4)  # the mid-p interval of 3 in 4
    assert check.mean_error == pytest.approx(0.05)
    assert check.rho == pytest.approx(1)
    assert check.area == pytest.approx(check.best_area)
    assert "For 3 of 4 patients (75 %" in check.sentence()
    together = check_quality(
        [0.9, 0.8, 0.5, 0.7], [0.85, 0.8, 0.6, 0.75], [0.8, 0.8, 0.55, 0.5], 0.9, ["a", "a", "b", "b"]
    )
    assert (together.above, together.patients) == (1, 2), (
        "one case below its bound is a patient for whom it did not hold"
    )
    assert check_quality([0.5, 0.5], [0.5, 0.6], [0.0, 0.0], 0.9).rho is None
