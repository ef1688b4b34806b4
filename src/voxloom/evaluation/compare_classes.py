"""How tables of classes or findings are compared: DeLong for the AUC, McNemar for shares of right answers, resampling for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxloom.errors import BadInput
from voxloom.evaluation.auc import auc, auc_difference, compare_aucs, roc_curve
from voxloom.evaluation.classification import (
    LEAST,
    ClassEvaluation,
    average_precision,
    balanced_accuracy,
    f1,
    matthews,
    mean_auc,
    precision,
)
from voxloom.evaluation.findings import FindingEvaluation
from voxloom.evaluation.paired import Drawn, Paired, pair_cases
from voxloom.evaluation.scores import CLASS_SCORES, Score
from voxloom.evaluation.statistics import Estimate, jackknife, mcnemar, mean_ci, swapped

Numbers = NDArray[np.float64]
Figure = Callable[[Any, Any], float]

#: Figures of all classes together, by their answers; and of one class, by whether it is answered.
_OVERALL: dict[str, Figure] = {"balanced_accuracy": balanced_accuracy, "mcc": matthews}
_SINGLE: dict[str, Figure] = {"precision": precision, "f1": f1}


@dataclass(frozen=True)
class Question:
    """What two tables answer to one question on the same cases.

    Parameters
    ----------
    truth : number of the true class, per case.
    first, second : probabilities (cases, classes).
    patients : per case.
    asked : number of the class that is asked for; None for all together.
    """

    truth: NDArray[np.intp]
    first: Numbers
    second: Numbers
    patients: list[str]
    asked: int | None

    @property
    def both(self) -> tuple[Numbers, Numbers]:
        """The probabilities of the two."""
        return self.first, self.second

    @property
    def answers(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The likeliest class of each."""
        return self.first.argmax(axis=1), self.second.argmax(axis=1)


class ClassComparison:
    """See :class:`voxloom.evaluation.paired.Comparison`."""

    default = "auc"
    case_default = "accuracy"
    metrics: Mapping[str, Score] = {name: score for name, score in CLASS_SCORES.items() if name != "ece"}
    text = (
        "Difference: run minus reference on the same cases. AUC: DeLong's interval and test (Obuchowski's for several cases of a "
        "patient). Accuracy, sensitivity, specificity: interval over patients and the exact McNemar test, over patients' net "
        "differences where they have several cases. Brier score: Wilcoxon signed-rank test of the patients' means. Other figures, and "
        "the mean AUC of several classes: jackknife interval over patients, and a randomisation test that exchanges the two runs' "
        "answers patient by patient. p-values are Holm-corrected over all rows. Effect: the difference, or for the signed-rank test "
        "the matched-pairs rank-biserial correlation."
    )

    def holds(self, columns: Sequence[str]) -> bool:
        """Whether there are probabilities."""
        return "truth" in columns and ("probability" in columns or any(name.startswith("p_") for name in columns))

    def read(self, paths: Sequence[Path]) -> ClassEvaluation | FindingEvaluation:
        """The rows of all files."""
        return read_classes(paths)

    def patients(self, table: ClassEvaluation | FindingEvaluation) -> dict[str, str]:
        """By case."""
        return {row.case: row.patient for row in table.rows}

    def labels(
        self, tables: Mapping[str, ClassEvaluation | FindingEvaluation], metric: str
    ) -> tuple[list[str], list[str]]:
        """Of two classes the positive one; of several all together and each; of findings each."""
        first = next(iter(tables.values()))
        if any(type(table) is not type(first) for table in tables.values()):
            raise BadInput("some runs answer with one class, others with several findings", None, "Compare like runs")
        if isinstance(first, FindingEvaluation):
            names = [n for n in first.findings if all(n in t.findings for t in tables.values())]  # type: ignore[union-attr]
            if not names:
                raise BadInput("the runs have no finding in common", None, "Compare runs on the same columns")
            apart = {run: [n for n in t.findings if n not in names] for run, t in tables.items()}  # type: ignore[union-attr]
            return names, [
                f"{', '.join(n)} of {run} is not in every run and not compared" for run, n in apart.items() if n
            ]
        for run, table in tables.items():
            if sorted(table.classes) != sorted(first.classes):  # type: ignore[union-attr]
                what = f"{run} tells apart {', '.join(table.classes)}, not {', '.join(first.classes)}"  # type: ignore[union-attr]
                raise BadInput(what, None, "Compare runs on the same classes")
        if metric in ("accuracy", "brier", *_OVERALL):
            return ["all"], []
        if len(first.classes) == 2:
            return [first.classes[1]], []
        return [*(["all"] if metric == "auc" else []), *first.classes], []

    def pair(
        self, first: Any, second: Any, metric: str, label: str, labels: Sequence[str], cases: Sequence[str]
    ) -> Paired:
        """By the test that goes with the figure."""
        if isinstance(first, FindingEvaluation):
            first, second = first.of(label), second.of(label)
            known = set(first.cases) & set(second.cases)
            cases = [case for case in cases if case in known]
        q = asked(first, second, label, cases)
        if metric == "auc":
            return pair_aucs(q)
        if metric == "brier":
            one, other = (((p - np.eye(p.shape[1])[q.truth]) ** 2).sum(axis=1) for p in q.both)
            return pair_cases(one, other, q.patients)
        if metric in ("accuracy", "sensitivity", "specificity"):
            return pair_shares(q, metric)
        return pair_figures(q, metric)

    def values(self, table: Any, metric: str, label: str, labels: Sequence[str]) -> dict[str, float]:
        """Brier score, and whether the answer is right; the others are figures of many cases."""
        own = metric in ("brier", "accuracy") and isinstance(table, ClassEvaluation)
        return table.case_values(metric, label) if own else {}

    def curve(self, table: Any, metric: str, label: str, cases: Sequence[str]) -> Drawn | None:
        """ROC for the AUC, precision over sensitivity for the average precision; None where a class does not occur."""
        whole = table.of(label) if isinstance(table, FindingEvaluation) else table
        if metric not in ("auc", "average_precision") or label not in whole.classes:
            return None
        known = set(whole.cases)
        q = asked(whole, whole, label, [case for case in cases if case in known])
        positive = q.truth == q.asked
        if not 0 < positive.sum() < len(positive):
            return None
        found = roc_curve(positive, q.first[:, q.asked])
        if metric == "auc":
            return Drawn([0, *found.fallout], [0, *found.sensitivity], "1 - specificity", "sensitivity")
        return Drawn([0, *found.sensitivity], [1, *found.precision], "sensitivity", "precision")


