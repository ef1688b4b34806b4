"""Claims of docs/trust.md: parts of a patient, forms of agreement, differences of two models, shift. Run by ``coverage.py``."""

from __future__ import annotations

import functools
import math

import numpy as np
from coverage_claim import Claim, Found, Random, clustered, held, patients_of, rejected
from coverage_usual import levels, scored, three_classes

from voxloom.errors import BadInput
from voxloom.evaluation import mean_ci
from voxloom.evaluation.classification import LEAST, average_precision, matthews, mean_auc, precision
from voxloom.evaluation.compare_classes import Question, pair_shares
from voxloom.evaluation.findings import mean_auc_of, mean_finding_auc
from voxloom.evaluation.importance import importance
from voxloom.evaluation.model_ranks import rank_models
from voxloom.evaluation.raters.summary import crossed_icc
from voxloom.evaluation.regression import error_by_band, r_squared, rmse
from voxloom.evaluation.shift import Side, compare_sides, embedding_shift
from voxloom.evaluation.statistics import (
    jackknife,
    krippendorff_alpha,
    mann_whitney,
    margin_test,
    mean_square,
    swapped,
)
from voxloom.run.features import KnownFeatures

#: Orders of a randomisation test here; commands take 1000, which changes the time and not the rate.
RESAMPLES = 99


