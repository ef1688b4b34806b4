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
from voxloom.evaluation.model_ranks import Ranking, rank_models
from voxloom.evaluation.patients import are_assumed, patients_note
from voxloom.evaluation.scores import Score
from voxloom.evaluation.statistics import Estimate, Outcome, friedman, holm, p_text
from voxloom.evaluation.statistics.arrays import rankable
from voxloom.evaluation.statistics.interval import NO_INTERVAL
from voxloom.evaluation.statistics.margins import MarginTest, Question, margin_test
from voxloom.report.compare_table import compare_rows
from voxloom.report.notebook import html_table, text_table
from voxloom.verbs.caveats import caveats, with_caveats
from voxloom.verbs.contenders import Cases, Contender, Contest, LabelValues, measures_of

#: p-values at or above this show no difference.
ALPHA = 0.05
#: With fewer patients a signed-rank test cannot reach ALPHA at all; with fewer than FEW it finds large differences only.
LEAST, FEW = 6, 15
#: Names in sentences that are not the metric's own with a capital.
_NAMES = {"auc": "AUC", "mcc": "MCC", "r2": "R2", "f1": "F1"}


@dataclass(frozen=True)
class Difference:
    """One run against the reference, one label.

    Parameters
    ----------
    name, label : of the run and the label ("mean" is the mean over labels per case).
    cases, patients : that both have.
    reference_mean, mean : of the metric; infinite where a mask was missed.
    difference : mean of run minus reference over cases where both are finite, with an interval over patients.
    infinite : cases left out of ``difference`` because a distance is infinite; the test ranks them last.
    p, p_holm : of ``test``, raw and Holm-corrected over the whole table.
    effect : of the test, named by ``effect_name``; above 0 where the run's values are larger.
    tested : patients that the test used; of a signed-rank test those with a difference.
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
    test: str
    effect_name: str
    tested: int


@dataclass(frozen=True)
class Comparison:
    """All differences, what they say in words, and what to beware of.

    Parameters
    ----------
    share : whether the metric is a share, where more is better.
    text : how differences and p-values come about.
    cases : whose figures are compared, "held-out" or "test".
    conventions : how the figures were measured, such as the rule for empty masks; empty where nothing says so.
    patients_note : what was taken as a patient.
    overall : Friedman's test of the first label over three or more runs, one value per patient; None for two runs, or one patient.
    ranking : of three or more runs by the first label, with the uncertainty of ranks; None for two.
    margins : per run, whether the first label's score is within the margin of the reference's; none without a margin.
    conclusions : one sentence per run, each with what it rests on (``voxloom.verbs.caveats``).
    """

    metric: str
    share: bool
    text: str
    reference: str
    names: tuple[str, ...]
    differences: tuple[Difference, ...]
    overall: Outcome | None
    ranking: Ranking | None
    margins: tuple[tuple[str, MarginTest], ...]
    cases: str
    conventions: tuple[str, ...]
    patients_note: str
    conclusions: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def told(self) -> tuple[str, ...]:
        """What it comes to in words: conclusions, margins, conventions and warnings."""
        margins = (margin_sentence(name, test, self.reference, self.metric) for name, test in self.margins)
        return (*self.conclusions, *margins, *self.conventions, *(f"Beware: {text}" for text in self.warnings))

    def _repr_html_(self) -> str:
        """Differences and what they say, in a notebook."""
        return html_table(compare_rows(self.to_dict()), self.title, self.told)

    def __repr__(self) -> str:
        return text_table(compare_rows(self.to_dict()), self.title, self.told)

    @property
    def title(self) -> str:
        """Of its table."""
        return f"{self.metric} of {', '.join(self.names)}: {self.cases} cases"

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
    metric: str | None = None,
    cases: Cases | None = None,
    margin: float | None = None,
    question: Question = "equivalence",
) -> Comparison:
    """Compare runs of one task with the first of them, on the cases that all have.

    Parameters
    ----------
    paths : run folders, folders with a ``metrics.csv``, or such files; at least two.
    metric : one of those of the task; None takes its main one.
    cases : "test" or "held-out" figures of runs; None takes the test where all runs have one.
    margin : the largest difference that would not matter, in the unit of the metric; None asks for none.
    question : "equivalence" to the reference, or "non-inferiority".

    Raises
    ------
    BadInput : fewer than two, runs of different tasks, no common case or label, or figures that cannot be read.
    """
    contest = Contest.of(paths, metric, cases)
    files = [Path(path) for path in paths]
    differences = _corrected([d for other in contest.contenders[1:] for d in _differences(contest, other)])
    conventions, unlike = shared_conventions(files, contest.on)
    patients = {case: contest.reference.patients[case] for case in contest.common}
    who = patients_note(patients)
    score, columns = contest.score, contest.values(contest.labels[0])
    return Comparison(
        metric=contest.metric,
        share=is_share(score),
        text=contest.kind.text,
        reference=contest.reference.name,
        names=tuple(c.name for c in contest.contenders),
        differences=tuple(differences),
        overall=_overall(columns),
        ranking=_ranking(columns, score),
        margins=() if margin is None else _margins(columns, score, margin, question),
        cases=contest.on,
        conventions=conventions,
        patients_note=who,
        conclusions=_conclusions(contest, files, differences),
        warnings=(
            *contest.warnings,
            *few_patients(max(d.patients for d in differences), differences[0].test),
            *unlike,
            *([f"No patients are named: {who}"] if are_assumed(patients) else []),
            *(warning for d in differences for warning in doubts(d)),
        ),
    )


def _conclusions(contest: Contest, files: Sequence[Path], differences: Sequence[Difference]) -> tuple[str, ...]:
    """One sentence per run, each with what it rests on."""
    reference, other = contest.reference.name, contest.contenders[1:]
    added = {
        one.name: caveats((reference, one.name), (files[0], file), contest.on)
        for one, file in zip(other, files[1:], strict=True)
    }
    return tuple(with_caveats(conclusion(d, reference, contest.score), added[d.name]) for d in main_rows(differences))


def shared_conventions(paths: Sequence[Path], cases: Cases) -> tuple[tuple[str, ...], list[str]]:
    """How label maps were measured in all runs, in words, and a warning where they were measured in different ways."""
    known = [found for path in paths if (found := measures_of(path, cases)) is not None]
    if not known:
        return (), []
    notes = [found.notes() for found in known]
    shared = tuple(note for note in notes[0] if all(note in other for other in notes))
    apart = sorted({note for own in notes for note in own[:2]} - set(shared))
    return shared, [f"The runs were not measured alike: {' / '.join(apart)}"] if apart else []


def is_share(score: Score) -> bool:
    """Whether a score is a share of which more is better, and so is told in points of a hundredth."""
    return score.goal == "max" and not score.unit


def _differences(contest: Contest, other: Contender) -> Iterator[Difference]:
    for label in contest.labels:
        pair = contest.kind.pair(
            contest.reference.evaluation, other.evaluation, contest.metric, label, contest.labels, contest.common
        )
        yield Difference(
            name=other.name,
            label=label,
            cases=pair.cases,
            patients=pair.patients,
            reference_mean=pair.reference,
            mean=pair.value,
            difference=pair.difference,
            infinite=pair.infinite,
            p=pair.test.p,
            p_holm=math.nan,
            effect=pair.test.effect,
            test=pair.test.test,
            effect_name=pair.test.effect_name,
            tested=pair.test.n,
        )


def _corrected(differences: Sequence[Difference]) -> list[Difference]:
    """With Holm-corrected p-values over the whole table."""
    corrected = holm([d.p for d in differences])
    return [replace(d, p_holm=p) for d, p in zip(differences, corrected, strict=True)]


def _overall(columns: LabelValues) -> Outcome | None:
    """Friedman's test over three or more runs; None for two, for one patient, and for figures that only many cases have."""
    if len(columns.runs) < 3 or len(set(columns.patients)) < 2:
        return None
    return friedman(np.stack(rankable(*columns.runs.values()), axis=1), groups=columns.patients)


