"""Classes predicted for whole cases: rows that are added, summed up, written and read back.

AUC (one class against the rest), accuracy, balanced accuracy, sensitivity, specificity, F1, average precision, Matthews
correlation, Brier score, calibration error, confusion matrix, and a verdict per patient. Intervals draw whole patients. Terms as in
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
from voxloom.evaluation.probabilities import brier, reliability
from voxloom.evaluation.selective import abstention
from voxloom.evaluation.statistics import Estimate, bootstrap
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
        overall: dict[str, Callable[[Any, Any], float]] = {
            "accuracy": lambda t, g: float((t == g).mean()),
            "balanced_accuracy": balanced_accuracy,
            "mcc": matthews,
        }
        for name, metric in overall.items():
            among = np.ones(len(truth), bool) if name == "accuracy" else None
            figures[name] = {"all": self._estimate(metric, truth, guess, among=among)}
        for name, single in PER_CLASS.items():
            figures[name] = {
                c: self._estimate(single, truth == n, guess == n, among=counted_among(name, truth == n, guess == n))
                for n, c in enumerate(self.classes)
            }
        figures["average_precision"] = {
            c: self._estimate(average_precision, truth == n, p[:, n]) for n, c in enumerate(self.classes)
        }
        figures["brier"] = {"all": self._estimate(brier_of, truth, p)}
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
                "sensitivity": (truth, called),
                "specificity": (~truth, ~called),
                "positive_predictive_value": (called, truth),
                "negative_predictive_value": (~called, ~truth),
            }
            figures = {name: self._estimate(sensitivity, a, b, among=a) for name, (a, b) in shares.items()}
            found.append({"threshold": float(threshold), "positive": int(called.sum()), **figures})
        return found

    def _aucs(self) -> dict[str, dict[str, Any]]:
        """Every class against the rest, and ``all``: the mean over the classes, or the only one of two."""
        truth, p = self.truth, self.probabilities
        found = {c: auc_interval(truth == n, p[:, n], self.patients) for n, c in enumerate(self.classes)}
        if len(self.classes) == 2:
            return {"all": as_dict(found[self.classes[1]])}
        whole = self._estimate(mean_auc, truth, p)
        return {"all": whole, **{name: as_dict(e) for name, e in found.items()}}

    def _estimate(
        self, metric: Callable[..., float], *columns: NDArray[Any], among: NDArray[np.bool_] | None = None
    ) -> dict[str, Any]:
        """With an interval over patients; where every resample agrees it would have no width, which is no knowledge.

        A share of cases (``among`` these) has the exact bound of "all" or "none" then (Clopper and Pearson 1934), others have none.
        """
        found = bootstrap(metric, *columns, groups=self.patients, resamples=RESAMPLES)
        if found.low != found.high:
            return as_dict(found)
        low = high = math.nan
        if among is not None and found.value in (0.0, 1.0):
            patients = len({one for one, counts in zip(self.patients, among, strict=True) if counts})
            bound = 0.025 ** (1 / patients)
            low, high = (bound, 1.0) if found.value == 1.0 else (0.0, 1 - bound)
        return {"value": found.value, "ci": [low, high]}

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


#: Resamples of an interval; the percentiles of 1000 are steady to a hundredth.
RESAMPLES = 1000
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


def sensitivity(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Share of the true cases that are found; NaN where there is none."""
    return float((guess & truth).sum() / truth.sum()) if truth.any() else math.nan


def specificity(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Share of the other cases that are left alone; NaN where there is none."""
    return sensitivity(~truth, ~guess)


def precision(truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> float:
    """Share of the found cases that are true; NaN where none is found."""
    return sensitivity(guess, truth)


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


def brier_of(truth: NDArray[np.intp], p: Numbers) -> float:
    """Brier score, truth first."""
    return brier(p, truth)


def counted_among(name: str, truth: NDArray[np.bool_], guess: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The cases whose share a metric is; None for one that is no share."""
    return {"sensitivity": truth, "specificity": ~truth, "precision": guess}.get(name)


PER_CLASS: dict[str, Callable[[NDArray[np.bool_], NDArray[np.bool_]], float]] = {
    "sensitivity": sensitivity,
    "specificity": specificity,
    "precision": precision,
    "f1": f1,
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
