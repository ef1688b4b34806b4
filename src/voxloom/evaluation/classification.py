"""Classes predicted for whole cases: rows that are added, summed up, written and read back.

AUC (one class against the rest), accuracy, balanced accuracy, sensitivity, specificity, F1, average precision, Matthews
correlation, Brier score, calibration error, confusion matrix, and a verdict per patient. Intervals are over patients. Terms as in
Metrics Reloaded (Maier-Hein, Reinke et al., Nature Methods 2024). Knows no network and no file but its own table.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.auc import auc_interval
from voxloom.evaluation.conformal import check_of
from voxloom.evaluation.losses import CaseLoss, worst_first
from voxloom.evaluation.patients import patients_note
from voxloom.evaluation.probabilities import reliability
from voxloom.evaluation.selective import abstention
from voxloom.evaluation.statistics import Estimate, Scale, jackknife, mean_square, share_estimate
from voxloom.files import write_text

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class ClassRow:
    """One case: its true class, and a probability for every class.

    Parameters
    ----------
    possible : classes that could not be ruled out; empty where no set was promised.
    promise : chance with which ``possible`` was to hold the truth.
    """

    case: str
    patient: str
    truth: str
    probabilities: tuple[float, ...]
    possible: tuple[str, ...] = ()
    promise: float | None = None


class ClassEvaluation:
    """Rows of many cases and what they come to.

    Parameters
    ----------
    classes : names, in the order of the probabilities; the last is the positive one where there are two.
    """

    def __init__(self, classes: Sequence[str], rows: Iterable[ClassRow] = ()) -> None:
        self.classes, self.rows = tuple(classes), list(rows)

    def add(self, row: ClassRow) -> None:
        """Add one case."""
        self.rows.append(row)

    def extend(self, other: ClassEvaluation) -> None:
        """Add all rows of another evaluation."""
        self.rows.extend(other.rows)

    @property
    def cases(self) -> list[str]:
        """Ids of the cases, in order."""
        return [row.case for row in self.rows]

    @property
    def patients(self) -> list[str]:
        """Patient of every row."""
        return [row.patient for row in self.rows]

    @property
    def truth(self) -> NDArray[np.intp]:
        """Number of the true class, per row."""
        return np.array([self.classes.index(row.truth) for row in self.rows], dtype=np.intp)

    @property
    def probabilities(self) -> Numbers:
        """(rows, classes)."""
        return np.array([row.probabilities for row in self.rows], dtype=float).reshape(-1, len(self.classes))

    def confusion(self) -> NDArray[np.intp]:
        """Counts (true class, predicted class)."""
        counts = np.zeros((len(self.classes),) * 2, dtype=np.intp)
        np.add.at(counts, (self.truth, self.probabilities.argmax(axis=1)), 1)
        return counts

    def losses(self) -> list[CaseLoss]:
        """Cross-entropy of the true class per case, the most confidently wrong first."""
        p, truth = self.probabilities, self.truth
        answers = p.argmax(axis=1)
        return worst_first(
            CaseLoss(
                row.case, row.patient, row.truth, self.classes[answers[n]], -math.log(max(float(p[n, truth[n]]), 1e-7)),
                bool(answers[n] == truth[n]), float(p[n].max()),
            )
            for n, row in enumerate(self.rows)
        )  # fmt: skip

    def summary(self) -> dict[str, Any]:
        """The figures, and where patients have several cases of two classes those of a verdict per patient (``per_patient``)."""
        figures = self.figures()
        if len(self.classes) == 2 and figures["patients"] < figures["cases"]:
            whole = per_patient(self).figures()
            figures["per_patient"] = {name: whole[name] for name in ("counts", "confusion", *VERDICT)}
        return figures

    def figures(self) -> dict[str, Any]:
        """metric -> name -> {value, ci}; ``all`` over the classes, and every class against the rest where it is a question of one.

        The class with the largest probability is the answer. Also counts per class, the confusion matrix, how many are right among
        the surest (``abstention``), and how often sets of possible classes held the truth (``sets``).
        """
        truth, p = self.truth, self.probabilities
        guess = p.argmax(axis=1)
        figures: dict[str, Any] = {"cases": len(self.rows), "patients": len(set(self.patients))}
        figures["patients_note"] = patients_note(dict(zip(self.cases, self.patients, strict=True)))
        figures["counts"] = {name: int((truth == n).sum()) for n, name in enumerate(self.classes)}
        figures["confusion"] = {"classes": list(self.classes), "counts": self.confusion().tolist()}
        figures["auc"] = self._aucs()
        figures["accuracy"] = {"all": as_dict(share_estimate(truth == guess, self.patients))}
        figures["balanced_accuracy"] = {"all": self._estimate(balanced_accuracy, "logit", truth, guess)}
        figures["mcc"] = {"all": self._estimate(matthews, "fisher", truth, guess)}
        each = list(enumerate(self.classes))
        for name, shares in SHARES.items():
            figures[name] = {c: self._share(*shares(truth == n, guess == n)) for n, c in each}
        figures["f1"] = {c: self._estimate(f1, "logit", truth == n, guess == n) for n, c in each}
        figures["average_precision"] = {
            c: self._estimate(average_precision, "logit", truth == n, p[:, n]) for n, c in each
        }
        brier_per_case = ((p - np.eye(p.shape[1])[truth]) ** 2).sum(axis=1)
        figures["brier"] = {"all": as_dict(mean_square(np.sqrt(brier_per_case), self.patients).within(BRIER))}
        figures["ece"] = {"all": {"value": reliability(p, truth).error, "ci": [math.nan, math.nan]}}
        figures["abstention"] = abstention(p.max(axis=1), guess != truth)
        promised = [row for row in self.rows if row.promise is not None]
        if promised:
            held, sizes = [row.truth in row.possible for row in promised], [len(row.possible) for row in promised]
            check = check_of(held, sizes, promised[0].promise or math.nan, [row.patient for row in promised])
            figures["sets"] = check.to_dict()
        return figures

    def at_thresholds(self, thresholds: Sequence[float]) -> list[dict[str, Any]]:
        """What comes of calling a case positive (of two classes the last) from a probability on.

        Returns
        -------
        Per threshold: sensitivity, specificity, positive and negative predictive value with intervals over patients, and the number
        called positive.
        """
        truth, p, found = self.truth == 1, self.probabilities[:, 1], []
        for threshold in thresholds:
            called = p >= threshold
            shares = {
                "sensitivity": (called, truth),
                "specificity": (~called, ~truth),
                "positive_predictive_value": (truth, called),
                "negative_predictive_value": (~truth, ~called),
            }
            figures = {name: self._share(hits, among) for name, (hits, among) in shares.items()}
            found.append({"threshold": float(threshold), "positive": int(called.sum()), **figures})
        return found

    def _aucs(self) -> dict[str, dict[str, Any]]:
        """Every class against the rest, and ``all``: the mean over the classes, or the only one of two."""
        truth, p = self.truth, self.probabilities
        found = {c: auc_interval(truth == n, p[:, n], self.patients) for n, c in enumerate(self.classes)}
        if len(self.classes) == 2:
            return {"all": as_dict(found[self.classes[1]])}
        whole = as_dict(mean_auc_estimate(truth, p, self.patients))
        return {"all": whole, **{name: as_dict(e) for name, e in found.items()}}

    def _estimate(self, metric: Callable[..., float], scale: Scale, *columns: NDArray[Any]) -> dict[str, Any]:
        """With a jackknife interval over patients, from ``LEAST`` patients on."""
        return as_dict(jackknife(metric, *columns, groups=self.patients, scale=scale, least=LEAST))

    def _share(self, hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> dict[str, Any]:
        """The share of hits among some of the cases, with its exact interval."""
        patients = [one for one, counts in zip(self.patients, among, strict=True) if counts]
        return as_dict(share_estimate(hits[among], patients))

    def case_values(self, metric: str, label: str) -> dict[str, float]:
        """A value per case for paired comparisons: "accuracy" (right or not), "brier", or "probability" of the true class."""
        truth, p = self.truth, self.probabilities
        if metric == "accuracy":
            values = (p.argmax(axis=1) == truth).astype(float)
        elif metric == "brier":
            values = ((p - np.eye(p.shape[1])[truth]) ** 2).sum(axis=1)
        else:
            values = p[np.arange(len(p)), truth]
        return dict(zip(self.cases, values.tolist(), strict=True))

    def words(self, case: str) -> str:
        """Truth and answer of a case, for people."""
        row = next(row for row in self.rows if row.case == case)
        best = int(np.argmax(row.probabilities))
        return f"truth {row.truth}, answer {self.classes[best]} ({row.probabilities[best]:.2f})"

    def write_csv(self, path: str | Path) -> Path:
        """One row per case: truth, answer, and a probability per class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        promised = any(row.promise is not None for row in self.rows)
        head = ["case", "patient", "truth", "prediction", *(f"p_{c}" for c in self.classes)]
        writer.writerow([*head, *(("possible", "promise") if promised else ())])
        for row in self.rows:
            answer = self.classes[int(np.argmax(row.probabilities))]
            sets = (json.dumps(list(row.possible), ensure_ascii=False), row.promise) if promised else ()
            p = (f"{v:.6g}" for v in row.probabilities)
            writer.writerow([row.case, row.patient, row.truth, answer, *p, *sets])
        write_text(path, text.getvalue())
        return Path(path)

    @classmethod
    def read_csv(cls, path: str | Path) -> ClassEvaluation:
        """The inverse of ``write_csv`` (BadInput for another table)."""
        try:
            with Path(path).open(newline="", encoding="utf-8") as f:
                reader = csv.DictReader(f)
                classes = [name[2:] for name in reader.fieldnames or () if name.startswith("p_")]
                rows = [_row(r, classes) for r in reader]
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise BadInput(f"is not a table of classes ({error})", path, "Evaluate the run again") from error
        return cls(classes, rows)


