"""Two or more runs on the same cases: paired differences per label, with intervals, corrected p-values and a sentence.

Knows what may be concluded. Which figures are compared is in ``contenders.py``, the statistics in
``voxloom.evaluation.statistics``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.errors import BadInput
from voxloom.evaluation import mean_ci
from voxloom.evaluation.model_ranks import Ranking, rank_models
from voxloom.evaluation.patients import are_assumed, patients_note
from voxloom.evaluation.scores import MASK_SCORES
from voxloom.evaluation.statistics import Estimate, Outcome, friedman, holm, p_text, wilcoxon
from voxloom.evaluation.statistics.arrays import rankable
from voxloom.evaluation.statistics.interval import NO_INTERVAL
from voxloom.evaluation.statistics.margins import MarginTest, Question, margin_test
from voxloom.tasks.abilities import ask_folders
from voxloom.verbs.caveats import caveats, with_caveats
from voxloom.verbs.contenders import (
    Cases,
    Contender,
    common_cases,
    common_labels,
    read_contenders,
    tables_of,
    values_of,
)

#: p-values at or above this show no difference.
ALPHA = 0.05
#: With fewer patients a signed-rank test cannot reach ALPHA at all; with fewer than FEW it finds large differences only.
LEAST, FEW = 6, 15
#: Metrics where more is better; they are shares.
HIGHER = tuple(name for name, score in MASK_SCORES.items() if score.goal == "max")


@dataclass(frozen=True)
class Difference:
    """One run against the reference, one label.

    Parameters
    ----------
    name, label : of the run and the label ("mean" is the mean over labels per case).
    cases, patients : that both have.
    reference_mean, mean : of the metric; infinite where a mask was missed.
    difference : mean of run minus reference over cases where both are finite, with an interval over patients (``mean_ci``).
    infinite : cases left out of ``difference`` because a distance is infinite; the test ranks them last.
    p, p_holm : Wilcoxon signed-rank test of the patients' mean differences, raw and Holm-corrected over the whole table.
    effect : matched-pairs rank-biserial correlation; above 0 where the run's values are larger.
    tested : patients with a difference, which the test used; the others have none.
    """

    name: str
    label: str
    cases: int
    patients: int
    reference_mean: float
    mean: float
    difference: Estimate
    infinite: int
    p: float
    p_holm: float
    effect: float
    tested: int


@dataclass(frozen=True)
class Comparison:
    """All differences, what they say in words, and what to beware of.

    Parameters
    ----------
    cases : whose figures are compared, "held-out" or "test".
    patients_note : what was taken as a patient.
    overall : Friedman's test of the first label over three or more runs, one value per patient; None for two runs, or one patient.
    ranking : of three or more runs by the first label, with the uncertainty of ranks; None for two.
    margins : per run, whether the first label's score is within the margin of the reference's; none without a margin.
    conclusions : one sentence per run, each with what it rests on (``voxloom.verbs.caveats``).
    """

    metric: str
    reference: str
    names: tuple[str, ...]
    differences: tuple[Difference, ...]
    overall: Outcome | None
    ranking: Ranking | None
    margins: tuple[tuple[str, MarginTest], ...]
    cases: str
    patients_note: str
    conclusions: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values."""
        rows = [{**vars(d), "difference": d.difference.to_dict()} for d in self.differences]
        overall = None if self.overall is None else self.overall.to_dict()
        ranking = None if self.ranking is None else self.ranking.to_dict()
        margins = [
            {"name": name, "sentence": margin_sentence(name, test, self.reference, self.metric), **test.to_dict()}
            for name, test in self.margins
        ]
        return {**vars(self), "differences": rows, "overall": overall, "ranking": ranking, "margins": margins}


