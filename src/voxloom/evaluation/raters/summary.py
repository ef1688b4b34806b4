"""What the pairs of readers say together: medians, adjustment for disagreement, tests, agreement of volumes.

The table of a study with two raters and a model, as in Hodneland et al. (Cancers 2022, tables 3 and 4 and figures 5 to 7). Knows no
files.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation.limits import limits_of
from voxloom.evaluation.measures import USUAL
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.raters.study import Pair, RaterStudy
from voxloom.evaluation.statistics import (
    ICC_DEFAULT,
    ICC_FORMS,
    ICC_LEAST,
    Estimate,
    bland_altman,
    friedman,
    holm,
    icc,
    mann_whitney,
    regression,
    spearman,
    wilcoxon,
)
from voxloom.evaluation.statistics.arrays import rankable
from voxloom.evaluation.statistics.association import BEYOND_FACTORS
from voxloom.evaluation.statistics.mixed import repeated_agreement
from voxloom.evaluation.summary import summarize
from voxloom.evaluation.units import volume_unit

#: What is reported of every pair.
PAIR_METRICS = ("dice", "hd", "hd95", "assd")
#: Fewer cases than this are named as too few to conclude from.
FEW = 10


def summarize_raters(study: RaterStudy, factors: Mapping[str, Mapping[str, float]] | None = None) -> dict[str, Any]:
    """All figures of a study of raters, as JSON-able values.

    Parameters
    ----------
    factors : name of an acquisition parameter -> case -> value; the model's mean Dice over the raters is regressed on them.

    Returns
    -------
    readers, cases, ``labels`` (per label: pairs, adjusted, tests, volumes, regression), warnings. p-values that stand in one
    table are Holm-corrected together (``p_holm``).
    """
    labels = {label: _label_figures(study, label) for label in study.labels}
    for table in ("tests", "spearman", "friedman"):
        correct([row for figures in labels.values() for row in figures[table]])
    correct([row["hd"] for figures in labels.values() for row in figures["spearman"]])
    correct([row for figures in labels.values() for row in figures["bland_altman"]], "slope_p")
    if factors:
        fits = {label: _regression(study, label, factors) for label in labels}
        correct([term for fit in fits.values() for term in fit["terms"][1:]])
        correct(list(fits.values()))
        for label, figures in labels.items():
            figures["regression"] = fits[label]
    return {
        "readers": list(study.readers),
        "raters": list(study.raters),
        "model": study.model,
        "consensus": study.consensus,
        "cases": len(study.cases),
        "unit": study.unit,
        "patients": len(set(study.patients().values())),
        "patients_note": patients_note(study.patients()),
        "conventions": USUAL.notes(),
        "icc_form": f"{ICC_DEFAULT}: {ICC_FORMS[ICC_DEFAULT]}",
        "labels": labels,
        "warnings": _warnings(study),
    }


def _label_figures(study: RaterStudy, label: str) -> dict[str, Any]:
    return {
        "pairs": [_pair_figures(study, pair, label) for pair in study.pairs],
        "adjusted": [row for rater in study.raters for row in _adjusted(study, rater, label)],
        "tests": [row for rater in study.raters for row in _tests(study, rater, label)],
        "bland_altman": _each_pair(study, label, _bland_altman),
        "icc": _iccs(study, label),
        "repeated": _repeated(study, label),
        "spearman": _each_pair(study, label, _spearman),
        "friedman": _friedman(study, label),
    }


def _pair_figures(study: RaterStudy, pair: Pair, label: str) -> dict[str, Any]:
    found = study.metrics(pair, label)
    patient = study.patients()
    groups = [patient[case] for case in found]
    figures = {m: summarize([getattr(row, m) for row in found.values()], groups, limits_of(m)) for m in PAIR_METRICS}
    return {"first": pair[0], "second": pair[1], "cases": len(found), **figures}


def _rater_pairs(study: RaterStudy) -> list[Pair]:
    return list(combinations(study.raters, 2))


def between_raters(study: RaterStudy, label: str, metric: str) -> dict[str, float]:
    """Case -> mean of a metric over the pairs of raters who both read it."""
    found: dict[str, list[float]] = {}
    for pair in _rater_pairs(study):
        if pair in study.pairs:
            for case, row in study.metrics(pair, label).items():
                found.setdefault(case, []).append(float(getattr(row, metric)))
    return {case: float(np.mean(values)) for case, values in found.items()}


def adjust(metric: str, value: float, disagreement: float) -> float:
    """A model-rater figure adjusted for the raters' disagreement in the same case (Hodneland et al. 2022, section 2.5).

    Overlap: value + (1 - overlap between raters), which passes 1 where the model is nearer to a rater than the raters are to each
    other. Distance: value - distance between raters. NaN where the raters are infinitely far apart.
    """
    if not math.isfinite(disagreement):
        return math.nan
    return value + (1.0 - disagreement) if metric == "dice" else value - disagreement


def _adjusted(study: RaterStudy, rater: str, label: str) -> list[dict[str, Any]]:
    """Per metric the median over cases of the adjusted figures of the model against one rater."""
    rows = []
    for metric in PAIR_METRICS:
        cases = _with_raters(study, rater, label, metric)
        values = [v for v in (adjust(metric, a, b) for a, b in cases.values()) if not math.isnan(v)]
        if values:
            lost = len(cases) - len(values)
            rows.append(
                {
                    "rater": rater,
                    "metric": metric,
                    "median": summarize(values)["median"],
                    "n": len(values),
                    "left_out": lost,
                }
            )
    return rows


def _with_raters(study: RaterStudy, rater: str, label: str, metric: str) -> dict[str, tuple[float, float]]:
    """Case -> (model against one rater, raters against one another), where both are there."""
    if study.model is None:
        return {}
    between = between_raters(study, label, metric)
    found = study.metrics((study.model, rater), label) if (study.model, rater) in study.pairs else {}
    return {case: (float(getattr(row, metric)), between[case]) for case, row in found.items() if case in between}


def _tests(study: RaterStudy, rater: str, label: str) -> list[dict[str, Any]]:
    """Is the model further from a rater than the raters from one another? Wilcoxon signed-rank, one value per patient.

    ``p_rank_sum`` is that of the rank-sum test, which takes the two columns for unlike patients: Hodneland et al. (2022, table 3)
    publish it, though both columns are of the same patients, for whom the signed-rank test is the right one.
    """
    rows = []
    for metric in PAIR_METRICS:
        cases = _with_raters(study, rater, label, metric)
        if not cases:
            continue
        first, second = rankable([a for a, _ in cases.values()], [b for _, b in cases.values()])
        patient = study.patients()
        groups = [patient[case] for case in cases]
        outcome = wilcoxon(first, second, groups=groups)
        apart = mann_whitney(first, second, first_groups=groups, second_groups=groups)
        medians = [summarize([pair[n] for pair in cases.values()])["median"] for n in (0, 1)]
        rows.append(
            {
                "rater": rater,
                "metric": metric,
                "model": medians[0],
                "raters": medians[1],
                **outcome.to_dict(),
                "p_rank_sum": apart.p,
            }
        )
    return rows


def correct(rows: Sequence[dict[str, Any]], key: str = "p") -> None:
    """Add Holm-corrected p-values to the rows of one table, as ``<key>_holm``."""
    for row, corrected in zip(rows, holm([row[key] for row in rows]), strict=True):
        row[f"{key}_holm"] = corrected


def paired_volumes(study: RaterStudy, label: str, names: Sequence[str]) -> tuple[list[str], list[list[float]]]:
    """Cases that all of ``names`` read, and their volumes in ml, (cases, names)."""
    found = {c: v for c, v in study.volumes(label).items() if all(name in v for name in names)}
    return list(found), [[volumes[name] for name in names] for volumes in found.values()]


def _each_pair(study: RaterStudy, label: str, figures: Any) -> list[dict[str, Any]]:
    rows = []
    for first, second in study.pairs:
        cases, volumes = paired_volumes(study, label, (first, second))
        patient = study.patients()
        if len(cases) >= 3:  # the least for a limit of agreement
            found = figures(study, (first, second), label, cases, np.array(volumes), [patient[c] for c in cases])
            rows.append({"first": first, "second": second, **found})
    return rows


def _bland_altman(
    study: RaterStudy, pair: Pair, label: str, cases: list[str], volumes: np.ndarray, groups: list[str]
) -> dict[str, Any]:
    return bland_altman(volumes[:, 0], volumes[:, 1], groups=groups).to_dict()


def _spearman(
    study: RaterStudy, pair: Pair, label: str, cases: list[str], volumes: np.ndarray, groups: list[str]
) -> dict[str, Any]:
    """Of the volume (the rater's against a model, the mean between raters) with Dice and, ``hd``, with the Hausdorff distance."""
    rows = study.metrics(pair, label)
    size = volumes[:, 1] if pair[0] == study.model else volumes.mean(axis=1)
    found = spearman(size, [rows[case].dice for case in cases], groups=groups)
    (far,) = rankable([rows[case].hd for case in cases])
    with_distance = spearman(size, far, groups=groups)
    hd = {"rho": with_distance.rho.to_dict(), "p": with_distance.p, "n": with_distance.n}
    return {"rho": found.rho.to_dict(), "p": found.p, "n": found.n, "hd": hd}


def _iccs(study: RaterStudy, label: str) -> list[dict[str, Any]]:
    """Of the volumes and of their logarithms (empty masks left out), per pair and over all readers."""
    together: list[Sequence[str]] = [*study.pairs]
    if len(study.readers) > 2:
        together.append(study.readers)
    rows = []
    ml = volume_unit(study.unit)
    for names in together:
        cases, volumes = paired_volumes(study, label, names)
        table, patients = np.array(volumes).reshape(-1, len(names)), _patients_of(study, cases)
        filled = (table > 0).all(axis=1)
        for scale, values, groups in (
            (ml, table, patients),
            (f"log {ml}", np.log(table[filled]), patients[filled]),
        ):
            count = len(set(groups))
            if count >= ICC_LEAST and np.ptp(values) > 0:
                found = {form: one.to_dict() for form, one in crossed_icc(values, groups.tolist()).items()}
                rows.append({"readers": list(names), "scale": scale, "n": count, **found[ICC_DEFAULT], "forms": found})
    return rows


def crossed_icc(ratings: np.ndarray, patients: Sequence[str]) -> dict[str, Estimate]:
    """``icc`` of readers who all read all cases; the one-way forms have no interval.

    They take every case for one with readers of its own. A shift of readers who are the same for all cases is then counted as if it
    were drawn anew for each, and the interval of many patients gets too short (docs/trust.md).
    """
    return {
        form: replace(found, low=math.nan, high=math.nan) if form.startswith("ICC(1,") else found
        for form, found in icc(ratings, groups=list(patients)).items()
    }


def _repeated(study: RaterStudy, label: str) -> list[dict[str, Any]]:
    """Agreement of the volumes where patients have several scans: of one scan, and on what changes from scan to scan."""
    together: list[Sequence[str]] = [*study.pairs]
    if len(study.readers) > 2:
        together.append(study.readers)
    rows = []
    for names in together:
        cases, volumes = paired_volumes(study, label, names)
        patients = _patients_of(study, cases).tolist()
        if 1 < len(set(patients)) < len(patients) and np.ptp(volumes) > 0:
            rows.append({"readers": list(names), **repeated_agreement(volumes, patients).to_dict()})
    return rows


def _patients_of(study: RaterStudy, cases: Sequence[str]) -> np.ndarray:
    """The patient of each case, as an array of texts."""
    patient = study.patients()
    return np.array([patient[case] for case in cases], dtype=object)


def _friedman(study: RaterStudy, label: str) -> list[dict[str, Any]]:
    """Do the readers' volumes differ? One row, none with fewer than three readers."""
    cases, volumes = paired_volumes(study, label, study.readers)
    patients = _patients_of(study, cases)
    if len(study.readers) < 3 or len(set(patients)) < 3:
        return []
    return [{"readers": list(study.readers), **friedman(volumes, groups=patients.tolist()).to_dict()}]


def _regression(study: RaterStudy, label: str, factors: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Of the model's mean Dice over the raters (of the raters' Dice without a model) on acquisition parameters."""
    model = study.model
    against: list[Pair] = _rater_pairs(study) if model is None else [(model, rater) for rater in study.raters]
    scores: dict[str, list[float]] = {}
    for pair in against:
        if pair in study.pairs:
            for case, row in study.metrics(pair, label).items():
                scores.setdefault(case, []).append(row.dice)
    cases = [case for case in scores if all(case in column for column in factors.values())]
    if not cases:
        raise BadInput(
            "no case of the study is in the table of factors", None, "Its column `case` must hold the file names"
        )
    patient = study.patients()
    people = len({patient[case] for case in cases})
    if people < len(factors) + BEYOND_FACTORS:
        needed = len(factors) + BEYOND_FACTORS
        told = f"{people} patients are too few for a regression on {len(factors)} factor(s), {needed} are needed"
        return {"terms": [], "n": len(cases), "patients": people, "reason": told, "p": math.nan}
    columns = {name: [column[case] for case in cases] for name, column in factors.items()}
    found = regression([float(np.mean(scores[c])) for c in cases], columns, groups=[patient[c] for c in cases])
    terms = [
        {"name": t.name, **t.estimate.to_dict(), "se": t.error, "t": t.t, "df": t.freedom, "p": t.p}
        for t in found.terms
    ]
    counts = {"n": found.n, "patients": found.patients}
    return {"terms": terms, **counts, "r_squared": found.r_squared, "p": found.f_p, "errors": found.errors}


def _warnings(study: RaterStudy) -> list[str]:
    told = [
        f"{rater} did not read {len(cases)} case(s): {', '.join(cases[:5])}"
        for rater, cases in study.unrated.items()
        if cases
    ]
    if study.failed:
        told.append(f"{study.model} has no prediction of {', '.join(study.failed)}; counted as a prediction of nothing")
    patients = len(set(study.patients().values()))
    if patients < FEW:
        told.append(f"{patients} patients are few: intervals are wide, and a test finds large differences only")
    return told