# ---------------------------------------------------------------------------------------------------------------- means
def parts(random: Random, count: int, scans: int) -> Found:
    """Slices and structures: many of a patient, unequal in number, alike; some slices are empty (1), some structures missed (0)."""
    whole = np.repeat(random.beta(9, 2, count), scans)
    slices, pieces = (
        np.repeat(np.arange(count * scans), random.integers(*n, count * scans)) for n in ((5, 36), (4, 10))
    )
    of_slice = np.where(
        random.random(len(slices)) < 0.3, 1.0, random.beta(12 * whole[slices], 12 * (1 - whole[slices]))
    )
    of_piece = np.where(
        random.random(len(pieces)) < 0.05, 0.0, random.beta(30 * whole[pieces], 30 * (1 - whole[pieces]))
    )
    return {
        "mean Dice over slices, 5 to 35 per scan, empty ones 1": held(
            mean_ci(of_slice, (slices // scans).tolist()), 0.3 + 0.7 * 9 / 11
        ),
        "mean Dice over structures, 4 to 9 per scan, missed ones 0": held(
            mean_ci(of_piece, (pieces // scans).tolist()), 0.95 * 9 / 11
        ),
    }


def uneven(random: Random, count: int, scans: int) -> Found:
    """Patients of 1 to 7 scans where others have 4."""
    many = random.integers(1, 2 * scans, count) if scans > 1 else np.ones(count, int)
    place = np.repeat(np.arange(count), many)
    values = random.normal(0, 0.8, count)[place] + random.normal(0, 0.6, len(place))
    return {"mean, patients of 1 to 7 scans": held(mean_ci(values, place.tolist()), 0)}


def brier(random: Random, count: int, scans: int) -> Found:
    values, patients = _briers(random, count, scans)
    return {"Brier score": held(mean_square(np.sqrt(values), patients), _brier_truth())}


def _briers(random: Random, count: int, scans: int) -> tuple[np.ndarray, list[int]]:
    truth, score, _, patients = scored(random, count, scans)
    p = 1 / (1 + np.exp(-2 * (score - 0.75)))
    return 2 * (p - truth) ** 2, patients


@functools.cache
def _brier_truth() -> float:
    return float(_briers(np.random.default_rng(0), 200_000, 1)[0].mean())


def bands(random: Random, count: int, scans: int) -> Found:
    """One of the four bands, whose edges are quartiles of the truth; the error does not depend on it."""
    truth, error = clustered(random, count, scans, 1, 0.3), clustered(random, count, scans, 0.3, 0.3)
    patients = [str(p) for p in patients_of(count, scans)]
    found = error_by_band(truth, truth + error, patients=patients)
    ends = found[int(random.integers(len(found)))]["mae"]["ci"]
    return {"MAE in a band of the true value": held(ends, math.sqrt(0.18) * math.sqrt(2 / math.pi))}


# ------------------------------------------------------------------------------------------------------------ agreement
def icc_forms(random: Random, count: int, scans: int) -> Found:
    """A pair of readers who stand for others; one value per patient, the mean of the scans."""
    true = clustered(random, count, scans)[:, None]
    ratings = true + random.normal(0, 0.1, 2) + random.normal(0, 0.4, (count * scans, 2))
    shift, people, error = 0.1**2, 0.8**2 + 0.6**2 / scans, 0.4**2 / scans
    found = crossed_icc(ratings, [str(p) for p in patients_of(count, scans)])
    truth = {
        form: people / (people + (error + (0 if "C" in form[4:] else shift)) / (2 if "k" in form else 1))
        for form in found
    }
    return {f"{form} of a pair": held(estimate, truth[form]) for form, estimate in found.items()}


def rated(random: Random, count: int, scans: int) -> Found:
    """Three raters who score every case."""
    scores = np.round(2 * (clustered(random, count, scans)[:, None] + random.normal(0, 0.5, (count * scans, 3))))
    alpha = krippendorff_alpha(scores.tolist(), "interval", groups=patients_of(count, scans))
    return {"Krippendorff's alpha of scores (interval level)": held(alpha, 1 / (1.25 + 0.25 / 12))}


def beside_raters(random: Random, count: int, scans: int) -> Found:
    """Model against rater and rater against rater, of the same cases: what is hard for one pair is hard for the other."""
    hard, patients = clustered(random, count, scans), patients_of(count, scans)
    first, second = (hard + clustered(random, count, scans) for _ in range(2))
    p = mann_whitney(first, second, first_groups=patients, second_groups=patients).p
    return {"rank sum of two columns of the same cases": rejected(p)}


# ------------------------------------------------------------------------------------------------------- two or more runs
def within_margin(random: Random, count: int, scans: int) -> Found:
    values = 0.2 + 0.3 * clustered(random, count, scans)
    found = margin_test(values, np.zeros(count * scans), 0.5, groups=patients_of(count, scans))
    return {"mean difference beside a margin (interval of 90 %)": held(found.difference, 0.2)}


def equal_models(random: Random, count: int, scans: int) -> Found:
    hard = clustered(random, count, scans)
    values = {str(n): (hard + clustered(random, count, scans)).tolist() for n in range(4)}
    found = rank_models(values, [str(p) for p in patients_of(count, scans)], larger_is_better=True)
    return {"significance map of 4 models, any pair (Holm)": min(pair[3] for pair in found.better) < 0.05}


def _asked(random: Random, count: int, scans: int) -> tuple[Question, list[int]]:
    """Two models of equal worth, and their probabilities."""
    truth, *scores, patients = scored(random, count, scans)
    chances = [1 / (1 + np.exp(-3 * (score - 0.75))) for score in scores]
    both = [np.column_stack([1 - p, p]) for p in chances]
    return Question(truth.astype(np.intp), both[0], both[1], [str(p) for p in patients], 1), patients


def right_answers(random: Random, count: int, scans: int) -> Found:
    question, _ = _asked(random, count, scans)
    return {
        f"difference of {name}": held(pair_shares(question, name).difference, 0) for name in ("accuracy", "sensitivity")
    }


def right_answers_test(random: Random, count: int, scans: int) -> Found:
    question, _ = _asked(random, count, scans)
    return {f"McNemar, {name}": rejected(pair_shares(question, name).test.p) for name in ("accuracy", "sensitivity")}


def further_differences(random: Random, count: int, scans: int) -> Found:
    """Figures of many cases; the true difference is 0."""
    question, patients = _asked(random, count, scans)
    (a, b), truth, positive = question.answers, question.truth, question.truth == 1
    p, q = question.first[:, 1], question.second[:, 1]
    ask = lambda figure, *columns: jackknife(
        lambda t, x, y: figure(t, y) - figure(t, x), *columns, groups=patients, least=LEAST
    )
    return {
        "difference of MCC": held(ask(matthews, truth, a, b), 0),
        "difference of precision": held(ask(precision, positive, a == 1, b == 1), 0),
        "difference of average precision": held(ask(average_precision, positive, p, q), 0),
    }


def further_differences_test(random: Random, count: int, scans: int) -> Found:
    question, patients = _asked(random, count, scans)
    positive = question.truth == 1
    found = swapped(
        average_precision, positive, question.first[:, 1], question.second[:, 1], groups=patients, resamples=RESAMPLES
    )
    return {"randomisation test of average precision": rejected(found.p)}


def mean_area_difference(random: Random, count: int, scans: int) -> Found:
    """Three classes, two models of equal worth."""
    truth, first = three_classes(random, count, scans)
    again = 1.2 * np.eye(3)[truth] + np.repeat(random.normal(0, 0.6, (count, 3)), scans, axis=0)
    second = np.exp(again + random.normal(0, 0.8, again.shape))
    second /= second.sum(axis=1, keepdims=True)
    figure = lambda t, x, y: mean_auc(t, y) - mean_auc(t, x)
    found = jackknife(figure, truth, first, second, groups=patients_of(count, scans), least=LEAST)
    return {"difference of the mean AUC over three classes": held(found, 0)}


def _two_guesses(random: Random, count: int, scans: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True numbers, and those of two models whose errors are as large; hard patients are hard for both."""
    truth, hard = clustered(random, count, scans, 1, 0.3), clustered(random, count, scans, 0.2, 0.2)
    return truth, *(truth + hard + clustered(random, count, scans, 0.2, 0.2) for _ in range(2))  # type: ignore[return-value]


def number_differences(random: Random, count: int, scans: int) -> Found:
    found, patients = _two_guesses(random, count, scans), patients_of(count, scans)
    return {
        f"difference of {name}": held(
            jackknife(lambda t, x, y, f=figure: f(t, y) - f(t, x), *found, groups=patients), 0
        )
        for name, figure in (("RMSE", rmse), ("R2", r_squared))
    }


def number_differences_test(random: Random, count: int, scans: int) -> Found:
    found, patients = _two_guesses(random, count, scans), patients_of(count, scans)
    return {
        f"randomisation test of {name}": rejected(swapped(figure, *found, groups=patients, resamples=RESAMPLES).p)
        for name, figure in (("RMSE", rmse), ("R2", r_squared))
    }


# ----------------------------------------------------------------------------------------------------- levels and settings
def level_tests(random: Random, count: int, scans: int) -> Found:
    """The tests of the terms whose intervals are in ``levels``."""
    return {
        name: None if hit is None else not hit
        for name, hit in levels(random, count, scans).items()
        if "mean score" not in name
    }


def search_together(random: Random, count: int, scans: int) -> Found:
    runs = count * scans
    rows = [dict(zip("abcdy", values, strict=True)) for values in random.normal(size=(runs, 5)).tolist()]
    try:
        return {"importance of 4 settings together (F test)": rejected(importance(rows, "abcd", "y").f_p)}
    except BadInput:
        return {"importance of 4 settings together (F test)": None}


# -------------------------------------------------------------------------------------------------------------- findings
def _findings(random: Random, count: int, scans: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Three findings of a patient, present in half, a third and a quarter; number of the finding, truth, chance, patient."""
    share, patients = np.array([1 / 2, 1 / 3, 1 / 4]), patients_of(count, scans)
    own = np.repeat(random.random((count, 3)) < share, scans, axis=0)
    score = 1.5 * own + np.repeat(random.normal(0, 0.6, (count, 3)), scans, axis=0) + random.normal(0, 0.8, own.shape)
    place = np.tile(np.arange(3), len(own))
    return place, own.ravel(), 1 / (1 + np.exp(-score.ravel())), np.repeat(patients, 3).tolist()


@functools.cache
def _findings_truth() -> float:
    return mean_auc_of(*_findings(np.random.default_rng(0), 200_000, 1)[:3])


def findings(random: Random, count: int, scans: int) -> Found:
    return {"mean AUC over three findings": held(mean_finding_auc(*_findings(random, count, scans)), _findings_truth())}


# ----------------------------------------------------------------------------------------------------------------- shift
def facts(random: Random, count: int, scans: int) -> Found:
    """Four numbers and two words of the scans of two sides that are alike; as many patients on either."""

    def side() -> Side:
        patients = [str(p) for p in patients_of(count, scans)]
        numbers = {name: clustered(random, count, scans).tolist() for name in "abcd"}
        words = {name: random.choice(["x", "y"], count).repeat(scans).tolist() for name in "ef"}
        return Side(patients, numbers, words)

    return {"shift of 6 facts, any of them (Holm)": min(s.p_holm for s in compare_sides(side(), side())) < 0.05}


def _rows(random: Random, count: int, scans: int) -> np.ndarray:
    """Features of a network: eight numbers with long tails, alike within patients."""
    tails = random.standard_t(4, (count, 8)).repeat(scans, axis=0)
    return tails + random.normal(0, 0.6, (count * scans, 8))


def far_sets(random: Random, count: int, scans: int) -> Found:
    training, held_out, new = (_rows(random, count, scans) for _ in range(3))
    patients = patients_of(count, scans)
    test = {str(n): row for n, row in enumerate(new)}
    who = {str(n): str(p) for n, p in enumerate(patients)}
    found = embedding_shift(training, held_out, [str(p) for p in patients], test, who)
    return {"distance of a data set from the training cases": rejected(found.p)}


def far_scans(random: Random, count: int, scans: int) -> Found:
    """A new patient's scan that is like the training, said to be unlike."""
    training, held_out = ({str(n): row for n, row in enumerate(_rows(random, count, scans))} for _ in range(2))
    who = {str(n): str(p) for n, p in enumerate(patients_of(count, scans))}
    place = KnownFeatures(training, held_out, who).place(_rows(random, 1, 1)[0])
    return {"a scan is said to be unlike the training (at 1 %)": place.unlike}


FURTHER = (
    Claim("interval", "evaluate, evaluate --slices, report", parts),
    Claim("interval", "evaluate, compare, fairness, stress, report", uneven, at_least=True),
    Claim("interval", "evaluate (classification)", brier),
    Claim("interval", "evaluate (regression)", bands, at_least=True),
    Claim("interval", "raters --json", icc_forms, slow=True),
    Claim("interval", "evaluate (classification with raters)", rated),
    Claim("interval", "compare --margin", within_margin, level=0.9),
    Claim("interval", "compare (classification)", right_answers, at_least=True),
    Claim("interval", "compare (classification)", further_differences, at_least=True),
    Claim("interval", "compare (classification)", mean_area_difference, at_least=True, slow=True),
    Claim("interval", "compare (regression)", number_differences, at_least=True),
    Claim("interval", "evaluate (findings)", findings, at_least=True, slow=True),
    Claim("test", "raters", beside_raters),
    Claim("test", "compare", equal_models, slow=True),
    Claim("test", "compare (classification)", right_answers_test, slow=True),
    Claim("test", "compare (classification)", further_differences_test, slow=True),
    Claim("test", "compare (regression)", number_differences_test, slow=True),
    Claim("test", "mixed", level_tests, slow=True),
    Claim("test", "importance, sweep", search_together, slow=True),
    Claim("test", "shift", facts, slow=True),
    Claim("test", "shift", far_sets, slow=True),
    Claim("test", "predict, shift", far_scans, level=0.99),
)