def compare_runs(
    paths: Sequence[str | Path],
    *,
    metric: str = "dice",
    cases: Cases | None = None,
    margin: float | None = None,
    question: Question = "equivalence",
) -> Comparison:
    """Compare runs with the first of them, on the cases that all have.

    Parameters
    ----------
    paths : run folders, folders with a ``metrics.csv``, or such files; at least two.
    metric : one of ``MASK_SCORES`` that was measured for all.
    cases : "test" or "held-out" figures of runs; None takes the test where all runs have one.
    margin : the largest difference that would not matter, in the unit of the metric; None asks for none.
    question : "equivalence" to the reference, or "non-inferiority".

    Raises
    ------
    BadInput : fewer than two, no common case or label, or figures that cannot be read.
    """
    if metric not in MASK_SCORES:
        raise BadInput(f"no metric {metric!r}", None, f"Choose one of {', '.join(MASK_SCORES)}")
    contenders, on = _chosen(paths, cases)
    if lacking := [c.name for c in contenders if metric not in c.evaluation.metrics]:
        fix = "Evaluate with evaluate.metrics in the recipe, or with --metrics"
        raise BadInput(f"{metric} was not measured for {lacking[0]}", None, fix)
    reference = contenders[0]
    common, warnings = common_cases(contenders)
    labels, apart = common_labels(contenders)
    warnings += apart
    found = [d for other in contenders[1:] for d in _differences(reference, other, labels, common, metric)]
    differences = _corrected(found)
    warnings += few_patients(max(d.patients for d in differences))
    patients = {case: reference.evaluation.patients[case] for case in common}
    who = patients_note(patients)
    if are_assumed(patients):
        warnings.append(f"No patients are named: {who}")
    added = {
        other.name: caveats((reference.name, other.name), (Path(paths[0]), Path(path)), on)
        for other, path in zip(contenders[1:], paths[1:], strict=True)
    }
    return Comparison(
        metric=metric,
        reference=reference.name,
        names=tuple(c.name for c in contenders),
        differences=tuple(differences),
        ranking=_ranking(contenders, labels, common, metric),
        margins=() if margin is None else _margins(contenders, labels, common, metric, margin, question),
        overall=_overall(contenders, labels, common, metric),
        cases=on,
        patients_note=who,
        conclusions=tuple(
            with_caveats(conclusion(d, reference.name, metric), added[d.name]) for d in main_rows(differences)
        ),
        warnings=tuple(warnings + [w for d in differences for w in doubts(d)]),
    )


def _chosen(paths: Sequence[str | Path], cases: Cases | None) -> tuple[list[Contender], Cases]:
    """The figures to compare, and of which cases; the test's where all runs have one and nothing else was asked for."""
    ask_folders("compare", paths)
    if len(paths) < 2:
        raise BadInput("a comparison needs two runs", None, "Example: voxloom compare RUN_A RUN_B")
    tested = all(tables_of(Path(p), "test") for p in paths)
    on: Cases = cases or ("test" if tested else "held-out")
    return read_contenders([Path(p) for p in paths], on), on


@dataclass(frozen=True)
class LabelValues:
    """A metric of one label: the patient of every common case, and run -> value per case, in the same order."""

    patients: list[str]
    runs: dict[str, list[float]]


def case_values(
    paths: Sequence[str | Path], *, metric: str = "dice", cases: Cases | None = None
) -> dict[str, LabelValues]:
    """Label -> values of every common case, as ``compare_runs`` compares them."""
    contenders, _ = _chosen(paths, cases)
    common, _ = common_cases(contenders)
    labels, _ = common_labels(contenders)
    patient = contenders[0].evaluation.patients
    found: dict[str, LabelValues] = {}
    for label in labels:
        columns = {c.name: values_of(c, label, labels, metric) for c in contenders}
        kept = [case for case in common if all(case in column for column in columns.values())]
        runs = {name: [column[case] for case in kept] for name, column in columns.items()}
        found[label] = LabelValues([patient[case] for case in kept], runs)
    return found


def _differences(
    reference: Contender, other: Contender, labels: Sequence[str], common: Sequence[str], metric: str
) -> Iterator[Difference]:
    patient = {row.case: row.patient for row in reference.evaluation.rows}
    for label in labels:
        a, b = (values_of(c, label, labels, metric) for c in (reference, other))
        cases = [case for case in common if case in a and case in b]
        first, second = (np.array([v[case] for case in cases]) for v in (a, b))
        patients = [patient[case] for case in cases]
        finite = np.isfinite(first) & np.isfinite(second)
        kept = (second - first)[finite]
        low, high = mean_ci(kept, [p for p, ok in zip(patients, finite, strict=True) if ok])
        mean = float(kept.mean()) if len(kept) else math.nan
        outcome = wilcoxon(*reversed(rankable(first, second)), groups=patients)
        yield Difference(
            name=other.name,
            label=label,
            cases=len(cases),
            patients=len(set(patients)),
            reference_mean=float(first.mean()),
            mean=float(second.mean()),
            difference=Estimate(mean, low, high),
            infinite=int((~finite).sum()),
            p=outcome.p,
            p_holm=math.nan,
            effect=outcome.effect,
            tested=outcome.n,
        )


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    """With Holm-corrected p-values over the whole table."""
    corrected = holm([d.p for d in differences])
    return [replace(d, p_holm=p) for d, p in zip(differences, corrected, strict=True)]


def _overall(
    contenders: Sequence[Contender], labels: Sequence[str], common: Sequence[str], metric: str
) -> Outcome | None:
    """Friedman's test over three or more runs; None for two, and for one patient."""
    patient = {row.case: row.patient for row in contenders[0].evaluation.rows}
    groups = [patient[case] for case in common]
    if len(contenders) < 3 or len(set(groups)) < 2:
        return None
    columns = rankable(*([values_of(c, labels[0], labels, metric)[case] for case in common] for c in contenders))
    return friedman(np.stack(columns, axis=1), groups=groups)


