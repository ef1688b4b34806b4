"""Claims of docs/trust.md: means, agreement, association, lesions, tests and classes. Run by ``coverage.py``."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping

import numpy as np
from coverage_claim import Claim, Random, clustered, held, patients_of, rejected
from scipy.stats import norm

from voxloom.errors import BadInput
from voxloom.evaluation import mean_ci
from voxloom.evaluation.auc import auc_difference, auc_interval, compare_aucs
from voxloom.evaluation.candidates import Candidate, CaseCandidates
from voxloom.evaluation.classification import (
    LEAST,
    average_precision,
    balanced_accuracy,
    f1,
    matthews,
    mean_auc,
    mean_auc_estimate,
)
from voxloom.evaluation.detection import RATES, estimates, pool
from voxloom.evaluation.importance import importance
from voxloom.evaluation.model_ranks import rank_models
from voxloom.evaluation.regression import r_squared
from voxloom.evaluation.statistics import (
    bland_altman,
    cohen_kappa,
    friedman,
    holm,
    icc,
    jackknife,
    krippendorff_alpha,
    mann_whitney,
    margin_test,
    mcnemar,
    mean_estimate,
    regression,
    root_mean_square,
    same_shares,
    share_estimate,
    spearman,
    swapped,
    wilcoxon,
)
from voxloom.evaluation.statistics.mixed import MixedModel, mixed_model, repeated_agreement
from voxloom.evaluation.subgroups import fairness


# ---------------------------------------------------------------------------------------------------------------- means
def dice_like(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    whole = random.beta(9, 2, count)
    scores = (
        np.repeat(whole, scans)
        if scans == 1
        else random.beta(30 * np.repeat(whole, scans), 30 * np.repeat(1 - whole, scans))
    )
    return {"mean of scores near 1 with a tail (Dice)": held(mean_ci(scores, patients_of(count, scans)), 9 / 11)}


def distance_like(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    values = np.exp(clustered(random, count, scans, 0.5, 0.3))
    truth = math.exp((0.5**2 + 0.3**2) / 2)
    return {"mean of distances with a long tail (log-normal)": held(mean_ci(values, patients_of(count, scans)), truth)}


def failing(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """One patient in ten fails (Dice 0). Nobody can see in a sample without failures how many there are elsewhere."""
    fails = random.random(count) < 0.1
    scores = np.repeat(np.where(fails, 0.0, random.beta(40, 6, count)), scans)
    patients, good = patients_of(count, scans), 40 / 46
    interval = mean_ci(scores, patients)
    share = share_estimate(scores == 0, patients)
    return {
        "a tenth of patients fails: mean, where failures were seen": held(interval, 0.9 * good)
        if fails.any()
        else None,
        "a tenth of patients fails: mean of those who do not, where none was seen": None
        if fails.any()
        else held(interval, good),
        "a tenth of patients fails: share that fails": held(share, 0.1),
    }


def difference(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    values = 0.01 + 0.02 * clustered(random, count, scans)
    return {"mean difference of two runs": held(mean_ci(values, patients_of(count, scans)), 0.01)}


def shares(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    chance = 0.8
    right = clustered(random, count, scans) < norm.ppf(chance)
    return {
        "share of cases (accuracy, sensitivity, specificity, precision)": held(
            share_estimate(right, patients_of(count, scans)), chance
        )
    }


# ------------------------------------------------------------------------------------------------------------ agreement
def limits(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    apart = 2 + 5 * clustered(random, count, scans)
    size = np.repeat(random.normal(50, 10, count), scans)
    found = bland_altman(size + apart / 2, size - apart / 2, groups=patients_of(count, scans))
    return {
        "Bland-Altman: bias": held(found.bias, 2),
        "Bland-Altman: limits of agreement": held(found.upper, 2 + 1.96 * 5),
    }


def slope(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    apart, size = clustered(random, count, scans), 50 + 10 * clustered(random, count, scans)
    found = bland_altman(size + apart / 2, size - apart / 2, groups=patients_of(count, scans))
    return {"Bland-Altman: does the bias grow with the size": rejected(found.slope_p)}


def intraclass(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Three raters whose own shifts are small; one value per patient, the mean of the scans."""
    true = clustered(random, count, scans, 0.8, 0.6)[:, None]
    ratings = true + random.normal(0, 0.1, 3) + random.normal(0, 0.4, (count * scans, 3))
    shift, people, error = 0.1**2, 0.8**2 + 0.6**2 / scans, 0.4**2 / scans
    found = icc(ratings, groups=patients_of(count, scans))["ICC(A,1)"]
    return {"ICC(A,1), one value per patient": held(found, people / (people + shift + error))}


