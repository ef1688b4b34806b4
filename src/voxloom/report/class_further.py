"""Further parts of the page of classes and numbers: thresholds, verdicts per patient, raters, abstaining, promises, gaps.

Knows the figures of summaries and ``calibration.json``. Parts without figures are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.evaluation.classification import VERDICT
from voxloom.files import read_json
from voxloom.report.class_table import METRICS, number_text
from voxloom.report.parts import Part, picture, table_of
from voxloom.report.plots.classes import confusion_matrix
from voxloom.runfiles import SUMMARY

Figures = Mapping[str, Any]
#: Entries of a set in ``summary.json`` beside what its table comes to.
FURTHER = ("thresholds", "raters", "stated_bands")


def further_of(run: Path, name: str | None) -> dict[str, Any]:
    """Entries of one set in ``summary.json``.

    Parameters
    ----------
    name : "validation", "test", or "external" with the name of the set behind a colon.
    """
    summary = read_json(run / SUMMARY) if (run / SUMMARY).is_file() else {}
    kind, _, which = (name or "").partition(":")
    about = summary.get(kind) or {}
    about = about.get(which, {}) if which else about
    return {key: about[key] for key in FURTHER if key in about}


def class_further(name: str, figures: Figures) -> list[Part]:
    """What goes below the table of classes."""
    found = [
        threshold_part(name, figures),
        patient_part(name, figures),
        rater_part(name, figures),
        abstention_part(name, figures, "share wrong"),
        sets_part(name, figures),
    ]
    return [part for part in found if part is not None]


def threshold_part(name: str, figures: Figures) -> Part | None:
    """Sensitivity and its like at stated thresholds."""
    rows = figures.get("thresholds")
    if not rows:
        return None
    head = ["from a probability of", "called positive", "sensitivity", "specificity", "PPV", "NPV"]
    keys = ("sensitivity", "specificity", "positive_predictive_value", "negative_predictive_value")
    cells = [[f"{r['threshold']:g}", r["positive"], *(number_text(r[key]) for key in keys)] for r in rows]
    text = "With 95 % intervals over patients. Predictive values hold for the share of positive cases in this set only."
    return Part(f"Thresholds on {name}", text, table_of(head, cells))


def patient_part(name: str, figures: Figures) -> Part | None:
    """The verdict per patient."""
    about = figures.get("per_patient")
    if about is None:
        return None
    negative, positive = about["confusion"]["classes"]
    rows = [[METRICS[metric], number_text(about[metric].get("all") or about[metric][positive])] for metric in VERDICT]
    counts = np.array(about["confusion"]["counts"])
    drawn = picture(confusion_matrix((negative, positive), counts), "Confusion matrix: patients")
    text = f"A patient counts as {positive} where any case is; the probability is the largest of the cases."
    return Part(f"Verdict per patient, {name}", text, table_of(["metric", "value [95 % CI]"], rows), [drawn])


def rater_part(name: str, figures: Figures) -> Part | None:
    """Agreement of the raters, and with the model as one more."""
    about = figures.get("raters")
    if about is None:
        return None
    titles = {
        "scores": f"{about['raters']} raters, scores (interval level)",
        "classes": f"{about['raters']} raters, classes",
        "classes_with_model": f"{about['raters']} raters and the model, classes",
        "model_with_truth": "model and truth",
    }
    rows = [[title, number_text(about[key], 2)] for key, title in titles.items() if key in about]
    told = "; ".join(
        f"{r['truth']} answered {r['answer']} {r['mean_score']:.2f} ({r['cases']} cases)"
        for r in about["by_outcome"]
        if r["mean_score"] is not None
    )
    text = "Krippendorff's alpha; intervals draw whole patients."
    if told:
        text += f" Mean score of the raters: {told}."
    return Part(f"Raters, {name}", text, table_of(["among", "alpha [95 % CI]"], rows))


def abstention_part(name: str, figures: Figures, what: str) -> Part | None:
    """What abstaining gains."""
    about = figures.get("abstention")
    if about is None:
        return None
    rows = [[f"{100 * r['coverage']:.0f} %", f"{r['risk']:.3f}"] for r in about["at"]]
    text = (
        f"The surest cases are answered, the others left open. Area under the curve {about['area']:.3f}; with a perfect order "
        f"{about['best_area']:.3f}."
    )
    return Part(f"Abstaining on {name}", text, table_of(["answered", f"{what} among them"], rows))


def sets_part(name: str, figures: Figures) -> Part | None:
    """Whether sets of possible classes held the truth."""
    about = figures.get("sets")
    return (
        None
        if about is None
        else Part(f"Sets of possible classes, {name}", promise_text(about, "sets", "number of classes"))
    )


def promise_text(about: Figures, what: str, unit: str) -> str:
    """How a promise did, in a sentence."""
    shares = ", ".join(f"{100 * about[end]:.0f}" for end in ("low", "high"))
    promised = about["promise"]
    told = (
        f"{what.capitalize()} held all truths of {100 * about['held']:.0f} % [{shares}] of {about['patients']} patients"
    )
    if promised is not None and not math.isnan(promised):
        told += f"; {100 * promised:.0f} % were promised"
    if about["size"] is None:
        return f"{told}. They have no bound."
    return f"{told}. Their mean {unit} is {about['size']:.3g}."


def calibration_parts(run: Path) -> list[Part]:
    """What the run learned of its own answers, and whether it holds on patients that this was not fitted to."""
    path = run / "calibration.json"
    if not path.is_file():
        return []
    about = read_json(path)
    on, told = about.get("on", "held-out cases"), []
    each = about.get("findings") or ({"": about} if "temperature" in about else {})
    for name, one in each.items():
        of = f" {name}:" if name else ""
        told.append(f"{of} Fitted on {one['cases']} {on}: temperature {one['temperature']:.2f}.".strip())
        if one.get("checked"):
            told.append(promise_text(one["checked"], "sets", "number of classes"))
    for name, check in (about.get("checked") or {}).items() if "limits" in about else ():
        if check is not None:
            told.append(promise_text(check, f"intervals of {name}", "width"))
    if "held all truths" in " ".join(told):
        told.append("Checked by turns on a tenth of the patients, with what was fitted to the others.")
    return [Part("Calibration and its promise", " ".join(told))] if told else []


def number_further(name: str, figures: Figures) -> list[Part]:
    """What goes below the table of numbers."""
    parts = []
    for target, f in figures["targets"].items():
        stated = (figures.get("stated_bands") or {}).get(target)
        bands = [band_row(b) for b in stated or f["bands"]]
        if len(bands) > 1:
            told = "A bias that falls from low to high values shows predictions drawn to the middle."
            head = ["band", "n", "MAE [95 % CI]", "bias"]
            parts.append(Part(f"{target} of {name} by band", told, table_of(head, bands)))
        parts.append(gap_part(name, target, f))
        if "interval" in f:
            wide = promise_text(f["interval"], "intervals", "width")
            parts.append(Part(f"Intervals of {target}, {name}", wide))
        if (part := abstention_part(f"{target} of {name}", f, "mean absolute error")) is not None:
            parts.append(part)
    return parts


def band_row(band: Figures) -> list[str]:
    """From, to, cases, error, bias."""
    mae = number_text(band["mae"], 2)
    return [f"{band['from']:g} to {band['to']:g}", f"{band['n']:g}", mae, f"{band['bias']:+.2f}"]


def gap_part(name: str, target: str, figures: Figures) -> Part:
    """Prediction minus truth, and what is left of it after correcting for the truth."""
    gap = figures["gap"]
    spread = [number_text({"value": gap[key], "ci": (math.nan, math.nan)}, 2) for key in ("sd", "sd_corrected")]
    rows = [
        ["mean", f"{gap['mean']:+.2f}"],
        ["SD", spread[0]],
        [f"change per unit of {target}", f"{gap['slope']:+.3f}"],
        ["SD after correcting for the truth", spread[1]],
    ]
    text = (
        f"The gap is the predicted minus the true {target}. Its line over the truth is fitted to other patients, then taken off; "
        "`gap` and `gap_corrected` of every case are in metrics.csv."
    )
    return Part(f"Gap of {target}, {name}", text, table_of(["gap", "value"], rows))
