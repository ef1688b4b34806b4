"""Lesions found and missed over many cases: FROC, its mean sensitivity, average precision, with intervals over patients.

Free-response ROC: sensitivity to lesions over false positives per case (Bunch et al. 1978; the seven rates and their mean, the
competition performance metric, as in LUNA16: Setio et al., Medical Image Analysis 2017). Average precision over all candidates, with
the precision that is reached at a sensitivity or beyond (Everingham et al., PASCAL VOC 2010). Knows candidates, not masks.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.candidates import CaseCandidates
from voxloom.evaluation.statistics import Estimate, jackknife
from voxloom.files import write_text

#: False positives per case at which sensitivity is told.
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
#: Columns of ``candidates.csv``.
COLUMNS = ("case", "patient", "label", "lesions", "confidence", "lesion", "iou", "voxels")
#: Patients with fewer have no interval (docs/trust.md).
LEAST_PATIENTS = 10
#: The sensitivity at a rate that so few false positives of all cases together decide has none either.
LEAST_FALSE = 10


@dataclass(frozen=True)
class Froc:
    """The curve: false positives per case and sensitivity after every distinct confidence, the surest first."""

    false_positives: NDArray[np.float64]
    sensitivity: NDArray[np.float64]

    def at(self, rate: float) -> float:
        """The largest sensitivity with at most ``rate`` false positives per case; nothing is interpolated."""
        reached = self.sensitivity[self.false_positives <= rate + 1e-12]
        return float(reached.max(initial=0.0))


@dataclass(frozen=True)
class Pooled:
    """Candidates of some cases together: confidence and whether each is a lesion, the surest first; lesions and cases in all."""

    confidence: NDArray[np.float64]
    hit: NDArray[np.bool_]
    lesions: int
    cases: int

    @cached_property
    def froc(self) -> Froc:
        """Candidates of one confidence count together."""
        ends = _ends(self.confidence)
        hits, wrong = (np.cumsum(column)[ends].astype(float) for column in (self.hit, ~self.hit))
        return Froc(wrong / max(self.cases, 1), hits / self.lesions if self.lesions else np.full(len(hits), math.nan))

    @property
    def average_precision(self) -> float:
        """Area under precision over sensitivity; lesions that no candidate meets are never found. NaN without lesions."""
        if not self.lesions:
            return math.nan
        ends = _ends(self.confidence)
        hits = np.cumsum(self.hit)[ends]
        precision = hits / (ends + 1)
        reached = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(hits, prepend=0) * reached).sum() / self.lesions)

    @property
    def mean_sensitivity(self) -> float:
        """Mean of the sensitivities at ``RATES``."""
        curve = self.froc
        return float(np.mean([curve.at(rate) for rate in RATES])) if self.lesions else math.nan


def _ends(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """The last place of every distinct confidence, in falling order."""
    return np.flatnonzero(np.append(np.diff(confidence) != 0, len(confidence) > 0))


@dataclass(frozen=True)
class DetectionRow:
    """One label of one case."""

    case: str
    patient: str
    label: str
    found: CaseCandidates


@dataclass
class DetectionTable:
    """Candidates by case and label, in the order they were added."""

    rows: list[DetectionRow] = field(default_factory=list)

    def of_label(self, label: str) -> list[DetectionRow]:
        """The rows of one label."""
        return [row for row in self.rows if row.label == label]

    @property
    def labels(self) -> list[str]:
        """Names, in order of first appearance."""
        return list(dict.fromkeys(row.label for row in self.rows))

    def summary(self) -> dict[str, Any]:
        """Label -> ``label_figures``."""
        return {label: label_figures(self.of_label(label)) for label in self.labels}

    def write_csv(self, path: Path) -> Path:
        """Write ``candidates.csv``, whole or not at all; a case without candidates has one row without a confidence."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in self.rows:
            start = [row.case, row.patient, row.label, row.found.lesions]
            if not row.found.candidates:
                writer.writerow([*start, "", "", "", ""])
            for c in row.found.candidates:
                writer.writerow([*start, f"{c.confidence:.6g}", c.lesion, f"{c.iou:.6g}", c.voxels])
        write_text(path, text.getvalue())
        return path

    @classmethod
    def read_csv(cls, path: Path) -> DetectionTable:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        from voxloom.evaluation.candidates import Candidate

        found: dict[tuple[str, str, str, int], list[Candidate]] = {}
        try:
            with path.open(newline="", encoding="utf-8") as f:
                for line in csv.DictReader(f):
                    key = (line["case"], line["patient"], line["label"], int(line["lesions"]))
                    own = found.setdefault(key, [])
                    if line["confidence"]:
                        numbers = float(line["confidence"]), int(line["lesion"]), float(line["iou"])
                        own.append(Candidate(*numbers, int(line["voxels"])))
        except (KeyError, ValueError, TypeError) as error:
            raise BadInput(f"not a table of candidates ({error})", path, "Evaluate the run again") from error
        rows = [DetectionRow(*key[:3], CaseCandidates(key[3], tuple(own))) for key, own in found.items()]
        return cls(rows)


