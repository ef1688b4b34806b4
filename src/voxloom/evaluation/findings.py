"""Several findings per case, each present or not: rows that are added, summed up, written and read back.

Every finding is a question of its own with two answers, judged as ``voxloom.evaluation.classification`` judges two classes. Where a
finding is not known of a case, there is no row. Knows no network and no file but its own table.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.auc import LEAST as OF_CLASS
from voxloom.evaluation.auc import auc
from voxloom.evaluation.classification import LEAST, ClassEvaluation, ClassRow, as_dict
from voxloom.evaluation.losses import CaseLoss, worst_first
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.statistics import Estimate, jackknife
from voxloom.files import write_text

Numbers = NDArray[np.float64]
#: The other answer to the question of a finding.
ABSENT = "absent"
#: Figures of a finding in a summary; those of two classes that are asked of the positive one, or of both together.
_SINGLE = ("auc", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "f1", "average_precision")
FIGURES = (*_SINGLE, "mcc", "brier", "ece")


@dataclass(frozen=True)
class FindingRow:
    """One finding of one case: whether it is there, and its probability."""

    case: str
    patient: str
    finding: str
    truth: bool
    probability: float


class FindingEvaluation:
    """Rows of many cases and what they come to.

    Parameters
    ----------
    findings : names, in the order of the run.
    """

    def __init__(self, findings: Sequence[str], rows: Iterable[FindingRow] = ()) -> None:
        self.findings, self.rows = tuple(findings), list(rows)

    def add(self, rows: Iterable[FindingRow]) -> None:
        """Add the known findings of one case."""
        self.rows.extend(rows)

    def extend(self, other: FindingEvaluation) -> None:
        """Add all rows of another evaluation."""
        self.rows.extend(other.rows)

    @property
    def cases(self) -> list[str]:
        """Ids of the cases, in order of first appearance."""
        return list(dict.fromkeys(row.case for row in self.rows))

    def of(self, finding: str) -> ClassEvaluation:
        """The question of one finding, as two classes of which it is the positive one."""
        p = [row for row in self.rows if row.finding == finding]
        return ClassEvaluation(
            (ABSENT, finding),
            [
                ClassRow(r.case, r.patient, finding if r.truth else ABSENT, (1 - r.probability, r.probability))
                for r in p
            ],
        )

    def losses(self) -> list[CaseLoss]:
        """Binary cross-entropy per case, that of its worst finding, which truth and answer name; the worst case first."""
        worst: dict[str, CaseLoss] = {}
        for row in self.rows:
            given = row.probability if row.truth else 1 - row.probability
            loss, said = -math.log(max(given, 1e-7)), row.probability > 0.5
            words = [f"{row.finding} {'present' if there else ABSENT}" for there in (row.truth, said)]
            sure = max(row.probability, 1 - row.probability)
            found = CaseLoss(row.case, row.patient, words[0], words[1], loss, row.truth == said, sure)
            if row.case not in worst or loss > worst[row.case].loss:
                worst[row.case] = found
        return worst_first(worst.values())

    def words(self, case: str) -> str:
        """Truth and answers of a case, for people."""
        rows = [row for row in self.rows if row.case == case]
        return ", ".join(f"{r.finding} {'present' if r.truth else ABSENT} ({r.probability:.2f})" for r in rows)

    def summary(self) -> dict[str, Any]:
        """metric -> finding -> {value, ci}; ``all`` is the mean over the findings (AUC). Also counts per finding."""
        patients = {row.case: row.patient for row in self.rows}
        figures: dict[str, Any] = {"cases": len(patients), "patients": len(set(patients.values()))}
        figures |= {"patients_note": patients_note(patients), "findings": list(self.findings)}
        known = [name for name in self.findings if any(row.finding == name for row in self.rows)]
        single = {name: self.of(name).summary() for name in known}
        figures["counts"] = {name: single[name]["counts"][name] for name in known}
        figures["known"] = {name: single[name]["cases"] for name in known}
        figures["confusion"] = {name: single[name]["confusion"] for name in known}
        for metric in FIGURES:
            found = {name: single[name][metric].get("all") or single[name][metric][name] for name in known}
            figures[metric] = ({"all": self._mean_auc()} if metric == "auc" else {}) | found
        return figures

    def _mean_auc(self) -> dict[str, Any]:
        place = np.array([self.findings.index(row.finding) for row in self.rows], dtype=np.intp)
        truth = np.array([row.truth for row in self.rows], dtype=bool)
        p = np.array([row.probability for row in self.rows], dtype=float)
        groups = [row.patient for row in self.rows]
        return as_dict(mean_finding_auc(place, truth, p, groups))

    def write_csv(self, path: str | Path) -> Path:
        """One row per case and finding."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["case", "patient", "finding", "truth", "probability"])
        writer.writerows([r.case, r.patient, r.finding, int(r.truth), f"{r.probability:.6g}"] for r in self.rows)
        write_text(path, text.getvalue())
        return Path(path)

    @classmethod
    def read_csv(cls, path: str | Path) -> FindingEvaluation:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as f:
                rows = [
                    FindingRow(r["case"], r["patient"], r["finding"], bool(int(r["truth"])), float(r["probability"]))
                    for r in csv.DictReader(f)
                ]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise BadInput(f"is not a table of findings ({error})", path, "Evaluate the run again") from error
        return cls(list(dict.fromkeys(row.finding for row in rows)), rows)


def mean_auc_of(place: NDArray[np.intp], truth: NDArray[np.bool_], p: Numbers) -> float:
    """Mean AUC over the findings (numbers in ``place``) that are present in some cases and absent in others."""
    values = [auc(truth[place == n], p[place == n]) for n in np.unique(place)]
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


def mean_finding_auc(
    place: NDArray[np.intp], truth: NDArray[np.bool_], p: Numbers, patients: Sequence[str]
) -> Estimate:
    """``mean_auc_of`` with a jackknife interval over patients.

    None where fewer than ``auc.LEAST`` patients have a finding, or have it not: who is left out then decides alone.
    """
    who = np.asarray([str(one) for one in patients])
    sides = [who[(place == n) & (truth == side)] for n in np.unique(place) for side in (True, False)]
    if any(0 < len(set(side)) < OF_CLASS for side in sides):
        return Estimate(mean_auc_of(place, truth, p), math.nan, math.nan)
    return jackknife(mean_auc_of, place, truth, p, groups=list(patients), scale="logit", least=LEAST)