def _ranking(columns: LabelValues, score: Score) -> Ranking | None:
    """Ranks of three or more runs; None for two, and for a metric of which neither side is good."""
    if len(columns.runs) < 3 or not columns.patients or score.goal is None:
        return None
    return rank_models(columns.runs, columns.patients, larger_is_better=score.goal == "max")


def _margins(
    columns: LabelValues, score: Score, margin: float, question: Question
) -> tuple[tuple[str, MarginTest], ...]:
    """Every run against the reference, on cases where both are finite; Holm-corrected over the runs."""
    if not columns.patients:
        raise BadInput(
            f"{score.name} is not a figure of single cases, which a margin needs", None, "Choose another metric"
        )
    if question == "non-inferiority" and score.goal is None:
        raise BadInput(f"neither large nor small values of {score.name} are good", None, "Ask for equivalence")
    (_, reference), *others = columns.runs.items()
    found = []
    for name, values in others:
        rows = [
            row for row in zip(values, reference, columns.patients, strict=True) if all(map(math.isfinite, row[:2]))
        ]
        if not rows:
            raise BadInput(
                f"{name} and the reference have no case with a finite {score.name}", None, "Choose another metric"
            )
        a, b, patients = zip(*rows, strict=True)
        better = score.goal != "min"
        test = margin_test(a, b, margin, question=question, larger_is_better=better, groups=patients)
        found.append((name, test))
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