#: Of probabilities of several classes: 2 where one is surely wrong.
BRIER = (0.0, 2.0)
#: With fewer patients scores that are neither mean nor share have no interval (docs/trust.md).
LEAST = 10
#: What is told of a verdict per patient.
VERDICT = ("auc", "accuracy", "sensitivity", "specificity", "precision")


def _row(values: Mapping[str, str], classes: Sequence[str]) -> ClassRow:
    p = tuple(float(values[f"p_{c}"]) for c in classes)
    promise = float(values["promise"]) if values.get("promise") else None
    possible = tuple(json.loads(values["possible"])) if promise is not None else ()
    return ClassRow(values["case"], values["patient"], values["truth"], p, possible, promise)


def as_dict(estimate: Estimate) -> dict[str, Any]:
    """Value and interval for a summary."""
    return {"value": estimate.value, "ci": [estimate.low, estimate.high]}


def precision(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Share of the found cases that are true; NaN where none is found."""
    return float((guess & truth).sum() / guess.sum()) if guess.any() else math.nan


def f1(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Harmonic mean of sensitivity and precision; NaN where there is no such case at all."""
    total = int(truth.sum() + guess.sum())
    return float(2 * (truth & guess).sum() / total) if total else math.nan


def balanced_accuracy(truth: NDArray[np.intp], guess: NDArray[np.intp]) -> float:
    """Mean sensitivity over the classes that occur."""
    return float(np.mean([(guess[truth == c] == c).mean() for c in np.unique(truth)]))


def matthews(truth: NDArray[np.intp], guess: NDArray[np.intp]) -> float:
    """Matthews correlation of classes (Gorodkin 2004); 0 where truth or answer is one class only."""
    classes = int(max(truth.max(), guess.max())) + 1
    counts = np.bincount(truth * classes + guess, minlength=classes**2).reshape(classes, classes).astype(float)
    true, told, cases = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    spread = (cases**2 - told @ told) * (cases**2 - true @ true)
    return float((counts.trace() * cases - true @ told) / math.sqrt(spread)) if spread > 0 else 0.0


def average_precision(truth: NDArray[np.bool_], scores: Numbers) -> float:
    """Area under precision over recall, by steps; NaN where there is no such case."""
    if not truth.any():
        return math.nan
    order = np.argsort(-scores, kind="stable")
    hits, ranked = truth[order], scores[order]
    found = np.cumsum(hits)
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # ties are one step
    recall, precise = found[ends] / found[-1], found[ends] / (ends + 1)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precise))