class Pool:
    """Candidates of several cases, from which those of some are taken together quickly."""

    def __init__(self, rows: Sequence[CaseCandidates]) -> None:
        every = [(c.confidence, c.lesion > 0, n) for n, row in enumerate(rows) for c in row.candidates]
        confidence, hit, of = (np.array(column) for column in zip(*every, strict=True)) if every else np.zeros((3, 0))
        order = np.argsort(-confidence, kind="stable")
        self._confidence, self._hit, self._of = confidence[order], hit[order].astype(bool), of[order].astype(int)
        self._lesions = np.array([row.lesions for row in rows])
        self._known: dict[bytes, Pooled] = {}

    def of(self, cases: NDArray[np.intp]) -> Pooled:
        """The candidates of some cases, by their numbers."""
        key = cases.tobytes()
        if key not in self._known:
            kept = np.zeros(len(self._lesions), bool)
            kept[cases] = True
            mine = kept[self._of]
            lesions = int(self._lesions[kept].sum())
            self._known[key] = Pooled(self._confidence[mine], self._hit[mine], lesions, len(cases))
        return self._known[key]


def pool(rows: Sequence[CaseCandidates]) -> Pooled:
    """Candidates of several cases together."""
    return Pool(rows).of(np.arange(len(rows)))


def label_figures(rows: Sequence[DetectionRow]) -> dict[str, Any]:
    """Figures of one label over cases.

    Returns
    -------
    cases, patients, lesions, candidates; ``average_precision``, ``mean_sensitivity`` (of ``RATES``) and, in ``froc``, the sensitivity
    at each rate, each as value, low, high (NaN where no interval can be given).
    """
    cases, patients = [row.found for row in rows], [row.patient for row in rows]
    whole = pool(cases)
    found = estimates(cases, patients)
    return {
        "cases": len(cases),
        "patients": len(set(patients)),
        "lesions": whole.lesions,
        "candidates": len(whole.confidence),
        "average_precision": found.pop("average_precision").to_dict(),
        "mean_sensitivity": found.pop("mean_sensitivity").to_dict(),
        "froc": {rate: one.to_dict() for rate, one in found.items()},
    }


def estimates(cases: Sequence[CaseCandidates], patients: Sequence[str]) -> dict[str, Estimate]:
    """``average_precision``, ``mean_sensitivity`` and the sensitivity at every rate (as text), with intervals over patients."""
    known = Pool(cases)

    def sensitivity(found: Pooled, rate: float) -> float:
        return found.froc.at(rate) if found.lesions else math.nan

    figures: dict[str, Callable[[Pooled], float]] = {
        "average_precision": lambda found: found.average_precision,
        "mean_sensitivity": lambda found: found.mean_sensitivity,
        **{f"{rate:g}": partial(sensitivity, rate=rate) for rate in RATES},
    }

    def ask(figure: Callable[[Pooled], float], chosen: NDArray[np.intp]) -> float:
        return figure(known.of(chosen))

    place = np.arange(len(cases))
    few = {f"{rate:g}" for rate in RATES if rate * len(cases) < LEAST_FALSE}
    return {
        name: Estimate(ask(figure, place), math.nan, math.nan)
        if name in few
        else jackknife(partial(ask, figure), place, groups=patients, scale="logit", least=LEAST_PATIENTS)
        for name, figure in figures.items()
    }
