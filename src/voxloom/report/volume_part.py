"""The section on volumes of a run's page: do predicted and true volumes agree, and are small structures harder?"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from voxloom.evaluation import Evaluation
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.statistics import ICC_DEFAULT, ICC_LEAST, bland_altman, holm, icc, p_text, spearman
from voxloom.evaluation.statistics.arrays import rankable
from voxloom.evaluation.units import volume_unit
from voxloom.report.parts import Part, picture, table_of
from voxloom.report.plots import bland_altman_plot

#: Labels beyond this many are in the table only; fewer patients than this have no figures of agreement.
_DRAWN, _LEAST = 6, ICC_LEAST


def volume_part(name: str, evaluation: Evaluation) -> Part | None:
    """Bland-Altman, ICC and Spearman per label; None where patients are too few.

    Parameters
    ----------
    name : of the cases, for the title.
    """
    rows: list[dict[str, Any]] = []
    pictures: list[dict[str, str]] = []
    ml = volume_unit(evaluation.unit)
    for label in evaluation.labels:
        found, true = (np.array(evaluation.values(f"volume_ml_{side}", label)) for side in ("prediction", "truth"))
        groups = [row.patient for row in evaluation.rows if row.label == label]
        if len(set(groups)) < _LEAST or not np.ptp(true):
            continue
        rows.append(_row(label, found, true, evaluation, groups))
        if len(pictures) < _DRAWN:
            figure, _ = bland_altman_plot(found, true, ("prediction", "truth"), ml, groups=groups)
            pictures.append(picture(figure, f"Volume of {label}: difference over mean"))
    if not rows:
        return None
    corrected = [holm([row["p"][n] for row in rows]) for n in (0, 1)]
    for n, row in enumerate(rows):
        with_dice, with_distance = row["rho"]
        row["cells"] += [with_dice, p_text(corrected[0][n]), with_distance, p_text(corrected[1][n])]
    head = [
        "Label",
        "Cases",
        "Patients",
        f"Bias, {ml} [95 % CI]",
        f"Limits of agreement, {ml}",
        "ICC(A,1)",
        "ρ of volume and Dice",
        "p, Holm",
        "ρ of volume and HD",
        "p, Holm",
    ]
    text = (
        "Bias: mean of prediction minus truth; the limits hold 95 % of the differences. ICC(A,1): two-way random effects, absolute "
        "agreement, single rater. ρ: Spearman's correlation of the true volume with Dice and with the Hausdorff distance, infinite "
        "ones as the largest. ICC and ρ see one value per patient, the "
        "mean of the scans; where patients were scanned more than once the limits hold both variances, between and within them "
        f"({patients_note(evaluation.patients)})."
    )
    return Part(f"{name}: volumes", text, table_of(head, [row["cells"] for row in rows]), pictures)


def _row(label: str, found: np.ndarray, true: np.ndarray, evaluation: Evaluation, groups: list[str]) -> dict[str, Any]:
    agreement = bland_altman(found, true, groups=groups)
    form = icc(np.stack([found, true], axis=1), groups=groups)[ICC_DEFAULT]
    (far,) = rankable(evaluation.values("hd", label))
    with_size = [spearman(true, values, groups=groups) for values in (evaluation.values("dice", label), far)]
    limits = f"{agreement.lower.value:.3f} to {agreement.upper.value:.3f}"
    rho = ["–" if math.isnan(found_.rho.value) else found_.rho.text() for found_ in with_size]
    one = "–" if math.isnan(form.value) else form.text(3)
    cells = [label, len(true), agreement.patients, agreement.bias.text(3), limits, one]
    return {"p": [found_.p for found_ in with_size], "cells": cells, "rho": rho}