def mean_auc(truth: NDArray[np.intp], p: Numbers) -> float:
    """Mean over the classes that occur of each against the rest."""
    from voxloom.evaluation.auc import auc

    values = [auc(truth == n, p[:, n]) for n in range(p.shape[1])]
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan


def mean_auc_estimate(truth: NDArray[np.intp], p: Numbers, patients: Sequence[str]) -> Estimate:
    """``mean_auc`` with a jackknife interval over patients; none where a class has fewer than ``auc.LEAST`` of them."""
    from voxloom.evaluation.auc import LEAST as OF_CLASS

    who = np.asarray([str(one) for one in patients])
    fewest = min(len(set(who[truth == n])) for n in np.unique(truth))
    if fewest < OF_CLASS or len(np.unique(truth)) < p.shape[1]:
        return Estimate(mean_auc(truth, p), math.nan, math.nan)
    return jackknife(mean_auc, truth, p, groups=list(patients), scale="logit", least=LEAST)


#: Shares of cases: (true, answered) -> (what counts, among which cases).
SHARES: dict[str, Callable[[NDArray[np.bool_], NDArray[np.bool_]], tuple[NDArray[np.bool_], NDArray[np.bool_]]]] = {
    "sensitivity": lambda truth, guess: (guess, truth),
    "specificity": lambda truth, guess: (~guess, ~truth),
    "precision": lambda truth, guess: (truth, guess),
}


def decision_curve(
    truth: NDArray[np.bool_], p: Numbers, thresholds: Sequence[float]
) -> list[tuple[float, float, float]]:
    """(threshold, net benefit of acting on the model, of treating all); Vickers and Elkin (Medical Decision Making 2006)."""
    n, share = len(truth), float(truth.mean())
    curve = []
    for t in thresholds:
        weight = t / (1 - t)
        act = p >= t
        benefit = float((act & truth).sum() / n - weight * (act & ~truth).sum() / n)
        curve.append((float(t), benefit, share - weight * (1 - share)))
    return curve


def per_patient(evaluation: ClassEvaluation) -> ClassEvaluation:
    """A verdict per patient from several findings: positive (the last class) where any finding is, its probability the largest.

    Two classes only (BadInput otherwise).
    """
    if len(evaluation.classes) != 2:
        raise BadInput("a verdict per patient needs two classes, of which the last is the positive one")
    grouped: dict[str, list[ClassRow]] = {}
    for row in evaluation.rows:
        grouped.setdefault(row.patient, []).append(row)
    negative, positive = evaluation.classes
    whole = ClassEvaluation(evaluation.classes)
    for patient, rows in grouped.items():
        truth = positive if any(row.truth == positive for row in rows) else negative
        p = max(row.probabilities[1] for row in rows)
        whole.add(ClassRow(patient, patient, truth, (1 - p, p)))
    return whole