CLASSES = ClassComparison()


def read_classes(paths: Sequence[Path]) -> ClassEvaluation | FindingEvaluation:
    """A table of classes, or of findings, from one or several files (BadInput for another)."""
    with Path(paths[0]).open(encoding="utf-8") as file:
        several = "finding" in file.readline().strip().split(",")
    kind: Any = FindingEvaluation if several else ClassEvaluation
    whole: ClassEvaluation | FindingEvaluation = kind.read_csv(paths[0])
    for path in paths[1:]:
        whole.extend(kind.read_csv(path))
    return whole


def asked(first: ClassEvaluation, second: ClassEvaluation, label: str, cases: Sequence[str]) -> Question:
    """The answers of two tables to one question, with the classes in the order of the first."""
    a, b = ({row.case: row for row in table.rows} for table in (first, second))
    if differing := next((case for case in cases if a[case].truth != b[case].truth), None):
        what = f"case {differing} is {a[differing].truth} in one run and {b[differing].truth} in another"
        raise BadInput(what, None, "Evaluate the runs on the same table of cases")
    order = [second.classes.index(name) for name in first.classes]
    truth = np.array([first.classes.index(a[case].truth) for case in cases], dtype=np.intp)
    one = np.array([a[case].probabilities for case in cases], dtype=float).reshape(-1, len(order))
    other = np.array([b[case].probabilities for case in cases], dtype=float).reshape(-1, len(order))[:, order]
    number = first.classes.index(label) if label in first.classes else None
    return Question(truth, one, other, [a[case].patient for case in cases], number)


def pair_aucs(q: Question) -> Paired:
    """DeLong's test for one class against the rest; resampling for the mean over several."""
    if q.asked is None:
        return resampled(q, mean_auc, q.truth, q.first, q.second)
    truth, one, other = q.truth == q.asked, q.first[:, q.asked], q.second[:, q.asked]
    found = auc_difference(truth, one, other, groups=q.patients)
    test = compare_aucs(truth, one, other, groups=q.patients)
    return Paired(len(truth), len(set(q.patients)), auc(truth, one), auc(truth, other), found, test)


def pair_shares(q: Question, metric: str) -> Paired:
    """Share of right answers: of all cases, of those of the class, or of the others."""
    one, other = q.answers
    if metric == "accuracy" or q.asked is None:
        among, right = np.ones(len(q.truth), bool), (one == q.truth, other == q.truth)
    else:
        is_it = q.truth == q.asked
        among = is_it if metric == "sensitivity" else ~is_it
        right = ((one == q.asked) == is_it, (other == q.asked) == is_it)
    a, b = (r[among].astype(float) for r in right)
    patients = [p for p, kept in zip(q.patients, among, strict=True) if kept]
    if not len(a):
        raise BadInput(f"no common case gives a {metric}", None, "Evaluate the runs on cases of all classes")
    found = Estimate(float((b - a).mean()), *mean_ci(b - a, patients))
    test = mcnemar((b > 0).tolist(), (a > 0).tolist(), groups=patients).outcome
    return Paired(len(a), len(set(patients)), float(a.mean()), float(b.mean()), found, test)


def pair_figures(q: Question, metric: str) -> Paired:
    """Figures that only many cases have."""
    one, other = q.answers
    if metric in _OVERALL:
        return resampled(q, _OVERALL[metric], q.truth, one, other)
    truth = q.truth == q.asked
    if metric == "average_precision":
        return resampled(q, average_precision, truth, *(p[:, q.asked] for p in q.both))
    return resampled(q, _SINGLE[metric], truth, one == q.asked, other == q.asked)


def resampled(q: Question, figure: Figure, truth: Any, first: Any, second: Any) -> Paired:
    """Jackknife interval of the difference and a randomisation test, both over patients."""
    found = jackknife(lambda t, a, b: figure(t, b) - figure(t, a), truth, first, second, groups=q.patients, least=LEAST)
    test = swapped(figure, truth, second, first, groups=q.patients)
    values = figure(truth, first), figure(truth, second)
    return Paired(len(q.truth), len(set(q.patients)), *values, found, test)