def categories(random: Random, count: int, scans: int) -> tuple[list[int], list[int], list[int]]:
    """Two raters who see the patient's category of three with a chance of .8 and guess otherwise."""
    true = np.repeat(random.integers(0, 3, count), scans)
    first, second = (np.where(random.random(len(true)) < 0.8, true, random.integers(0, 3, len(true))) for _ in range(2))
    return first.tolist(), second.tolist(), patients_of(count, scans)


def chance(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    first, second, patients = categories(random, count, scans)
    rows = list(zip(first, second, strict=True))
    truth = 0.64  # both see it: 1/3 of agreement by chance else
    try:
        alpha = held(krippendorff_alpha(rows, groups=patients), truth)
    except BadInput:
        alpha = None
    return {"Cohen's kappa": held(cohen_kappa(first, second, groups=patients), truth), "Krippendorff's alpha": alpha}


# ---------------------------------------------------------------------------------------------------------- association
def rank_interval(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    shared = clustered(random, count, scans, 1, 0)
    first, second = (shared + clustered(random, count, scans, 0.7, 0) for _ in range(2))
    truth = 6 / math.pi * math.asin(1 / 1.49 / 2)
    return {"Spearman's rho": held(spearman(first, second, groups=patients_of(count, scans)).rho, truth)}


def rank_test(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    first, second = clustered(random, count, scans), clustered(random, count, scans)
    return {"Spearman's rho": rejected(spearman(first, second, groups=patients_of(count, scans)).p)}


def linear(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """A factor of the patient (age) and one of the scan (slice thickness)."""
    factors = {"patient": np.repeat(random.normal(size=count), scans), "scan": random.normal(size=count * scans)}
    found = regression(clustered(random, count, scans), factors, groups=patients_of(count, scans))
    return {
        "regression: a factor of the patient": rejected(found.terms[1].p),
        "regression: a factor of the scan": rejected(found.terms[2].p),
        "regression: F test": rejected(found.f_p),
    }


def linear_interval(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    return {
        f"{name}, coefficient": None if hit is None else not hit
        for name, hit in linear(random, count, scans).items()
        if "F" not in name
    }


def search(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Four settings of a random search that do nothing; as many runs as there are scans. At least one below .05 after Holm."""
    runs = count * scans
    rows = [dict(zip("abcdy", values, strict=True)) for values in random.normal(size=(runs, 5)).tolist()]
    try:
        found = importance(rows, "abcd", "y")
    except BadInput:
        return {"importance of 4 settings, any of them (Holm)": None}
    return {"importance of 4 settings, any of them (Holm)": min(w.p_holm for w in found.weights) < 0.05}


# ---------------------------------------------------------------------------------------------------- levels and lesions
def nested(random: Random, count: int, scans: int, sites: int) -> MixedModel:
    """A score that nothing moves: standard deviations .5 between sites, .8 between patients, .6 within; the mean is 0."""
    patient = np.repeat(np.arange(count), scans)
    site = np.arange(count) % sites if sites else np.zeros(count, int)
    score = clustered(random, count, scans) + (random.normal(0, 0.5, sites)[site[patient]] if sites else 0)
    factors = {"patient": random.normal(size=count)[patient], "scan": random.normal(size=count * scans)}
    if scans == 1:
        factors.pop("scan")
    if sites:
        factors["site"] = random.normal(size=sites)[site[patient]]
    return mixed_model(score, patient.tolist(), sites=site[patient].tolist() if sites else None, factors=factors)


def levels(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Cases within patients, and patients within half as many sites."""
    found: dict[str, bool | None] = {}
    for sites, where in ((0, "patients"), (count // 2, "sites")):
        try:
            terms = nested(random, count, scans, sites).terms
        except BadInput:
            continue
        for term in terms:
            what = "mean score" if term.name == "mean" else f"a factor of the {term.name}"
            found[f"mixed model with {where}: {what}"] = held(term.estimate, 0)
    return found


def frames(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Three raters, the same in all studies, on several frames of every patient."""
    place = np.repeat(np.arange(count), scans)
    own = random.normal(0, 1, count)[place] + random.normal(0, 0.5, len(place))
    shifts = np.array([-0.2, 0.0, 0.2]) + random.normal(0, 0.3, (count, 3))[place]
    found = repeated_agreement(own[:, None] + shifts + random.normal(0, 0.4, (len(place), 3)), place.tolist())
    return {
        "agreement on repeated frames: one rating": held(found.single, 1.25 / (1.25 + 0.04 + 0.09 + 0.16)),
        "agreement on repeated frames: within patients": held(found.within, 0.25 / (0.25 + 0.16)),
    }


def lesion_cases(random: Random, count: int, scans: int) -> list[CaseCandidates]:
    """Lesions and candidates of cases; number of lesions, how well they are seen, and false positives are alike within a patient."""
    cases = []
    for _ in range(count):
        many, skill, noise = random.gamma(4, 1 / 4), random.normal(0, 0.5), random.gamma(4, 1 / 4)
        for _ in range(scans):
            lesions = random.poisson(1.5 * many)
            found = random.normal(1 + skill, 1.0, int((random.random(lesions) < 0.85).sum()))
            wrong = random.normal(-0.5, 1.0, random.poisson(1.5 * noise))
            every = [(z, n + 1) for n, z in enumerate(found)] + [(z, 0) for z in wrong]
            told = [Candidate(1 / (1 + math.exp(-z)), n, 0.5, 10) for z, n in sorted(every, reverse=True)]
            cases.append(CaseCandidates(int(lesions), tuple(told)))
    return cases


@functools.cache
def lesion_truth() -> dict[str, float]:
    """Figures of so many patients that they are the truth."""
    whole = pool(lesion_cases(np.random.default_rng(0), 20_000, 1))
    rates = {f"{rate:g}": whole.froc.at(rate) for rate in RATES}
    return {"average_precision": whole.average_precision, "mean_sensitivity": whole.mean_sensitivity, **rates}


def lesions(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    found = estimates(lesion_cases(random, count, scans), patients_of(count, scans))
    truth = lesion_truth()
    shown = {
        "average_precision": "average precision of lesions",
        "mean_sensitivity": "FROC: mean sensitivity",
        **{f"{rate:g}": f"FROC: sensitivity at {rate:g} false positives per case" for rate in RATES},
    }
    return {text: held(found[name], truth[name]) for name, text in shown.items()}


def ranks(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Four models, each a third of the SD between patients better than the next; whether all ranks are in their intervals."""
    hard = clustered(random, count, scans)
    values = {str(n): hard + 0.3 * n + clustered(random, count, scans) for n in range(4)}
    found = {
        m.name: m
        for m in rank_models(values, [str(p) for p in patients_of(count, scans)], larger_is_better=True).models
    }
    hits = [None if m.low is None or m.high is None else m.low <= 4 - int(name) <= m.high for name, m in found.items()]
    return {"rank of a model among four": None if None in hits else bool(hits[int(random.integers(4))])}


# ---------------------------------------------------------------------------------------------------------------- tests
def two_runs(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    first, second = clustered(random, count, scans), clustered(random, count, scans)
    return {"Wilcoxon signed-rank": rejected(wilcoxon(first, second, groups=patients_of(count, scans)).p)}


def at_the_margin(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """The difference is the margin itself, so equivalence must be found in 5 % at most."""
    values = 0.5 + 0.3 * clustered(random, count, scans)
    found = margin_test(values, np.zeros(count * scans), 0.5, groups=patients_of(count, scans))
    return {"equivalence and non-inferiority, at the margin": rejected(found.p)}


def many_labels(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    ps = [
        wilcoxon(clustered(random, count, scans), np.zeros(count * scans), groups=patients_of(count, scans)).p
        for _ in range(6)
    ]
    return {"Wilcoxon of 6 labels, any of them (Holm)": min(holm(ps)) < 0.05}


def three_runs(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    table = np.stack([clustered(random, count, scans) for _ in range(3)], axis=1)
    return {"Friedman, three runs or raters": rejected(friedman(table, groups=patients_of(count, scans)).p)}


def two_groups(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    first, second = clustered(random, count, scans), clustered(random, count, scans)
    patients = patients_of(count, scans)
    kinds = random.integers(0, 2, (2, count))
    return {
        "Mann-Whitney (two groups of so many)": rejected(
            mann_whitney(first, second, first_groups=patients, second_groups=patients).p
        ),
        "Fisher's exact or chi-square (two groups of so many)": rejected(
            same_shares(kinds[0].tolist(), kinds[1].tolist()).p
        ),
    }


def subgroups(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Three sites of so many patients in all."""
    values, patients = clustered(random, count, scans), patients_of(count, scans)
    site = [str(patient % 3) for patient in patients]
    return {
        "Kruskal-Wallis, three groups (of so many in all)": rejected(fairness(values, patients, {"site": site})[0].p)
    }


def points(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Ten landmarks per scan; both runs miss more of them in hard patients, and each in patients of its own."""
    patients = np.repeat(np.arange(count), scans * 10)
    hard = random.normal(0, 1, (3, count))
    right = [hard[0][patients] + hard[n][patients] + random.normal(size=len(patients)) < 1 for n in (1, 2)]
    return {"McNemar, 10 landmarks per scan": rejected(mcnemar(right[0], right[1], groups=patients.tolist()).p)}


# -------------------------------------------------------------------------------------------------------------- classes
def scored(random: Random, count: int, scans: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
    """Truth of half of the patients, two scores of equal worth, patients."""
    while True:
        positive = random.random(count) < 0.5
        if 0 < positive.sum() < count:
            break
    truth = np.repeat(positive, scans)
    base = np.repeat(random.normal(0, 0.6, count), scans) + 1.5 * truth
    return truth, *(base + random.normal(0, 0.8, count * scans) for _ in range(2)), patients_of(count, scans)  # type: ignore[return-value]


def area(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    truth, score, _, patients = scored(random, count, scans)
    return {"AUC (DeLong, Obuchowski)": held(auc_interval(truth, score, patients), norm.cdf(1.5 / math.sqrt(2)))}


def mean_area(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Three classes; the mean over the classes of the AUC of each against the rest."""
    found = mean_auc_estimate(*three_classes(random, count, scans), [str(p) for p in patients_of(count, scans)])
    return {"mean AUC over three classes": held(found, mean_area_truth())}


def three_classes(random: Random, count: int, scans: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities; every class occurs in at least one patient."""
    while True:
        own = random.integers(0, 3, count)
        if len(set(own.tolist())) == 3:
            break
    truth = np.repeat(own, scans)
    score = 1.2 * np.eye(3)[truth] + np.repeat(random.normal(0, 0.6, (count, 3)), scans, axis=0)
    score = np.exp(score + random.normal(0, 0.8, (count * scans, 3)))
    return truth, score / score.sum(axis=1, keepdims=True)


@functools.cache
def mean_area_truth() -> float:
    return mean_auc(*three_classes(np.random.default_rng(0), 100_000, 1))


def two_areas(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    truth, first, second, patients = scored(random, count, scans)
    return {"DeLong, two scores": rejected(compare_aucs(truth, first, second, patients).p)}


def answers(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    truth, score, _, patients = scored(random, count, scans)
    guess = score > 0.75
    hit = norm.cdf(0.75)
    truths = {"balanced": hit, "mcc": 2 * hit - 1, "f1": hit, "ap": 0.8654}
    ask = lambda metric, scale, *columns: jackknife(metric, *columns, groups=patients, scale=scale, least=LEAST)
    whole = (truth.astype(int), guess.astype(int))
    return {
        "balanced accuracy": held(ask(balanced_accuracy, "logit", *whole), truths["balanced"]),
        "MCC": held(ask(matthews, "fisher", *whole), truths["mcc"]),
        "F1": held(ask(f1, "logit", truth, guess), truths["f1"]),
        "average precision": held(ask(average_precision, "logit", truth, score), truths["ap"]),
    }


def two_answers(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    """Two models of equal worth: the true difference of every figure is 0."""
    truth, first, second, patients = scored(random, count, scans)
    a, b = ((score > 0.75).astype(int) for score in (first, second))
    positive = truth.astype(int)
    figure = lambda t, x, y: balanced_accuracy(t, y) - balanced_accuracy(t, x)
    single = lambda t, x, y: f1(t == 1, y == 1) - f1(t == 1, x == 1)
    return {
        "difference of AUC": held(auc_difference(truth, first, second, patients), 0),
        "difference of balanced accuracy": held(jackknife(figure, positive, a, b, groups=patients, least=LEAST), 0),
        "difference of F1": held(jackknife(single, positive, a, b, groups=patients, least=LEAST), 0),
    }


def exchanged(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    truth, first, second, patients = scored(random, count, scans)
    a, b = ((score > 0.75).astype(int) for score in (first, second))
    found = swapped(balanced_accuracy, truth.astype(int), a, b, groups=patients, resamples=99)
    return {"randomisation test of a figure of classes or numbers": rejected(found.p)}


def numbers(random: Random, count: int, scans: int) -> Mapping[str, bool | None]:
    truth = clustered(random, count, scans, 1, 0.3)
    error = clustered(random, count, scans, 0.3, 0.3)
    patients = patients_of(count, scans)
    return {
        "MAE": held(mean_estimate(np.abs(error), patients), math.sqrt(0.18) * math.sqrt(2 / math.pi)),
        "RMSE": held(root_mean_square(error, patients), math.sqrt(0.18)),
        "R2": held(jackknife(r_squared, truth, truth + error, groups=patients, scale="one minus"), 1 - 0.18 / 1.09),
    }


USUAL = (
    Claim("interval", "evaluate, stress, fairness, raters, ensemble, cards, report", dice_like),
    Claim("interval", "evaluate, report (distances, calibration errors)", distance_like),
    Claim("interval", "evaluate, report", failing, at_least=True),
    Claim("interval", "compare", difference),
    Claim("interval", "evaluate (classification), calibrate, test sets", shares, at_least=True),
    Claim("interval", "raters, report", limits),
    Claim("interval", "raters, report", intraclass),
    Claim("interval", "evaluate (classification with raters), Python", chance),
    Claim("interval", "raters, report, compare", rank_interval),
    Claim("interval", "raters", linear_interval),
    Claim("interval", "evaluate (classification)", area, at_least=True),
    Claim("interval", "evaluate (classification)", mean_area, at_least=True, slow=True),
    Claim("interval", "evaluate (classification)", answers, at_least=True),
    Claim("interval", "compare (classification)", two_answers, at_least=True),
    Claim("interval", "evaluate (regression)", numbers),
    Claim("interval", "mixed", levels, slow=True),
    Claim("interval", "raters", frames, slow=True),
    Claim("interval", "evaluate, report (froc)", lesions, at_least=True, slow=True),
    Claim("interval", "compare", ranks, at_least=True, slow=True),
    Claim("test", "compare, raters", two_runs),
    Claim("test", "compare, raters", many_labels),
    Claim("test", "compare", at_the_margin),
    Claim("test", "compare, raters", three_runs),
    Claim("test", "raters, report, compare", rank_test),
    Claim("test", "raters, report", slope),
    Claim("test", "raters", linear),
    Claim("test", "importance, sweep", search),
    Claim("test", "cards, shift, fairness", two_groups),
    Claim("test", "fairness", subgroups),
    Claim("test", "points", points),
    Claim("test", "compare (classification)", two_areas),
    Claim("test", "compare (classification, regression)", exchanged),
)