def _ranking(
    contenders: Sequence[Contender], labels: Sequence[str], common: Sequence[str], metric: str
) -> Ranking | None:
    """Ranks of three or more runs by the first label; None for two, and for a metric of which neither side is good."""
    goal = MASK_SCORES[metric].goal
    if len(contenders) < 3 or goal is None:
        return None
    patient = contenders[0].evaluation.patients
    found = {c.name: values_of(c, labels[0], labels, metric) for c in contenders}
    kept = [case for case in common if all(case in column for column in found.values())]
    values = {name: [column[case] for case in kept] for name, column in found.items()}
    return rank_models(values, [patient[case] for case in kept], larger_is_better=goal == "max")


def _margins(
    contenders: Sequence[Contender],
    labels: Sequence[str],
    common: Sequence[str],
    metric: str,
    margin: float,
    question: Question,
) -> tuple[tuple[str, MarginTest], ...]:
    """Every run against the reference, by the first label, on cases where both are finite."""
    reference, *others = contenders
    patient, goal = reference.evaluation.patients, MASK_SCORES[metric].goal
    if question == "non-inferiority" and goal is None:
        raise BadInput(f"neither large nor small values of {metric} are good", None, "Ask for equivalence")
    found = []
    for other in others:
        a, b = (values_of(c, labels[0], labels, metric) for c in (other, reference))
        cases = [c for c in common if c in a and c in b and math.isfinite(a[c]) and math.isfinite(b[c])]
        test = margin_test(
            [a[c] for c in cases],
            [b[c] for c in cases],
            margin,
            question=question,
            larger_is_better=goal != "min",
            groups=[patient[c] for c in cases],
        )
        found.append((other.name, test))
    corrected = holm([test.p for _, test in found])
    return tuple((name, replace(test, p=p)) for (name, test), p in zip(found, corrected, strict=True))


def margin_sentence(name: str, test: MarginTest, reference: str, metric: str) -> str:
    """The outcome of a margin test in one sentence."""
    found = test.difference
    ends = _ends((found.low, found.high), "+.4g")
    where = f"difference {found.value:+.4g}, 90 % interval [{ends}], margin {test.margin:g}, {p_text(test.p)}"
    word = "equivalent to" if test.question == "equivalence" else "not worse than"
    shown = f"is {word}" if test.p < ALPHA else f"was not shown to be {word}"
    return f"{metric} of {name} {shown} {reference}: {where}, {test.patients} patients."


def main_rows(differences: Sequence[Difference]) -> list[Difference]:
    """The row of each run that its conclusion is drawn from: the mean over labels where there are several."""
    rows: dict[str, Difference] = {}
    for difference in differences:
        rows.setdefault(difference.name, difference)
    return list(rows.values())


def conclusion(d: Difference, reference: str, metric: str) -> str:
    """The difference in one sentence, as it may stand in a paper."""
    factor, unit = (100.0, f"{metric.capitalize()} points") if metric in HIGHER else (1.0, f"in {metric}")
    value, ends = factor * d.difference.value, (factor * d.difference.low, factor * d.difference.high)
    where = f", {p_text(d.p_holm)}, {d.patients} patients"
    if not d.p_holm < ALPHA:
        return f"No difference was shown between {d.name} and {reference}: {value:+.1f} {unit} [{_ends(ends, '+.1f')}]{where}."
    if metric not in HIGHER:
        word = "larger" if d.effect > 0 else "smaller"
        return f"{metric} is {word} with {d.name} than with {reference}: {value:+.2f} [{_ends(ends, '+.2f')}]{where}."
    sign, word = (1, "better") if d.effect > 0 else (-1, "worse")
    found = _ends([sign * end for end in ends][::sign], ".1f")
    return f"{d.name} is {word} than {reference} by {sign * value:.1f} {unit} [{found}]{where}."


def _ends(ends: Sequence[float], form: str) -> str:
    """The ends of an interval, or that there is none."""
    return NO_INTERVAL if math.isnan(ends[0]) else ", ".join(f"{end:{form}}" for end in ends)


def few_patients(patients: int) -> list[str]:
    """What too few patients mean."""
    if patients < LEAST:
        return [
            f"With {patients} patients no signed-rank test can reach p < {ALPHA}: this comparison cannot show a difference"
        ]
    return [f"{patients} patients are few: only large differences can be shown"] if patients < FEW else []


def doubts(d: Difference) -> list[str]:
    """What the interval and the test do not agree on, and what the mean leaves out."""
    told = []
    outside = d.difference.low > 0 or d.difference.high < 0
    if d.p_holm < ALPHA and not outside and not math.isnan(d.difference.low):
        told.append(
            f"{d.name}, {d.label}: the ranks differ, but the interval of the mean holds 0; look at single cases"
        )
    if d.infinite:
        told.append(
            f"{d.name}, {d.label}: {d.infinite} case(s) with an infinite distance are not in the mean difference"
        )
    return told
