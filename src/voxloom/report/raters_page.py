"""``raters.html``: how raters and a model agree, in tables and figures that are also kept for print.

Knows a study of raters and its figures; measures nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.evaluation.measures import USUAL
from voxloom.evaluation.raters.study import RaterStudy
from voxloom.evaluation.raters.summary import PAIR_METRICS, paired_volumes
from voxloom.evaluation.statistics import ICC_LEAST, LEAST_PATIENTS, interval_text, p_text
from voxloom.evaluation.units import distance_unit, volume_unit
from voxloom.files import file_stem
from voxloom.report.pages import write_page
from voxloom.report.parts import Part, number, picture, table_of
from voxloom.report.plots import bland_altman_plot, scatter_with_marginals, violin_with_points


def metric_names(unit: str) -> dict[str, str]:
    """What the metrics of pairs are called, with the unit of distances."""
    mm = distance_unit(unit)
    return {"dice": "Dice", "hd": f"HD ({mm})", "hd95": f"HD95 ({mm})", "assd": f"ASSD ({mm})"}


def write_raters_report(study: RaterStudy, figures: dict[str, Any], folder: str | Path) -> Path:
    """Write ``raters.html`` and ``figures/*.svg`` and ``*.png`` into a folder; the path of the page."""
    root = Path(folder)
    parts = [part for label in study.labels for part in _label_parts(study, label, figures["labels"][label], root)]
    people = ", ".join(study.raters)
    values = {
        "name": "Agreement of raters" + (f" and of {study.model}" if study.model else ""),
        "lead": lead_sentence(figures),
        "subtitle": f"{figures['cases']} cases ({figures['patients_note']}), read by {people}; intervals over patients, none with "
        f"fewer than {LEAST_PATIENTS}",
        "warnings": figures["warnings"],
        "parts": parts,
    }
    return write_page(root / "raters.html", "page.html", values)


def lead_sentence(figures: dict[str, Any]) -> str:
    """Median Dice of the model against the raters beside that between the raters, for the first label."""
    label, found = next(iter(figures["labels"].items()))
    told = [f"{p['first']}–{p['second']} {number(p['dice']['median'], 2)}" for p in found["pairs"]]
    return f"Median Dice of {label}: {', '.join(told)}."


def _label_parts(study: RaterStudy, label: str, found: dict[str, Any], root: Path) -> Iterator[Part]:
    yield Part(
        f"{label}: agreement of masks",
        f"Median (quartiles) over cases. An infinite distance (one mask empty) is never dropped. {'. '.join(USUAL.notes())}.",
        _pair_table(found["pairs"], study.unit),
        _score_pictures(study, label, root),
    )
    if found["tests"]:
        text = (
            "Is the model further from a rater than the raters are from one another? Wilcoxon signed-rank test, one value per "
            "patient, Holm-corrected over all rows of all labels; an infinite distance ranks last."
        )
        yield Part(f"{label}: model against the raters' own agreement", text, _test_table(found["tests"], study.unit))
    if found["adjusted"]:
        rows = [
            [r["rater"], metric_names(study.unit)[r["metric"]], number(r["median"], 2), r["n"], r["left_out"]]
            for r in found["adjusted"]
        ]
        text = (
            "In every case the raters' disagreement is allowed for: Dice + (1 − Dice between raters), distance − distance between "
            "raters; 1 and 0 mean that the model is as near to the rater as the other rater is. Medians over cases."
        )
        yield Part(
            f"{label}: adjusted for the raters' disagreement",
            text,
            table_of(["Rater", "Metric", "Adjusted median", "Cases", "Left out (raters infinitely apart)"], rows),
        )
    yield from _volume_parts(study, label, found, root)
    if "regression" in found:
        yield _regression_part(label, found["regression"])


def _pair_table(pairs: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    rows = []
    for p in pairs:
        cells = [
            f"{number(p[m]['median'], 2)} ({number(p[m]['q1'], 2)} to {number(p[m]['q3'], 2)})" for m in PAIR_METRICS
        ]
        rows.append([f"{p['first']} – {p['second']}", p["cases"], *cells, p["hd"]["infinite"]])
    return table_of(["Pair", "Cases", *metric_names(unit).values(), "One mask empty"], rows)


def _test_table(tests: list[dict[str, Any]], unit: str) -> dict[str, Any]:
    rows = [
        [
            f"{t['rater']}, {metric_names(unit)[t['metric']]}",
            number(t["model"], 2),
            number(t["raters"], 2),
            p_text(t["p"]),
            p_text(t["p_holm"]),
            number(t["effect"], 2),
            p_text(t["p_rank_sum"]),
            f"{t['n']} of {t['n'] + t['zeros']}",
        ]
        for t in tests
    ]
    head = [
        "Against",
        "Model, median",
        "Raters, median",
        "p",
        "p, Holm",
        "Effect (rank-biserial)",
        "p, rank sum",
        "Patients with a difference",
    ]
    return table_of(head, rows)


def _score_pictures(study: RaterStudy, label: str, root: Path) -> list[dict[str, str]]:
    pictures = []
    for metric in ("dice", "hd95"):
        values = {
            f"{a}–{b}": [float(getattr(row, metric)) for row in study.metrics((a, b), label).values()]
            for a, b in study.pairs
        }
        limits = (0.0, 1.0) if metric == "dice" else None
        figure = violin_with_points(values, metric_names(study.unit)[metric], limits=limits)
        path = root / "figures" / file_stem(label, metric)
        pictures.append(
            picture(figure, f"{metric_names(study.unit)[metric]} of {label} per pair; every point is a case", path)
        )
    return pictures


def _volume_parts(study: RaterStudy, label: str, found: dict[str, Any], root: Path) -> Iterator[Part]:
    if found["bland_altman"]:
        rows = [
            [
                f"{b['first']} − {b['second']}",
                b["n"],
                b["patients"],
                *(_interval(b[k]) for k in ("bias", "lower", "upper")),
                p_text(b["slope_p"]),
                p_text(b["slope_p_holm"]),
            ]
            for b in found["bland_altman"]
        ]
        bias = f"Bias, {volume_unit(study.unit)} [95 % CI]"
        head = ["Pair", "Cases", "Patients", bias, "Lower limit", "Upper limit", "Bias grows with size, p", "p, Holm"]
        text = (
            "Bland-Altman: mean difference of the volumes, and the limits that hold 95 % of the differences; where patients were "
            "scanned more than once the limits hold both variances, between and within them."
        )
        pictures = [_bland_altman_picture(study, label, b["first"], b["second"], root) for b in found["bland_altman"]]
        yield Part(f"{label}: volumes", text, table_of(head, rows), pictures)
    if found["icc"]:
        rows = [[" , ".join(i["readers"]), i["scale"], i["n"], _interval(i)] for i in found["icc"]]
        told = _friedman_sentence(found["friedman"])
        text = (
            "ICC(A,1): two-way random effects, absolute agreement, single rater, one value per patient; empty masks have "
            "no logarithm. " + told
        )
        yield Part(
            f"{label}: intraclass correlation of volumes", text, table_of(["Readers", "Scale", "Patients", "ICC"], rows)
        )
    else:
        told = f"No ICC(A,1): it needs at least {ICC_LEAST} patients that two readers read, with volumes that differ."
        yield Part(f"{label}: intraclass correlation of volumes", told)
    if found.get("repeated"):
        yield _repeated_part(study, label, found["repeated"])
    if found["spearman"]:
        rows = [
            [
                f"{s['first']} – {s['second']}",
                s["n"],
                *(cell for r in (s, s["hd"]) for cell in (_interval(r["rho"]), p_text(r["p"]), p_text(r["p_holm"]))),
            ]
            for s in found["spearman"]
        ]
        text = (
            "Are larger structures segmented better? Spearman's ρ of the volume with Dice and with the Hausdorff distance (HD, "
            "infinite ones as the largest). Volume: the rater's against a model, the mean between raters. One value per patient."
        )
        pictures = [_volume_picture(study, label, s["first"], s["second"], root) for s in found["spearman"]]
        head = ["Pair", "Patients", "ρ with Dice", "p", "p, Holm", "ρ with HD", "p", "p, Holm"]
        yield Part(f"{label}: Dice and volume", text, table_of(head, rows), pictures)


def _repeated_part(study: RaterStudy, label: str, found: list[dict[str, Any]]) -> Part:
    levels = list(found[0]["sd"])
    rows = [
        [", ".join(r["readers"]), r["frames"], r["patients"], _interval(r["single"]), _interval(r["within"])]
        + [number(r["sd"][level], 2) for level in levels]
        for r in found
    ]
    text = (
        "Several scans of a patient, each by all readers. One scan: share of the variance of one reader's volume of one scan that is "
        "the scan's own, these readers' shifts counted against it. Within patients: the same for what changes from scan to scan. "
        f"Standard deviations in {volume_unit(study.unit)}; from mean squares, intervals by the jackknife over patients."
    )
    head = [
        "Readers",
        "Scans",
        "Patients",
        "One scan [95 % CI]",
        "Within patients [95 % CI]",
        *(f"SD, {n}" for n in levels),
    ]
    return Part(f"{label}: agreement on repeated scans", text, table_of(head, rows))


def _interval(estimate: dict[str, float]) -> str:
    if math.isnan(estimate["value"]):
        return "–"
    return f"{estimate['value']:.2f} [{interval_text((estimate['low'], estimate['high']))}]"


def _friedman_sentence(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return ""
    f = rows[0]
    return (
        f"Friedman test of the volumes of {', '.join(f['readers'])}: {p_text(f['p'])}, Holm-corrected over labels "
        f"{p_text(f['p_holm'])} (Kendall's W {f['effect']:.2f}, {f['n']} patients)."
    )


def _bland_altman_picture(study: RaterStudy, label: str, first: str, second: str, root: Path) -> dict[str, str]:
    cases, volumes = paired_volumes(study, label, (first, second))
    patient, table = study.patients(), np.array(volumes)
    groups = [patient[case] for case in cases]
    figure, _ = bland_altman_plot(table[:, 0], table[:, 1], (first, second), volume_unit(study.unit), groups=groups)
    return picture(figure, f"Volumes of {label}", root / "figures" / file_stem(label, "bland-altman", first, second))


def _volume_picture(study: RaterStudy, label: str, first: str, second: str, root: Path) -> dict[str, str]:
    cases, volumes = paired_volumes(study, label, (first, second))
    rows = study.metrics((first, second), label)
    size = np.array(volumes)[:, 1] if first == study.model else np.array(volumes).mean(axis=1)
    dice, patient = [rows[c].dice for c in cases], study.patients()
    groups = [patient[case] for case in cases]
    volume = f"volume ({volume_unit(study.unit)})"
    figure = scatter_with_marginals(size, dice, volume, f"Dice {first}–{second}", groups=groups)
    return picture(
        figure, f"Dice of {label} against its volume", root / "figures" / file_stem(label, "volume", first, second)
    )


def _regression_part(label: str, found: dict[str, Any]) -> Part:
    if "reason" in found:
        return Part(f"{label}: acquisition", f"No regression: {found['reason']}.")
    rows = [
        [t["name"], _interval(t), number(t["se"], 3), p_text(t["p"]), p_text(t.get("p_holm", math.nan)) if n else ""]
        for n, t in enumerate(found["terms"])
    ]
    text = (
        f"Linear regression of Dice on acquisition parameters: {found['n']} cases of {found['patients']} patients, R² "
        f"{found['r_squared']:.2f}, all terms together {p_text(found['p'])}, Holm-corrected over labels {p_text(found['p_holm'])}; "
        f"standard errors {found['errors']}. Terms are Holm-corrected over all labels; one without p rests on too few patients."
    )
    return Part(f"{label}: acquisition", text, table_of(["Term", "Estimate", "SE", "p", "p, Holm"], rows))