def conclusion(d: Difference, reference: str, score: Score) -> str:
    """The difference in one sentence, as it may stand in a paper."""
    metric = score.name
    title = _NAMES.get(metric, metric.replace("_", " ").capitalize())
    factor, unit = (100.0, f"{title} points") if is_share(score) else (1.0, f"in {metric}")
    value, ends = factor * d.difference.value, (factor * d.difference.low, factor * d.difference.high)
    where = f", {p_text(d.p_holm)}, {d.patients} patients"
    if not d.p_holm < ALPHA:
        return f"No difference was shown between {d.name} and {reference}: {value:+.1f} {unit} [{_ends(ends, '+.1f')}]{where}."
    if not is_share(score):
        word = "larger" if d.effect > 0 else "smaller"
        return f"{metric} is {word} with {d.name} than with {reference}: {value:+.2f} [{_ends(ends, '+.2f')}]{where}."
    sign, word = (1, "better") if d.effect > 0 else (-1, "worse")
    found = _ends([sign * end for end in ends][::sign], ".1f")
    return f"{d.name} is {word} than {reference} by {sign * value:.1f} {unit} [{found}]{where}."


def _ends(ends: Sequence[float], form: str) -> str:
    """The ends of an interval, or that there is none."""
    return NO_INTERVAL if math.isnan(ends[0]) else ", ".join(f"{end:{form}}" for end in ends)


def few_patients(patients: int, test: str) -> list[str]:
    """What too few patients mean; DeLong's test is one of large samples, so that it has no least number."""
    if patients < LEAST and "DeLong" not in test:
        what = "no signed-rank test" if "signed-rank" in test else f"no {test}"
        return [f"With {patients} patients {what} can reach p < {ALPHA}: this comparison cannot show a difference"]
    return [f"{patients} patients are few: only large differences can be shown"] if patients < FEW else []


def doubts(d: Difference) -> list[str]:
    """What the interval and the test do not agree on, and what the mean leaves out."""
    told = []
    outside = d.difference.low > 0 or d.difference.high < 0
    if d.p_holm < ALPHA and not outside and not math.isnan(d.difference.low):
        ranks = "the ranks differ, but the interval of the mean holds 0; look at single cases"
        other = f"the {d.test} shows a difference, but its interval holds 0"
        told.append(f"{d.name}, {d.label}: {ranks if 'signed-rank' in d.test else other}")
    if d.infinite:
        told.append(
            f"{d.name}, {d.label}: {d.infinite} case(s) with an infinite distance are not in the mean difference"
        )
    return told
