"""Claims of docs/trust.md: what is promised for new patients, and for studies that are planned. Run by ``coverage.py``."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from coverage_claim import Claim, Found, Random, clustered, held, patients_of
from scipy.stats import t

from voxloom.errors import BadInput
from voxloom.evaluation.conformal import check_errors, class_scores, class_set, quantile
from voxloom.evaluation.probabilities import at_temperature, fit_temperature
from voxloom.evaluation.quality.bound import QualityModel, fit_quality
from voxloom.evaluation.statistics.sample_size import size_for_difference, size_for_width

#: New patients that a calibration is judged by where it is to hold for this one.
NEW = 400
Rows = list[dict[str, float]]


def _predictions(random: Random, count: int, scans: int) -> tuple[Rows, np.ndarray, list[str]]:
    """Two features of every prediction, of which one tells how good it is; its Dice; its patient."""
    hard = clustered(random, count, scans)
    features = np.column_stack([hard + random.normal(0, 0.5, len(hard)), random.normal(size=len(hard))])
    dice = 1 / (1 + np.exp(-(2 - hard + random.normal(0, 0.3, len(hard)))))
    return (
        [dict(zip("ab", row, strict=True)) for row in features.tolist()],
        dice,
        [str(p) for p in patients_of(count, scans)],
    )


def _kept(model: QualityModel, rows: Rows, dice: Sequence[float], scans: int) -> np.ndarray:
    """Whether the bound held in all scans, per patient."""
    above = np.array([true >= model.predict(row)[1] for row, true in zip(rows, dice, strict=True)])
    return above.reshape(-1, scans).all(axis=1)


def bound(random: Random, count: int, scans: int) -> Found:
    rows, dice, patients = _predictions(random, count, scans)
    model, _ = fit_quality(rows, dice.tolist(), patients, promise=0.9)
    new, true, _ = _predictions(random, 1, scans)
    held_true = bool(_kept(model, new, true.tolist(), scans)[0])
    return {"bound of the predicted Dice, 90 % of new patients": None if model.margin is None else held_true}


def sure_bound(random: Random, count: int, scans: int) -> Found:
    """Whether this calibration keeps its promise for at least the promised share of new patients."""
    rows, dice, patients = _predictions(random, count, scans)
    model, _ = fit_quality(rows, dice.tolist(), patients, promise=0.8, confidence=0.8)
    new, true, _ = _predictions(random, NEW, scans)
    share = float(_kept(model, new, true.tolist(), scans).mean())
    return {"bound of the predicted Dice with a confidence of 80 %": None if model.margin is None else share >= 0.8}


def _answers(random: Random, count: int, scans: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three classes that are too sharp, and the true class."""
    hard, truth = clustered(random, count, scans), random.integers(3, size=count * scans)
    logits = random.normal(size=(len(truth), 3))
    logits[np.arange(len(truth)), truth] += 1.5 + hard
    sharp = np.exp(logits)
    return at_temperature(sharp / sharp.sum(axis=1, keepdims=True), 0.4), truth


def sets(random: Random, count: int, scans: int) -> Found:
    p, truth = _answers(random, count, scans)
    temperature = fit_temperature(p, truth)
    limit = quantile(class_scores(at_temperature(p, temperature), truth), 0.9, patients_of(count, scans))
    new, true = _answers(random, 1, scans)
    kept = [one in class_set(q.tolist(), limit) for q, one in zip(at_temperature(new, temperature), true, strict=True)]
    return {"set of possible classes, 90 % of new patients": None if math.isinf(limit) else all(kept)}


def _errors(random: Random, count: int, scans: int) -> np.ndarray:
    return np.abs(random.standard_t(3, count * scans) + np.repeat(random.normal(size=count), scans))


def number_intervals(random: Random, count: int, scans: int) -> Found:
    limit = quantile(_errors(random, count, scans), 0.9, patients_of(count, scans))
    held_all = bool((_errors(random, 1, scans) <= limit).all())
    return {"interval of a predicted number, 90 % of new patients": None if math.isinf(limit) else held_all}


def checked(random: Random, count: int, scans: int) -> Found:
    """The share of patients whose truths were held, by turns; the true one follows from the ranks that the limits are."""
    found = check_errors(_errors(random, count, scans), 0.9, patients_of(count, scans))
    sizes = np.bincount(np.arange(count) % 10, minlength=10)
    others = count - sizes
    ranks = np.ceil((others + 1) * 0.9 - 1e-9)
    true = np.where(ranks > others, 1.0, ranks / (others + 1))
    name = "share of patients whose truths sets or intervals held, by turns"
    return {name: None if found is None else held(found, float(true @ sizes / count))}


@functools.cache
def _needed(sd: float) -> int:
    return next(n for n in range(2, 10_000) if 2 * t.ppf(0.975, n - 1) * sd / math.sqrt(n) <= 0.3)


def planned(random: Random, count: int, scans: int) -> Found:
    """Whether the safe number of a pilot is at least the number that the true spread asks for."""
    pilot, patients = clustered(random, count, scans), patients_of(count, scans)
    true = math.sqrt(0.64 + 0.36 / scans)
    return {
        "sample size for a width: the safe number is enough": size_for_width(pilot, 0.3, patients).safe >= _needed(true)
    }


@functools.cache
def _needed_to_find(scans: int) -> int:
    """By a pilot of so many patients that it knows the spread."""
    pilot = clustered(np.random.default_rng(0), 50_000, scans)
    return size_for_difference(pilot, 0.3, patients_of(50_000, scans)).needed


def planned_test(random: Random, count: int, scans: int) -> Found:
    pilot = clustered(random, count, scans)
    try:
        safe = size_for_difference(pilot, 0.3, patients_of(count, scans)).safe
    except BadInput:
        return {"sample size to find a difference: the safe number is enough": None}
    return {"sample size to find a difference: the safe number is enough": safe >= _needed_to_find(scans)}


PROMISES = (
    Claim("interval", "train, evaluate, calibrate (classification, regression)", checked, at_least=True),
    Claim("promise", "calibrate, predict", bound, slow=True, level=0.9),
    Claim("promise", "calibrate --confidence, predict", sure_bound, slow=True, level=0.8),
    Claim("promise", "predict (classification)", sets, level=0.9),
    Claim("promise", "predict (regression), DICOM SR", number_intervals, level=0.9),
    Claim("promise", "sample-size", planned, slow=True, level=0.8),
    Claim("promise", "sample-size", planned_test, slow=True, level=0.8),
)
